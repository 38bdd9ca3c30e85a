"""A stock autoencoder for a student: the encoder exact from the start, the decoder learned, the card inherited."""

import shutil
from pathlib import Path
from typing import cast

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file

from qcgen.core.errors import SpecError
from qcgen.core.trainspec import StockDecoderTraining
from qcgen.core.types import Lineage
from qcgen.data.imageset import read_image_set
from qcgen.models.autoencoder import PatchAutoencoder
from qcgen.models.card import digest, read_card
from qcgen.pipeline.train import run_training
from qcgen.train.loop import fit
from qcgen.train.stockdecoder import StockDecoderTask, stock_autoencoder
from tests.distill.stockstudent import stock_student


def job(chain: Path, tiny_set: Path, out: Path, *, steps: int = 5, **changes: object) -> StockDecoderTraining:
    body = {
        "version": 1,
        "kind": "stock_decoder",
        "name": "stock",
        "out": out,
        "student": str(chain / "distilled" / "student"),
        "data": {"path": tiny_set},
        "data_licence": "CC0-1.0",
        "optim": {"lr": 3e-3, "batch": 4, "steps": steps, "warmup": 2, "ema": 0.5},
        "draws": 16,
        "width": 12,
        "blocks": (1, 1, 0, 0),
        "crop": 24,
        "perceptual": chain / "clip",
        "threads": 1,
        **changes,
    }
    return StockDecoderTraining.model_validate(body)


@pytest.mark.parametrize(("patch", "channels"), [(4, 5), (8, 12), (16, 24)])
def test_the_encoder_gives_the_same_latents_without_training(patch: int, channels: int) -> None:
    torch.manual_seed(0)
    vae = PatchAutoencoder(patch=patch, latent_channels=channels, width=16, blocks=1, scaling_factor=0.5)
    stock = stock_autoencoder(vae, width=8, blocks=(1,) * patch.bit_length())
    images = torch.rand((2, 3, 4 * patch, 4 * patch)) * 2 - 1
    with torch.no_grad():
        # A sum of 3 patch^2 products in float32, each pixel through (x + 1) / 2 and back.
        torch.testing.assert_close(stock.encode(images).latents, vae.encode(images) * 0.5, rtol=1e-5, atol=1e-5)
        decoded = stock.decode(stock.encode(images).latents).sample
    assert decoded.shape == images.shape


def test_the_decoder_learns_what_the_students_own_draws(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    found = []
    for steps in (1, 60):
        spec = job(chain, tiny_set, tmp_path / str(steps), steps=steps)
        found.append(cast(dict[str, dict[str, float]], run_training(spec, say=lambda _: None)))
    for split in ("held_out_photos", "student_latents"):
        assert found[1][split]["agreement_db"] > found[0][split]["agreement_db"] + 3
    assert found[1]["held_out_photos"]["stock_db"] > found[0]["held_out_photos"]["stock_db"] + 3
    # Half precision of a kernel that was never rounded: 2^-11 of latents of a few units.
    assert found[1]["held_out_photos"]["latents_apart"] < 0.01
    place = tmp_path / "60" / "vae"
    stock = AutoencoderTiny.from_pretrained(place, local_files_only=True, low_cpu_mem_usage=False)
    assert stock.config.latent_channels == 4
    student = chain / "distilled" / "student"
    card = read_card(place)
    assert (card.kind, card.licence) == ("stock_decoder", read_card(student).licence)
    assert card.lineage[0].relation == "distilled_from"
    assert card.lineage[0].digest == digest(student)
    above = read_card(student).lineage
    assert card.lineage[1 : 1 + len(above)] == above
    # The chain's teacher was trained on the same pictures, and the CLIP looked on.
    assert Lineage("trained_on", tiny_set.name, "CC0-1.0") in card.lineage
    assert card.lineage[-1].relation == "trained_with"
    assert card.measures == found[1]


def test_a_training_that_was_cut_off_ends_bitwise_like_an_undisturbed_one(
    chain: Path, tiny_set: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    data = read_image_set(tiny_set)

    def run(out: Path, *, stop_at: int | None = None) -> dict[str, torch.Tensor]:
        spec = job(chain, tiny_set, out)
        task = StockDecoderTask(spec, data)
        loss = task.loss

        def cut_off(step: int, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
            if step == stop_at:
                raise InterruptedError
            return loss(step, generator)

        task.loss = cut_off  # type: ignore[method-assign]
        fit(task, spec.optim, folder=out, seed=3, checkpoint_every=2)
        return load_file(out / "vae" / "diffusion_pytorch_model.safetensors")

    whole = run(tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(tmp_path / "parts", stop_at=3)
    again = run(tmp_path / "parts")
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_what_does_not_fit_is_told_at_once(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    data = read_image_set(tiny_set)
    with pytest.raises(SpecError) as caught:
        StockDecoderTask(job(chain, tiny_set, tmp_path, blocks=(1, 1), crop=20), data)
    assert list(caught.value.problems) == [
        "blocks: must have 4 entries, one a resolution (got 2). Cure: [6, 4, 0, 0].",
        "crop: must be a multiple of the latents' 8 px and at most 32 (got 20). Cure: 16.",
    ]
    with pytest.raises(SpecError, match=r"student: must be of the SD 1.x shape .*\(got .*AutoencoderKL\)\. Cure:"):
        StockDecoderTask(job(chain, tiny_set, tmp_path, student=str(stock_student(tmp_path))), data)


def test_a_patch_that_no_doublings_reach_is_refused(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    student = tmp_path / "student"
    shutil.copytree(chain / "distilled" / "student", student)
    shutil.rmtree(student / "vae")
    PatchAutoencoder(patch=12, latent_channels=4, width=16, blocks=1).save_pretrained(student / "vae")
    with pytest.raises(SpecError, match=r"student: must have latents that doublings reach.*\(got 12\)"):
        StockDecoderTask(job(chain, tiny_set, tmp_path, student=str(student)), read_image_set(tiny_set))
