"""The measurement end to end on small made-up domains: what is planted must be found, what is clean mostly not."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from pydantic import TypeAdapter
from torch.nn import functional as F

from qcgen.core.errors import SpecError
from qcgen.core.qcbenchresult import COPIES_BEYOND, QcBench, to_json
from qcgen.models.textreader import find_reader
from qcgen.pipeline.qcbench import FULL, QUICK, Settings, bench, for_the_layer
from qcgen.pipeline.qccopies import CHANGES, measure_copies
from qcgen.pipeline.qcdevices import compare_devices
from qcgen.pipeline.qcdomains import Picture, Pictures, Sizes, by_group, read_folder, read_picture, split
from qcgen.pipeline.qclayer import calibrated
from qcgen.pipeline.qcscores import Scorer, limit_of
from qcgen.qc.policy import Policy
from qcgen.qc.standing import verdicts
from qcgen.report.qcbench import write_qcbench_report
from tests.qc.seconddevice import NAME, second_device

SETTINGS = Settings(Sizes(calibrate=60, clean=20, corrupt=8, side=64), (3, 4), 0, True)
DETECTORS = ["blank", "clipping", "colour_match", "noise"]


def _pictures(name: str, count: int, seed: int, *, opinions: bool = False) -> Pictures:
    """Smooth coloured things on grey; bad ones by people's marks are grainy."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i in range(count):
        rough = torch.rand(1, 3, 6, 6, generator=generator)
        image = 0.35 + 0.3 * F.interpolate(rough, size=(64, 64), mode="bicubic", align_corners=False)[0]
        mark = float(i % 5) if opinions else None
        grain = 0.05 if mark == 0 else 0.004
        image = image + grain * torch.randn(image.shape, generator=generator)
        codes = (255 * image.clamp(0, 1)).round().to(torch.uint8)
        fields = {} if opinions else {"product": ("hat", "dress")[i % 2], "colour": ("red", "blue")[i % 2]}
        found.append(Picture(f"{name}/{i}", codes, f"prompt {i % 11}", fields, f"maker-{i % 2}", mark))
    vocabulary = {"product": ("dress", "hat"), "colour": ("blue", "red")}
    judged = tuple(found) if opinions else ()
    clean = tuple(one for one in found if not opinions or (one.opinion or 0) > 1)
    return Pictures(name, "made up", clean, {} if opinions else vocabulary, judged)


@pytest.fixture(scope="module")
def result() -> QcBench:
    domains = [_pictures("things", 88, 1), _pictures("marked", 110, 2, opinions=True)]
    told: list[tuple[int, int]] = []
    found = bench(
        domains,
        DETECTORS,
        settings=SETTINGS,
        asking=None,
        encoder=None,
        policies={},
        quality=("noise", "blank"),
        tell=lambda done, total: told.append((done, total)),
    )
    assert told[-1][0] == told[-1][1] == len(told)
    return found


def test_a_detector_with_a_limit_of_its_own_needs_no_clean_pictures_for_it() -> None:
    assert limit_of("text", [], 0.02) == 0.75
    assert limit_of("blank", [], 0.02) is None


def test_planted_defects_are_found_by_the_detector_they_are_for(result: QcBench) -> None:
    for domain in result.domains:
        noise = domain.detectors["noise"].curves["gaussian_noise"]
        assert noise.auroc[0] == 1.0
        assert noise.n == 8
        assert domain.detectors["blank"].curves["contrast_down"].auroc[0] == 1.0
        # Grain is nothing to a detector of clipped pixels in pictures of middle greys.
        assert domain.detectors["clipping"].curves["gaussian_noise"].auroc[0] == 0.5
    things, marked = result.domains
    assert things.detectors["blank"].curves["contrast_down"].recall == (1.0, 1.0)
    # Of 66 good pictures a half calibrates: too few for a limit at 2 %.
    assert marked.detectors["blank"].curves["contrast_down"].recall == (None, None)
    assert "gaussian_noise" in result.standings["noise"].passed["things"]


def test_what_the_pictures_gave_unspoiled_is_told_beside_what_they_give_spoiled(result: QcBench) -> None:
    for domain in result.domains:
        for name in ("blank", "noise"):
            one = domain.detectors[name]
            # Eight pictures of one kind against the others of it: between chance and what their draw allows.
            assert 0.1 < one.bases < 0.9
            assert one.curves["text_overlay"].n == 8


def test_a_wrong_colour_is_asked_for_only_where_the_domain_has_colours(result: QcBench) -> None:
    things, marked = result.domains
    assert "wrong_colour" in things.detectors["colour_match"].curves
    assert marked.detectors["colour_match"].curves == {}
    assert marked.detectors["colour_match"].scored == 0.0


