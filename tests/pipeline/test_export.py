"""A student for programs without qcgen: same pictures, no wrong use, licence and lineage with it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from qcgen.cli.main import main
from qcgen.core.errors import BlockedError, IntegrityError, SpecError
from qcgen.generate.noise import stack_noise
from qcgen.models.card import digest, read_card
from qcgen.models.codec import LatentCodec, load_vae
from qcgen.models.embedded import load_student
from qcgen.models.families.sd15 import Sd15Student
from qcgen.models.find import ASSETS, resolve_model
from qcgen.pipeline.export import LATENT_TOLERANCE, PIXEL_TOLERANCE, Exported, export_stock
from tests.distill.stockstudent import declare, stock_student, stock_vae
from tests.train.tinyfamilies import tiny_family

# Run where nothing of qcgen can be imported: folders and diffusers alone.
_STRANGER = """
import sys, json, numpy as np, torch
from diffusers import DiffusionPipeline
told = []
for folder in sys.argv[1:]:
    pipe = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    def draw(seed, **how):
        generator = torch.Generator("cpu").manual_seed(seed)
        return pipe("a photo of a red dress", generator=generator, output_type="np", **how).images[0]
    right = {"num_inference_steps": 1, "guidance_scale": 0}
    seeds = np.stack([draw(seed, **right) for seed in (0, 7, 2**32 - 1)])
    side = pipe.unet.config.sample_size
    noise = torch.full((1, pipe.unet.config.in_channels, side, side), 0.5)
    latents = pipe("a photo of a red dress", latents=noise, output_type="latent", **right).images
    try:
        draw(0)
        refused = ""
    except ValueError as error:
        refused = str(error)
    guided = draw(7, num_inference_steps=1)
    strong = draw(7, num_inference_steps=1, guidance_scale=12.0)
    np.savez(folder + ".npz", seeds=seeds, latents=latents.numpy(), guided=guided, strong=strong)
    told.append({"refused": refused, "class": type(pipe).__name__, "decoder": type(pipe.vae).__name__})
