"""A training that was cut off goes on where its last checkpoint was."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from qcgen.core.trainspec import AutoencoderTraining, ClipTraining, DataSpec, OptimSpec
from qcgen.data.imageset import read_image_set
from qcgen.models.checkpoint import save_state
from qcgen.train.autoencoder import AutoencoderTask
from qcgen.train.clip import ClipTask
from qcgen.train.loop import fit

_OPTIM = {"lr": 1e-3, "batch": 8, "steps": 5, "warmup": 2, "ema": 0.5}


class CutOffError(Exception):
    """Stands for whatever ends a process."""


def _autoencoder(data: Path, out: Path, init: Path | None = None, samples: Path | None = None) -> AutoencoderTask:
    spec = AutoencoderTraining(
        version=1,
        kind="autoencoder",
        name="a",
        out=out,
        data=DataSpec(path=data),
        optim=OptimSpec(**_OPTIM),
        latent_channels=4,
        width=16,
        blocks=1,
        context_blocks=1,
        crop=24,
        adversarial_start=0,
        init=init,
        samples=samples,
    )
    return AutoencoderTask(spec, read_image_set(data))


def _clip(data: Path, out: Path) -> ClipTask:
    spec = ClipTraining(
        version=1,
        kind="clip",
        name="c",
        out=out,
        data=DataSpec(path=data),
        optim=OptimSpec(**_OPTIM),
        image_size=32,
        vision_width=8,
        vision_layers=(1, 1, 1, 1),
        text_layers=1,
    )
    return ClipTask(spec, read_image_set(data))


@pytest.mark.parametrize(
    ("make", "weights"),
    [(_autoencoder, "vae/diffusion_pytorch_model.safetensors"), (_clip, "open_clip_model.safetensors")],
)
def test_a_training_that_was_cut_off_ends_bitwise_like_an_undisturbed_one(
    make: Callable[[Path, Path], AutoencoderTask | ClipTask], weights: str, tiny_set: Path, tmp_path: Path
) -> None:
    optim = OptimSpec(**_OPTIM)
    torch.set_num_threads(1)

    def run(out: Path, *, stop_at: int | None = None) -> bytes:
        task = make(tiny_set, out)
        loss = task.loss

        def cut_off(step: int, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
            if step == stop_at:
                raise CutOffError
            return loss(step, generator)

        task.loss = cut_off  # type: ignore[method-assign]
        fit(task, optim, folder=out, seed=3, checkpoint_every=2)
        return (out / weights).read_bytes()

    whole = run(tmp_path / "whole")
    with pytest.raises(CutOffError):
        run(tmp_path / "parts", stop_at=3)
    assert run(tmp_path / "parts") == whole


def test_a_second_stage_keeps_the_linear_part_and_learns_from_samples(tiny_set: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    first, second = tmp_path / "first", tmp_path / "second"
    optim = OptimSpec(**_OPTIM)
    fit(_autoencoder(tiny_set, first), optim, folder=first, seed=3, checkpoint_every=9)
    samples = tmp_path / "pairs.safetensors"
    save_state(samples, {"x_0": torch.randn(6, 4, 4, 4, generator=torch.Generator().manual_seed(0))})
    task = _autoencoder(tiny_set, second, first, samples)
    loss, numbers = task.loss(0, torch.Generator().manual_seed(0))
    assert numbers["critic"] > 0
    loss.backward()
    assert all(parameter.grad is not None for parameter in task.vae.middle.parameters())
    fit(task, optim, folder=second, seed=3, checkpoint_every=9)
    one, other = (load_file(out / "vae" / "diffusion_pytorch_model.safetensors") for out in (first, second))
    torch.testing.assert_close(one["analysis.weight"], other["analysis.weight"], rtol=0, atol=0)
    assert not torch.equal(one["leave.weight"], other["leave.weight"])