@pytest.mark.skipif(find_reader() is None, reason="NOT TESTED: the extra ocr is not installed")
def test_a_slow_detector_is_shown_its_own_corruptions_alone_and_is_no_part_of_the_layer() -> None:
    settings = Settings(Sizes(calibrate=12, clean=6, corrupt=6, side=64), (5,), 0, True)
    found = bench(
        [_pictures("things", 24, 3)],
        ["noise", "text"],
        settings=settings,
        asking=None,
        encoder=None,
        policies={},
        quality=(),
        tell=lambda done, total: None,
    )
    (domain,) = found.domains
    assert set(domain.detectors["text"].curves) == {"text_overlay", "watermark"}
    assert domain.detectors["text"].curves["watermark"].auroc[0] > 0.7
    assert {"text_overlay", "gaussian_blur"} < set(domain.detectors["noise"].curves)
    assert all("text" not in layer.reasons for layer in domain.layers)
    assert domain.detectors["text"].alone_ms is None


def test_people_are_followed_by_the_detector_of_what_they_dislike(result: QcBench) -> None:
    assert result.people is not None
    assert result.people.bad == 22
    assert result.people.detectors["noise"].auroc == 1.0
    assert result.people.learned.auroc > 0.95
    assert result.people.weights["noise"] == max(result.people.weights.values())
    assert set(result.people.correlation) == {"all", "maker-0", "maker-1"}


def test_copies_of_every_kind_are_found_and_pairs_of_others_are_not(result: QcBench) -> None:
    for domain in result.domains:
        assert domain.copies is not None
        assert set(domain.copies.found) == set(CHANGES) > set(COPIES_BEYOND)
        assert {one.of for one in domain.copies.found.values()} == {40}
        assert domain.copies.found["mirror"].rate == domain.copies.found["rescale 0.7"].rate == 1.0
        assert (domain.copies.pairs.flagged, domain.copies.pairs.of) == (0, 780)
        told = {one.what: one.state for one in result.verdicts if (one.gate, one.domain) == ("A18", domain.name)}
        assert told["false pairs"] == "pass"
        assert set(told) == {"copies found", "false pairs"}


def test_a_second_device_is_held_against_the_cpu(result: QcBench, tmp_path: Path) -> None:
    pictures = _pictures("things", 88, 1).pictures
    policy = calibrated(Scorer(DETECTORS, None, {}).measure(pictures, slowly=0), DETECTORS, alpha=0.2)
    assert isinstance(policy, Policy)
    with second_device():
        devices = compare_devices(pictures[:8], policy, device=NAME)
    assert set(devices.apart) == set(DETECTORS)
    assert set(devices.apart.values()) == {0.0}
    assert (devices.verdicts.flagged, devices.verdicts.of) == (0, 8)
    told = verdicts(result.domains, None, devices, alpha=0.02)
    assert [one.state for one in told if one.gate == "determinism"] == ["pass"]
    apart = replace(devices, apart={**devices.apart, "noise": 2e-4, "blank": None})
    (worse,) = (one for one in verdicts(result.domains, None, apart, alpha=0.02) if one.gate == "determinism")
    assert (worse.state, worse.detector) == ("miss", "blank")
    page, _ = write_qcbench_report(replace(result, devices=apart), tmp_path)
    assert "2.0e-04" in page.read_text(encoding="utf-8")
    assert [one.state for one in result.verdicts if one.gate == "determinism"] == ["unmeasured"]


def test_a_second_device_without_a_calibrated_layer_is_told_with_the_reason(result: QcBench) -> None:
    def told(found: QcBench) -> str:
        return next(one.got for one in found.verdicts if one.gate == "determinism")

    assert told(result) == "needs a GPU"
    small = bench(
        [_pictures("things", 24, 3)],
        ["blank"],
        settings=Settings(Sizes(calibrate=12, clean=6, corrupt=6, side=64), (5,), 0, True),
        asking=None,
        encoder=None,
        policies={},
        quality=(),
        device=NAME,
        tell=lambda done, total: None,
    )
    assert small.devices is None
    assert told(small).startswith("no layer could be calibrated (things: ")
    assert "needs at least 98" in told(small)


def test_pictures_that_are_alike_count_as_false_pairs() -> None:
    smooth = _pictures("things", 6, 1).pictures
    alike = [replace(one, image=(smooth[0].image + i % 2).to(torch.uint8)) for i, one in enumerate(smooth)]
    found = measure_copies(alike)
    assert found is not None
    assert (found.pairs.flagged, found.pairs.of) == (5, 15)
    # Copies of copies are near to the first of them.
    assert found.found["mirror"].rate == 1.0
    assert measure_copies(alike[:1]) is None


