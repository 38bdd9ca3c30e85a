"""`qcgen eval` and `qcgen models card` as a person types them: mistakes first, then a whole evaluation."""

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch.nn import functional as F

from qcgen.cli.evaluate import best_scales, render
from qcgen.cli.main import main
from qcgen.pipeline.evaluate import Estimate, Evaluation, Histogram, Source


def _write_set(path: Path, n: int) -> Path:
    """An image set of smooth random pictures: no two are near-duplicates."""
    coarse = torch.rand((n, 3, 5, 5), generator=torch.Generator().manual_seed(1))
    images = (F.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)
    files = []
    for image in images:
        buffer = io.BytesIO()
        PIL.Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "WEBP", quality=80)
        files.append(buffer.getvalue())
    colours = np.array([("red", "blue", "green")[i % 3] for i in range(n)])
    products = [("dress", "hat")[i % 2] for i in range(n)]
    np.savez(
        path,
        webp=np.frombuffer(b"".join(files), dtype=np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        label=np.zeros(n, dtype=np.int64),
        classes=np.array(["dress", "hat"]),
        colour=colours,
        colour_share=np.ones(n),
        caption=np.array(
            [f"a photo of a {colour} {product}" for colour, product in zip(colours, products, strict=True)]
        ),
        id=np.arange(n).astype(str),
    )
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["embedded:clip-apparel", "--data", "x.npz"], "neither a student nor a teacher (its card says clip"),
        (["toy:32", "--data", "missing.npz"], "missing.npz: no such image set"),
        (["toy:32", "--data", "x.npz", "--guidance", "2"], "--guidance: is for a teacher"),
        (["toy:32", "--data", "x.npz", "--steps", "5"], "--steps: is for a teacher"),
        (["embedded:teacher-apparel", "--data", "x.npz", "--guidance", "2,wide"], "--guidance: must be numbers"),
        (
            ["toy:32", "--data", "x.npz", "--against", "embedded:teacher-apparel", "--guidance", "1.5,2"],
            "--guidance: must be one number with --against",
        ),
    ],
)
def test_a_mistake_is_named_before_anything_is_made(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_teachers_evaluation_alone_makes_no_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "card", "embedded:apparel", "--teacher-eval", "t.json"]) == 2
    assert "--teacher-eval: needs --eval" in capsys.readouterr().err


def test_a_file_that_is_no_image_set_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"this is no archive")
    assert main(["eval", "toy:32", "--data", str(broken)]) == 2
    assert "broken.npz" in capsys.readouterr().err


def test_an_evaluation_prints_one_object_and_writes_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = _write_set(tmp_path / "set.npz", 1000), tmp_path / "toy.json"
    told = ["eval", "toy:32", "--data", str(data), "--against", "toy:64", "--count", "260"]
    assert main([*told, "--cache", str(tmp_path / "cache"), "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert printed.pop("out") == str(out)
    assert printed == json.loads(out.read_text())
    assert printed["against"]["model"]["name"] == "toy:64"
    assert printed["ratios"]["frechet"]["error"] > 0
    assert printed["encoder"]["name"] == "embedded:clip-apparel"
    assert all(json.loads(line)["event"] for line in captured.err.splitlines() if line.startswith("{"))


def test_a_sweep_names_the_best_guidance_by_both_measures_and_how_sure_that_is() -> None:
    def at(guidance: float, frechet: float, top1: float) -> Evaluation:
        numbers = {"frechet": frechet, "product_top1": top1}
        return Evaluation(
            model=Source("t", "d"),
            kind="teacher",
            network_calls=40,
            guidance_scale=guidance,
            encoder=Source("e", "e"),
            data=Source("s", "s"),
            real=1000,
            held_out=100,
            n=200,
            seed=0,
            machine="",
            pictures_per_second=1.0,
            measures={
                name: Estimate(value, 0.1, 200, "x 100", "lower", "bootstrap") for name, value in numbers.items()
            },
            nearest=Histogram((0.0, 1.0), (1,), (1,)),
            prompts=(),
            repeated={name: (value * 0.9, value * 1.1) for name, value in numbers.items()},
        )

    sweep = [at(1.5, 3.0, 0.4), at(2.0, 2.0, 0.5), at(3.0, 2.5, 0.6)]
    best = best_scales(sweep)
    assert best["frechet"].startswith("2 (0.800 ± ")
    assert best["product_top1"].startswith("3 (1.200 ± ")
    assert best_scales(sweep[:1]) == {}
    table = render(sweep)
    assert all(f"guidance {scale}" in table for scale in ("1.5", "2", "3"))