own = [name for name in sys.modules if name == "qcgen" or name.startswith("qcgen.")]
print(json.dumps({"own": own, "told": told}))
"""


def export(student: Path | str, folder: Path, said: list[str] | None = None, **changes: object) -> Exported:
    options: dict[str, object] = {"vae": None, "purpose": "commercial", **changes}
    say = [].append if said is None else said.append
    return export_stock(resolve_model(str(student)), folder, say=say, **options)  # type: ignore[arg-type]


def test_a_stranger_with_diffusers_alone_draws_the_same_and_cannot_go_wrong(tmp_path: Path) -> None:
    kinds = {"epsilon": 399, "v_prediction": 999}
    models = {
        name: str(stock_student(tmp_path / name, prediction=name, t_init=t_init)) for name, t_init in kinds.items()
    }
    # The shipped one decodes with a class of our own; the export takes a stock decoder instead.
    models["apparel"] = "embedded:apparel"
    decoders = dict.fromkeys(kinds, "AutoencoderKL") | {"apparel": "AutoencoderTiny"}
    folders = [tmp_path / name / "stock" for name in models]
    for model, folder in zip(models.values(), folders, strict=True):
        assert export(model, folder).latents <= LATENT_TOLERANCE
    # Isolated: neither this folder nor the environment's paths are on the other program's path.
    script = [sys.executable, "-I", "-c", _STRANGER, *map(str, folders)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["own"] == []
    for (name, model), folder, told in zip(models.items(), folders, answer["told"], strict=True):
        assert told["class"] == "StableDiffusionPipeline"
        assert told["decoder"] == decoders[name]
        assert "steps" in told["refused"]
        student = load_student(resolve_model(model), dtype="float32")
        assert isinstance(student, Sd15Student)
        seen = np.load(folder.with_suffix(".npz"))
        cond = student.embed(["a photo of a red dress"])
        latents = student.generate(torch.full((1, *student.latent_shape), 0.5), cond)
        assert np.abs(seen["latents"] - latents.numpy()).max() <= LATENT_TOLERANCE
        noise = stack_noise([0, 7, 2**32 - 1], student.latent_shape)
        shipped = LatentCodec(load_vae(ASSETS / "stock-decoder-apparel", "cpu"))
        decode = student.decode if name in kinds else shipped.decode
        drawn = decode(student.generate(noise, cond.expand(3, -1, -1))).clamp(0, 1)
        mine = drawn.permute(0, 2, 3, 1).numpy()
        assert np.abs(seen["seeds"] - mine).max() <= PIXEL_TOLERANCE
        # Any guidance gives the same picture from one call.
        assert np.abs(seen["guided"] - mine[1]).max() <= PIXEL_TOLERANCE
        assert np.abs(seen["strong"] - mine[1]).max() <= PIXEL_TOLERANCE


def test_the_folder_holds_safetensors_a_card_the_descent_and_no_places(tmp_path: Path) -> None:
    student, folder = stock_student(tmp_path), tmp_path / "stock"
    export(student, folder)
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json", ".md"}
    assert all(str(tmp_path) not in path.read_text() for path in folder.rglob("*.json"))
    assert read_card(folder).lineage == read_card(student).lineage
    assert digest(student) in read_card(folder).notes["exported_from"]
    page = (folder / "README.md").read_text()
    assert page.startswith('---\nlicense: "apache-2.0"\nlibrary_name: diffusers\n')
    assert "| distilled from teacher | Apache-2.0 | commercial and research | |" in page
    assert "num_inference_steps=1, guidance_scale=0" in page
    # qcgen itself takes the folder for the student it is.
    again = load_student(resolve_model(str(folder)), dtype="float32")
    mine = load_student(resolve_model(str(student)), dtype="float32")
    noise = stack_noise([5], mine.latent_shape)
    prompt = ["a photo of a hat"]
    torch.testing.assert_close(
        again.generate(noise, again.embed(prompt)), mine.generate(noise, mine.embed(prompt)), rtol=0, atol=1e-5
    )
    with pytest.raises(SpecError, match=r"--out: must be a new or empty folder"):
        export(student, folder)


def test_the_embedded_student_takes_the_embedded_decoder_of_its_latents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stock"
    command = ["models", "export", "embedded:apparel", "--out", str(out), "--purpose", "commercial", "--json"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "decoder: embedded:stock-decoder-apparel, because PatchAutoencoder is no class of diffusers" in told.err
    assert "warn" not in told.err
    # Mean over photos in the decoder's card: above 30 dB; four pictures lie apart from that by a few dB.
    assert json.loads(told.out)["decoder_db"] > 25
    card, decoder = read_card(out), resolve_model("embedded:stock-decoder-apparel")
    edge = next(edge for edge in card.lineage if edge.relation == "decodes_with")
    assert (edge.parent, edge.digest) == ("stock-decoder-apparel", decoder.digest)
    assert card.measures == {}
    assert "it agrees with the student's own to" in (out / "README.md").read_text()


def test_a_student_of_other_latents_says_why_it_cannot_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(ASSETS / "apparel", student)
    weights = student / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["analysis.weight"] = tensors["analysis.weight"].flip(0).contiguous()
    save_file(tensors, weights)
    assert main(["models", "export", str(student), "--out", str(tmp_path / "stock")]) == 2
    told = capsys.readouterr().err
    assert "decodes with PatchAutoencoder, which is no class of diffusers" in told
    assert "--vae DIR" in told
    assert "12 x 16 x 16 for 128 px" in told
    assert not (tmp_path / "stock").exists()


@pytest.mark.parametrize("tiny", [False, True])
def test_the_embedded_student_takes_a_stock_decoder_of_its_latents(tiny: bool, tmp_path: Path) -> None:
    wide = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4} if tiny else {}
    more = {"num_encoder_blocks": (1,) * 4, "num_decoder_blocks": (1,) * 4} if tiny else {"scaling_factor": 1.0}
    deep = {} if tiny else {"block_out_channels": (8,) * 4, **_kinds(4)}
    vae = stock_vae(tmp_path / "vae", tiny=tiny, **{"latent_channels": 12, **wide, **more, **deep})
    declare(vae, kind="vae", licence="MIT", lineage=({"relation": "trained_on", "parent": "art", "licence": "CC0"},))
    said: list[str] = []
    made = export_stock(
        resolve_model("embedded:apparel"), tmp_path / "stock", vae=vae, purpose="commercial", say=said.append
    )
    # A random decoder agrees with nothing, and is not passed over in silence.
    assert made.decoder_db is not None
    assert made.decoder_db < 15
    assert any("dB only" in line for line in said)
    edges = {(edge.relation, edge.parent, edge.licence) for edge in read_card(tmp_path / "stock").lineage}
    assert {("decodes_with", "vae", "MIT"), ("trained_on", "art", "CC0")} <= edges
    assert read_card(tmp_path / "stock").measures == {}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"latent_channels": 3}, "must take 4 latent channels (got 3)"),
        ({"scaling_factor": 0.18215}, "must have scaling_factor 0.5 (got 0.18215)"),
        ({"scaling_factor": 0.5, "shift_factor": 0.1}, "must have no shift_factor"),
        ({"scaling_factor": 0.5, "block_out_channels": (8, 8)}, "must make 32 px of 8 (got 16)"),
    ],
)
def test_a_decoder_of_other_latents_is_refused(change: dict[str, object], told: str, tmp_path: Path) -> None:
    layers = _kinds(len(change.get("block_out_channels", (8, 8, 8))))  # type: ignore[arg-type]
    vae = stock_vae(tmp_path / "vae", **{**layers, **change})
    declare(vae, kind="vae", licence="MIT")
    with pytest.raises(SpecError) as caught:
        export(stock_student(tmp_path), tmp_path / "stock", vae=vae)
    assert any(told in problem and "Cure:" in problem for problem in caught.value.problems)
    assert not list(tmp_path.glob("stock*"))


def test_a_folder_of_another_name_stays_and_the_working_folder_is_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "stock.part" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    student = stock_student(tmp_path / "student")
    export(student, tmp_path / "stock")
    assert kept.read_text() == "mine"
    assert {path.name for path in tmp_path.glob("stock*")} == {"stock", "stock.part"}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(SpecError, match="--out: must be a new or empty folder"):
        export(student, Path())


def test_the_gate_is_asked_again_at_export(tmp_path: Path) -> None:
    student = stock_student(tmp_path)
    edges = ({"relation": "distilled_from", "parent": "t", "licence": "flux-1-dev-non-commercial-license"},)
    declare(student, kind="student", licence="Apache-2.0", lineage=edges)
    with pytest.raises(BlockedError, match=r"STUDENT: distilled_from t is under .* research only"):
        export(student, tmp_path / "stock")
    assert not (tmp_path / "stock").exists()
    export(student, tmp_path / "stock", purpose="research")
    page = (tmp_path / "stock" / "README.md").read_text()
    row = "| distilled from t | flux-1-dev-non-commercial-license | research only | no commercial use of the model. "
    assert row in page


@pytest.mark.parametrize("name", ["sdxl", "toy"])
def test_students_of_other_families_are_told_that_they_have_no_stock_export(name: str, tmp_path: Path) -> None:
    folder = tiny_family(name, tmp_path / name)
    for model in (str(folder), "toy:32") if name == "toy" else (str(folder),):
        with pytest.raises(SpecError, match=rf"STUDENT: must be of the family sd15, .* \(got {name}\)\. Cure:"):
            export_stock(resolve_model(model), tmp_path / "stock", vae=None, purpose="research", say=[].append)


def test_pictures_that_are_not_finite_are_not_handed_out(tmp_path: Path) -> None:
    student = stock_student(tmp_path)
    weights = student / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_out.bias"].fill_(torch.nan)
    save_file(tensors, weights)
    with pytest.raises(IntegrityError, match="draws other pictures"):
        export(student, tmp_path / "stock")
    assert not list(tmp_path.glob("stock*"))


def _kinds(count: int) -> dict[str, object]:
    return {"down_block_types": ("DownEncoderBlock2D",) * count, "up_block_types": ("UpDecoderBlock2D",) * count}