def test_a_result_of_before_has_no_copies_and_a_page_all_the_same(result: QcBench, tmp_path: Path) -> None:
    plain = json.loads(to_json(result))
    for domain in plain["domains"]:
        del domain["copies"]
    again = TypeAdapter(QcBench).validate_python(plain)
    assert all(one.copies is None for one in again.domains)
    write_qcbench_report(again, tmp_path)
    assert "rescale 0.7" not in (tmp_path / "qc.md").read_text()


def test_every_target_has_a_state_and_a_reason(result: QcBench) -> None:
    assert {one.state for one in result.verdicts} == {"pass", "miss", "unmeasured"}
    assert all(one.got for one in result.verdicts)
    layer = next(one for one in result.verdicts if one.gate == "layer")
    assert layer.state == "unmeasured"
    assert "needs at least 98" in layer.got


def test_the_result_is_read_as_it_was_written_and_its_page_stands_alone(result: QcBench, tmp_path: Path) -> None:
    written = to_json(result)
    again = TypeAdapter(QcBench).validate_json(written)
    assert to_json(again) == written
    page, text = write_qcbench_report(again, tmp_path)
    html = page.read_text()
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "gaussian noise" in html
    assert "## Targets" in text.read_text()
    assert "| things | shift and mirror | pass |" in text.read_text()
    # What is shown only has no state, reached or not.
    for name in COPIES_BEYOND:
        assert f"| things | {name} |  |" in text.read_text()


def test_the_student_makes_enough_to_calibrate_the_whole_layer_in_the_full_settings_only() -> None:
    assert for_the_layer(25, QUICK) == 0
    # A half has a least p of 1 / (n + 1); with 25 detectors a clean picture reaches it 25 times as often.
    half = for_the_layer(25, FULL) // 2
    assert 25 / (half + 1) < 0.02
    wanted = for_the_layer(25, FULL) + FULL.sizes.clean + FULL.sizes.corrupt
    sizes = replace(FULL.sizes, calibrate=for_the_layer(25, FULL))
    assert len(split(_pictures_of(wanted), sizes, seed=0).calibrate) == 2 * half


def test_no_picture_is_in_two_parts_and_small_domains_calibrate_first() -> None:
    sizes = Sizes(400, 400, 100, 64)
    for count, calibrate in ((60, 30), (80, 49), (160, 98), (2000, 400)):
        parts = split(_pictures_of(count), sizes, seed=4)
        keys = [picture.key for part in (parts.calibrate, parts.clean, parts.corrupt) for picture in part]
        assert len(keys) == len(set(keys)) == min(count, sizes.most)
        assert len(parts.calibrate) == calibrate
        assert parts.clean
        assert parts.corrupt
    first, second = (split(_pictures_of(80), sizes, seed=seed).calibrate for seed in (1, 2))
    assert {one.key for one in first} != {one.key for one in second}


def _pictures_of(count: int) -> list[Picture]:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    return [Picture(str(i), image) for i in range(count)]


def test_a_folder_is_read_with_its_table_and_lossy_files_are_made_smaller(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    codes = np.random.default_rng(0).integers(0, 256, (100, 150, 3)).astype(np.uint8)
    PIL.Image.fromarray(codes).save(folder / "a.jpg")
    PIL.Image.fromarray(codes).save(folder / "b.png")
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["file", "generator", "prompt", "mos_quality"], ["a.jpg", "x", "p", "1"], ["b.png", "y", "q", "2"]]
        )
    read = read_folder("mine", folder, side=384)
    assert [one.opinion for one in read.judged] == [1.0, 2.0]
    assert [one.key for one in read.pictures] == ["mine/b.png"]
    assert [one.name for one in by_group(replace(read, pictures=read.judged))] == ["mine-x", "mine-y"]
    # People judged the files as they are, and so do the checks.
    assert [tuple(one.image.shape) for one in read.judged] == [(3, 100, 150)] * 2
    assert read_picture(folder / "a.jpg", side=384).shape == (3, 72, 104)
    assert read.pictures[0].image.shape == (3, 96, 144)
    assert read_picture(folder / "b.png", side=64).shape == (3, 64, 96)
    (folder / "c.png").write_bytes(b"no picture")
    with pytest.raises(SpecError, match=r"c\.png"):
        read_folder("mine", folder, side=384)
