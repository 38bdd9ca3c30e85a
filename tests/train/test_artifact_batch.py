"""What the artifact head learns from: blemishes stay in their place, and a spoiled picture has its clean twin."""

from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from torch.nn import functional as F

from qcgen.core.errors import SpecError
from qcgen.core.spec import load_yaml
from qcgen.core.trainspec import ArtifactHeadTraining, TrainSpec
from qcgen.data.imageset import read_image_set
from qcgen.pipeline.planted import planted
from qcgen.qc.imprint import imprint
from qcgen.train.artifactbatch import Batches
from qcgen.train.blemishes import CHANGES, blemish


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spec(tiny_set: Path, **changes: object) -> ArtifactHeadTraining:
    body = {
        "version": 1,
        "kind": "artifact_head",
        "name": "head",
        "out": "out",
        "student": "none",
        "data": {"path": tiny_set},
        "smallest": 24,
        "optim": {"lr": 1e-3, "batch": 12, "steps": 1, "warmup": 1},
        **changes,
    }
    return ArtifactHeadTraining.model_validate(body)


@pytest.mark.parametrize("name", CHANGES)
def test_a_blemish_changes_a_part_of_the_asked_area_and_nothing_else(name: str) -> None:
    image = torch.randint(0, 256, (3, 64, 80), generator=seeded(), dtype=torch.uint8)
    other = image.flip(2)
    covered = []
    for seed in range(20):
        spoiled, mask = blemish(CHANGES[name], image, other, area=0.05, generator=seeded(seed))
        assert torch.equal(spoiled[:, ~mask], image[:, ~mask])
        assert (spoiled != image).any(0)[mask].float().mean() > 0.5
        covered.append(float(mask.float().mean()))
    # A box of so much area, or the ellipse inside it; some lie across the frame.
    assert 0.025 < sum(covered) / len(covered) < 0.055
    again = blemish(CHANGES[name], image, other, area=0.05, generator=seeded(19))
    assert torch.equal(again[0], spoiled)
    assert torch.equal(again[1], mask)


@pytest.mark.parametrize("blemish_share", [0.0, 1.0])
def test_a_spoiled_picture_differs_from_its_clean_twin_where_the_mask_says(
    tiny_set: Path, blemish_share: float
) -> None:
    job = spec(tiny_set, blemish_share=blemish_share)
    batches = Batches(job, [read_image_set(tiny_set).images], planted(job).seen)
    generator, sides = seeded(), set()
    for _ in range(12):
        images, masks = batches.draw(generator)
        assert images.shape == (12, 3, *masks.shape[1:])
        sides.add(images.shape[-1])
        assert not masks[:6].any()
        away = (images[6:].short() - images[:6].short()).abs().amax(1)
        assert not (away > 3)[~masks[6:]].any()
        near = F.max_pool2d(away.float()[:, None], 5, 1, 2)[:, 0]
        assert (near > 3)[masks[6:]].all()
    assert sides <= {24, 32}
    assert len(sides) == 2


def test_an_imprint_covers_about_the_asked_area_and_changes_nothing_beside_its_letters() -> None:
    image = torch.randint(60, 200, (3, 96, 128), generator=seeded(), dtype=torch.uint8)
    covered = []
    for seed in range(40):
        found = imprint(image, 0.1, seeded(seed))
        assert found.mask is not None
        assert torch.equal(found.image[:, ~found.mask], image[:, ~found.mask])
        assert (found.image != image).any(0)[found.mask].float().mean() > 0.3
        rows, columns = torch.nonzero(found.mask, as_tuple=True)
        box = int((rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)) / image[0].numel()
        covered.append((box, float(found.mask.float().mean())))
        again = imprint(image, 0.1, seeded(seed))
        assert torch.equal(again.image, found.image)
    # A quarter are repeated over the whole picture; strokes fill up to half of a line's box.
    assert 0.03 < sorted(box for box, _ in covered)[10] < 0.15
    assert sum(box > 0.8 for box, _ in covered) >= 3
    assert 0.01 < sum(ink for _, ink in covered) / len(covered) < 0.15


def test_a_collage_shows_several_pictures(tiny_set: Path) -> None:
    images = torch.stack([torch.full((3, 32, 32), code, dtype=torch.uint8) for code in range(10, 250, 10)])
    tones = []
    for share in (0.0, 1.0):
        job = spec(tiny_set, worn_share=0, collage_share=share)
        clean = Batches(job, [images], planted(job).seen).draw(seeded(3))[0][:6]
        tones.append([len(one.unique()) for one in clean])
    assert set(tones[0]) == {1}
    assert min(tones[1]) >= 3


def test_the_same_seed_draws_the_same_batch(tiny_set: Path) -> None:
    job = spec(tiny_set, worn_share=1.0)
    batches = Batches(job, [read_image_set(tiny_set).images], planted(job).seen)
    once, again = batches.draw(seeded(5)), batches.draw(seeded(5))
    assert torch.equal(once[0], again[0])
    assert torch.equal(once[1], again[1])
    assert not torch.equal(once[0], batches.draw(seeded(6))[0])


@pytest.mark.parametrize("area", ["0, 0.1", "0.2, 0.1", "0.2, 1"])
def test_a_batch_without_twins_and_an_area_that_no_picture_has_are_told_together(area: str, tmp_path: Path) -> None:
    path = tmp_path / "head.yaml"
    body = "version: 1\nkind: artifact_head\nname: h\nout: o\nstudent: s\ndata: {path: d}\n"
    path.write_text(f"{body}optim: {{lr: 0.1, batch: 1, steps: 1}}\narea: [{area}]\n")
    with pytest.raises(SpecError) as caught:
        load_yaml(path, TypeAdapter(TrainSpec))
    assert [problem.removeprefix(f"{path}:") for problem in caught.value.problems] == [
        "7 optim.batch: must be at least 2 (got 1). Nearest: 2.",
        f"8 area: must rise within 0..1 (got {area}). The smallest share first, both above 0 and below 1.",
    ]


def test_the_smallest_batch_has_one_of_each_and_one_area_is_allowed(tiny_set: Path) -> None:
    job = spec(tiny_set, area=(0.1, 0.1), optim={"lr": 1e-3, "batch": 2, "steps": 1})
    images, masks = Batches(job, [read_image_set(tiny_set).images], planted(job).seen).draw(seeded())
    assert len(images) == len(masks) == 2
    assert not masks[0].any()
