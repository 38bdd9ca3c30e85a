"""What every detector shows beside its number, found by registry: a new file in `qc/detectors` is tested as it is."""

import io
import itertools
from functools import cache

import numpy as np
import PIL.Image
import pytest
import torch
from torch.nn import functional as F

from benchmarks.qc_subjects import FAULTS, WHOLE, Subject, batch_of, draw, encoder, whitened
from qcgen.core.evidence import Record, Shown, evidence_file, read_record, write_record
from qcgen.models.find import embedded_models
from qcgen.qc.evidence import MOST_PX, Evidence, Explainer
from qcgen.qc.overlay import draw_overlay
from qcgen.qc.protocol import Batch, Detector
from qcgen.qc.registry import find_detectors
from tests.conformance.test_detectors import _batch, _odd, _pictures
from tests.randomclip import RandomClip

DETECTORS = sorted(find_detectors().items())
EXPLAINERS = [(name, one) for name, one in DETECTORS if isinstance(one, Explainer)]
_ODD = ("grey", "black", "white", "one_bright_pixel", "noise", "checker")
CLEAN = 0.1
"""Mean of a clean student picture's map, at most, on average over pictures: what is lit is the exception."""
LIT = 2.0
"""Times the clean mean, at least, with the detector's own fault at severity 4."""


@pytest.fixture(scope="module")
def random_clip() -> RandomClip:
    return RandomClip()


@cache
def _subjects(*, on_white: bool) -> tuple[Subject, ...]:
    """The embedded student's own pictures, made once."""
    if not {"apparel", "clip-apparel"} <= set(embedded_models()):
        pytest.skip("the embedded models are not in this tree")
    return tuple(whitened(draw(WHOLE[:4])) if on_white else draw(range(6)))


@cache
def _accepted() -> torch.Tensor:
    return encoder().encode_images(torch.stack([one.image for one in _subjects(on_white=False)]))


def _check(evidence: Evidence) -> None:
    assert evidence.says.endswith(".")
    if evidence.heat is not None:
        values = evidence.heat.values
        assert values.ndim == 2
        assert max(values.shape) <= MOST_PX
        assert bool(torch.isfinite(values).all())
        assert 0 <= float(values.min()) <= float(values.max()) <= 1
        assert evidence.heat.scale.low < evidence.heat.scale.high
    for box in evidence.boxes:
        assert 0 <= box.left <= box.right <= 1
        assert 0 <= box.top <= box.bottom <= 1
    if evidence.curve is not None:
        assert all(len(line.y) == len(evidence.curve.x) for line in evidence.curve.lines)
        x = evidence.curve.x
        step = (x[1] - x[0]) / 2 if evidence.curve.filled else 0  # a bar reaches half a step to either side
        assert all(x[0] - step <= mark <= x[-1] + step for mark in evidence.curve.marks)
    shown = (evidence.heat, evidence.curve, evidence.bars, evidence.boxes, evidence.swatches, evidence.neighbours)
    assert any(shown)


def _scored(detector: Detector, batch: Batch) -> list[int]:
    return [place for place, reason in enumerate(detector.score(batch).reasons) if reason is None]


@pytest.mark.parametrize(("name", "detector"), DETECTORS)
def test_a_detector_explains_what_it_scores_or_says_why_it_cannot(
    name: str, detector: Detector, random_clip: RandomClip
) -> None:
    if not isinstance(detector, Explainer):
        assert getattr(detector, "nothing_to_show", ""), f"{name}: write explain, or say why not in nothing_to_show"
        return
    batch = _batch(_pictures(), random_clip)
    for place in _scored(detector, batch):
        _check(detector.explain(batch, place))


@pytest.mark.parametrize(("name", "detector"), EXPLAINERS)
def test_evidence_is_kept_in_a_file_as_it_was(name: str, detector: Detector, random_clip: RandomClip, tmp_path) -> None:
    batch = _batch(_pictures(), random_clip)
    if set(detector.score(batch).reasons) == {"not_installed"}:
        pytest.skip(f"{name}: NOT TESTED, its extra is not installed")
    place = _scored(detector, batch)[0]
    one = detector.explain(batch, place)
    shown = Shown(
        name, "", 1.0, None, detector.unit, one.says, one.heat and one.heat.scale, None, None, one.curve, one.bars,
        one.boxes, one.swatches, one.facts, one.neighbours,
    )  # fmt: skip
    record = Record("0" * 32, "key", (shown,))
    path = evidence_file(tmp_path, record.image_id)
    path.parent.mkdir()
    path.write_text(write_record(record))
    assert read_record(tmp_path, record.image_id) == record


