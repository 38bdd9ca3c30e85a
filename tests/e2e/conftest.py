"""A whole run on small real parts: the toy student, a tiny CLIP of random weights, a profile without calibration."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qcgen.cli.main import main

Qcgen = Callable[..., tuple[int, str, str]]

PROFILE = {
    "version": 1,
    "name": "plain",
    "alpha": 0.02,
    "near_duplicate_bits": 0,
    "calibration": None,
    "detectors": {
        "blank": {"required": True, "ceiling": -0.602},
        "colour_match": {"importance": 0},
        "clip_similarity": {"importance": 0, "required": True},
    },
}


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local open_clip folder; its numbers mean nothing, its way through the code is the real one."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    model = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    weights = open_clip.CLIP(**model).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "open_clip_model.safetensors")
    preprocess = {"size": 32, "mode": "RGB", "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": preprocess}))
    return folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to start qcgen in, with the profile."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.json").write_text(json.dumps(PROFILE))
    return tmp_path


@pytest.fixture
def write_job(workplace: Path, tiny_clip: Path) -> Callable[..., Path]:
    """Writes `jobs/table.csv` and `jobs/job.yaml` for it; keyword arguments replace top-level keys."""

    def write(rows: list[tuple[str, str, str]], *, images_per_item: int = 4, **changes: object) -> Path:
        folder = workplace / "jobs"
        folder.mkdir(exist_ok=True)
        lines = ["sku,product,colour", *(",".join(row) for row in rows)]
        (folder / "table.csv").write_text("\n".join(lines) + "\n")
        job: dict[str, object] = {
            "version": 1,
            "name": "toy-catalogue",
            "model": "toy:64",
            "purpose": "research",
            "items": {
                "table": "table.csv",
                "prompt": "a photo of a {colour} {product}",
                "images_per_item": images_per_item,
                "seed": 7,
            },
            "output": {"dir": "out/toy"},
            "qc": {"profile": "plain.json", "clip": {"model": str(tiny_clip)}, "gate": {"aql": 10, "flag_rate": 1.0}},
            "report": {"formats": ["html", "csv"]},
        }
        path = folder / "job.yaml"
        # JSON is YAML.
        path.write_text(json.dumps(job | changes, indent=1))
        return path

    return write


@pytest.fixture
def qcgen(workplace: Path, capfd: pytest.CaptureFixture[str]) -> Qcgen:
    """Runs a command in the work place; gives its exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return call
