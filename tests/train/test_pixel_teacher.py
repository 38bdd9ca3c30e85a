"""A pixel teacher from a job to a student: grey pictures in blocks, a split that the set brings itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import SpecError
from qcgen.core.trainspec import PixelTeacherTraining
from qcgen.data.imageset import read_image_set, write_image_set
from qcgen.models.codec import PixelCodec
from qcgen.models.embedded import load_student
from qcgen.models.find import resolve_model
from qcgen.models.parts import find_parts
from qcgen.pipeline.sampling import sample_teacher
from qcgen.pipeline.train import run_training
from tests.train.tinychain import distil

CLASSES = ("a photo of a grey bar", "a photo of a grey spot")


@pytest.fixture(scope="module")
def grey_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 grey pictures of 16 px in two classes; every fifth is held out."""
    path = tmp_path_factory.mktemp("grey") / "grey.npz"
    grey = torch.full((60, 1, 16, 16), 20, dtype=torch.uint8)
    grey[::2, :, :, 6:10] = 220
    grey[1::2, :, 4:12, 4:12] = 220
    write_image_set(
        path,
        grey.expand(-1, 3, -1, -1),
        captions=[CLASSES[row % 2] for row in range(60)],
        products=[("bar", "spot")[row % 2] for row in range(60)],
        colours=["grey"] * 60,
        ids=[f"row-{row}" for row in range(60)],
        held_out=torch.arange(60) % 5 == 0,
    )
    return path


def training(out: Path, data: Path, **change: object) -> PixelTeacherTraining:
    given: dict[str, object] = {
        "version": 1,
        "kind": "pixel_teacher",
        "name": "tiny",
        "out": out,
        "data": {"path": data},
        "grey": True,
        "patch": 2,
        "channels": [8, 16],
        "sigma_data": 0.8,
        "optim": {"lr": 0.003, "batch": 16, "steps": 150, "warmup": 5, "ema": 0.9},
        "threads": 1,
    }
    return PixelTeacherTraining.model_validate({**given, **change})


def test_a_pixel_teacher_is_trained_sampled_and_distilled(grey_set: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run_training(training(tmp_path / "teacher", grey_set), say=lambda _: None)
    log = [json.loads(line)["loss"] for line in (tmp_path / "teacher" / "log.jsonl").read_text().splitlines()]
    # An untrained network's loss is about 1, the target's own variance.
    assert 0.5 < log[0] < 2
    assert min(log[-3:]) < 0.6 * log[0]
    parts = find_parts(tmp_path / "teacher")
    assert (parts.size_px, parts.latent_shape, parts.guidable) == (16, (4, 8, 8), False)
    sampler = sample_teacher(resolve_model(str(tmp_path / "teacher")), steps=9, guidance_scale=1.0)
    assert (sampler.network_calls, sampler.solver_steps) == (17, 9)
    made = sampler(CLASSES, [1, 1]).float()
    assert made.shape == (2, 3, 16, 16)
    assert torch.equal(made[:, 0], made[:, 2])
    # Only the bar reaches the upper edge, only the spot the sides of the middle.
    edge, side = made[:, 0, 0:2, 7:9].mean((1, 2)), made[:, 0, 6:10, 4:5].mean((1, 2))
    assert edge[0] > edge[1] + 60
    assert side[1] > side[0] + 60

    spec = DistillSpec.model_validate(
        {
            "version": 1,
            "name": "tiny",
            "teacher": tmp_path / "teacher",
            "out": tmp_path / "distilled",
            "captions": grey_set,
            "captions_licence": "CC0-1.0",
            "guidance_scale": 1,
            "optim": {"batch": 8, "steps": 2, "lr": 1e-4},
            "ratio": {"bins": 2, "ema": 0.9},
            "gan": {"width": 8},
            "fake": {"warmup": 1, "updates": 1},
            "pairs": {"count": 8, "solver_steps": 4, "steps": 2},
            "threads": 1,
        }
    )
    folder = distil(spec)
    student = load_student(resolve_model(str(folder)), dtype="float32")
    noise = torch.randn((2, *student.latent_shape), generator=torch.Generator().manual_seed(3))
    pictures = student.decode(student.generate(noise, student.embed(CLASSES)))
    assert pictures.shape == (2, 3, 16, 16)
    assert bool(torch.isfinite(pictures).all())


def test_pictures_in_blocks_come_back_as_they_were() -> None:
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    coloured, grey = PixelCodec(3, 4), PixelCodec(1, 2)
    torch.testing.assert_close(coloured.decode(coloured.encode(images)), images / 2 + 0.5)
    assert grey.encode(images).shape == (2, 4, 4, 4)
    once = grey.decode(grey.encode(images))
    torch.testing.assert_close(once[:, 1], images.mean(1) / 2 + 0.5)


def test_a_set_with_its_own_split_keeps_it_and_its_pixels(grey_set: Path) -> None:
    data = read_image_set(grey_set)
    assert data.rows(held_out=True).tolist() == list(range(0, 60, 5))
    assert bool((data.images[0, :, :, 6:10] == 220).all())
    assert set(data.products) == {"bar", "spot"}


@pytest.mark.parametrize("split", [np.zeros(60, bool), np.ones(60, bool), np.zeros(59, bool), np.arange(60)])
def test_a_split_that_is_none_is_refused(split: np.ndarray, grey_set: Path, tmp_path: Path) -> None:
    with np.load(grey_set) as packed:
        fields = {name: packed[name] for name in packed.files}
    np.savez(tmp_path / "broken.npz", **{**fields, "held_out": split})
    with pytest.raises(SpecError, match=r"held_out must be one bool for each of the 60 pictures.*Cure"):
        read_image_set(tmp_path / "broken.npz")


@pytest.mark.parametrize("shape", [(16, 15), (18, 18)])
def test_pictures_that_the_resolutions_do_not_divide_are_refused(shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    write_image_set(
        path,
        torch.zeros((4, 3, *shape), dtype=torch.uint8),
        captions=["a photo of a grey bar"] * 4,
        products=["bar"] * 4,
        colours=["grey"] * 4,
        ids=list("abcd"),
        held_out=torch.tensor([True, False, False, False]),
    )
    with pytest.raises(SpecError, match=r"a multiple of 4 \(got .*Cure"):
        run_training(training(tmp_path / "out", path), say=lambda _: None)