@pytest.mark.parametrize(("name", "detector"), EXPLAINERS)
def test_a_picture_is_explained_alike_alone_and_in_a_batch(
    name: str, detector: Detector, random_clip: RandomClip
) -> None:
    images = _pictures()
    together = _batch(images, random_clip)
    for place in _scored(detector, together)[:2]:
        alone, among = detector.explain(_batch(images, random_clip, [place]), 0), detector.explain(together, place)
        assert (alone.heat is None) == (among.heat is None)
        if alone.heat is not None and among.heat is not None:
            # float32 sums round differently for another batch size.
            torch.testing.assert_close(alone.heat.values, among.heat.values, rtol=1e-3, atol=1e-3)
        if alone.curve is not None and among.curve is not None:
            for one, other in zip(alone.curve.lines, among.curve.lines, strict=True):
                assert one.y == pytest.approx(other.y, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(("name", "detector"), EXPLAINERS)
def test_odd_pictures_that_have_a_score_are_explained_too(
    name: str, detector: Detector, random_clip: RandomClip
) -> None:
    for kind, (height, width) in itertools.product(_ODD, [(33, 65), (96, 130)]):
        batch = _batch(_odd(kind, height, width), random_clip)
        for place in _scored(detector, batch)[:1]:
            one = detector.explain(batch, place)
            _check(one)
            overlay = draw_overlay(one, height=height, width=width)
            assert overlay is None or max(PIL.Image.open(io.BytesIO(overlay)).size) <= MOST_PX


@pytest.mark.parametrize(("name", "detector"), EXPLAINERS)
def test_clean_pictures_are_dark_and_the_detectors_own_fault_lights_up(name: str, detector: Detector) -> None:
    fault = FAULTS.get(name)
    if fault is None:
        assert not _heats(detector, batch_of(_subjects(on_white=False), _accepted())), (
            f"{name} has a map: say in benchmarks/qc_subjects.py which fault it is made for"
        )
        return
    subjects = _subjects(on_white=fault.on_white)
    clean, spoiled = (
        _heats(detector, batch_of(group, _accepted())) for group in (subjects, [fault.spoil(one) for one in subjects])
    )
    if not clean and not spoiled:
        return  # it shows curves, bars or boxes
    assert np.mean(clean) < CLEAN
    assert np.mean(spoiled) > LIT * np.mean(clean)
    assert np.mean(spoiled) > 0.005


def _heats(detector: Detector, batch: Batch) -> list[float]:
    assert isinstance(detector, Explainer)
    found = [detector.explain(batch, place).heat for place in _scored(detector, batch)]
    return [float(one.values.mean()) for one in found if one is not None]


def test_maps_point_at_planted_specks() -> None:
    spoiled = [FAULTS["speckles"].spoil(one) for one in _subjects(on_white=True)]
    detector, batch = find_detectors()["speckles"], batch_of(spoiled)
    assert isinstance(detector, Explainer)
    found = []
    for place, one in enumerate(spoiled):
        heat = detector.explain(batch, place).heat
        assert heat is not None
        assert one.mask is not None
        near = F.max_pool2d(one.mask.float()[None, None], 5, stride=1, padding=2)[0, 0] > 0
        lit = heat.values > 0.5
        # By chance it would be the mask's share of the picture, about a fiftieth; clean packshots have a speck or none.
        assert float(near[lit].float().mean()) > 0.85
        found.append(float(lit[one.mask].float().mean()))
    # One that touches the product, as two to four of eight do on some pictures, is no speck.
    assert np.mean(found) > 0.7


def test_the_overlay_is_transparent_where_nothing_is_marked_and_gives_the_maps_values_back() -> None:
    clipping = find_detectors()["clipping"]
    assert isinstance(clipping, Explainer)
    image = torch.full((1, 3, 60, 90), 128, dtype=torch.uint8)
    image[:, :, 10:20, 30:50] = 255
    evidence = clipping.explain(Batch(image, [""], [{}]), 0)
    picture = PIL.Image.open(io.BytesIO(draw_overlay(evidence, height=60, width=90) or b""))
    assert (picture.mode, picture.size) == ("P", (90, 60))
    opacity = np.asarray(picture.convert("RGBA"))[..., 3] > 0
    assert np.array_equal(opacity, (image[0, 0] == 255).numpy())
    assert set(np.unique(np.asarray(picture))) == {0, 254}
    dark = torch.full((1, 3, 60, 90), 128, dtype=torch.uint8)
    assert draw_overlay(clipping.explain(Batch(dark, [""], [{}]), 0), height=60, width=90) is None
