"""The dry run: counts, bytes, hours, disk and gate, from a job alone."""

import json
from pathlib import Path

import pytest

from qcgen.cli.console import plain
from qcgen.core.expand import expand
from qcgen.core.job import JobSpec
from qcgen.core.types import Finding, Severity
from qcgen.pipeline.plan import DISK_RESERVE, Plan, make_plan


def plan_of(
    *, free: int = 10**12, speed: float | None = None, findings: tuple[Finding, ...] = (), image_format: str = "png"
) -> Plan:
    job = JobSpec.model_validate(
        {
            "version": 1,
            "name": "j",
            "model": "m",
            "purpose": "research",
            "items": {
                "prompt": "a {product}",
                "matrix": {"product": ("hat", "bag", "shoe"), "colour": ("red", "blue")},
                "images_per_item": 30,
            },
            "output": {"dir": "out", "format": image_format},
        }
    )
    expansion = expand(job, Path("none.yaml"), model_digest="d" * 64, size_px=128)
    return make_plan(job, expansion, findings, free_bytes=free, images_per_second=speed)


def test_a_plan_counts_items_prompts_and_shards() -> None:
    plan = plan_of()
    assert (plan.rows, plan.items, plan.unique_prompts, plan.shards) == (6, 180, 3, 3)
    assert [item.index for item in plan.first_items] == [0, 1, 2, 3, 4]


def test_bytes_are_items_times_the_stated_assumption() -> None:
    plan = plan_of()
    assert set(plan.bytes_by_format) == {"png", "jpeg", "webp"}
    for name, total in plan.bytes_by_format.items():
        assert total == 180 * plan.bytes_per_image[name]
    assert plan.bytes_by_format["webp"] < plan.bytes_by_format["jpeg"] < plan.bytes_by_format["png"] < plan.bytes_needed


def test_the_disk_must_hold_images_rows_and_a_reserve() -> None:
    needed = plan_of().bytes_needed
    assert needed > DISK_RESERVE
    assert plan_of(free=needed).disk_ok
    assert not plan_of(free=needed - 1).disk_ok
    assert plan_of(image_format="webp").bytes_needed < needed


def test_hours_need_a_measured_speed() -> None:
    assert plan_of().hours is None
    assert plan_of(speed=0.5).hours == pytest.approx(0.1)  # 180 images at one in two seconds: six minutes


def test_a_blocking_finding_blocks_and_a_warning_does_not() -> None:
    warning, block = Finding("w", Severity.WARN, "careful"), Finding("b", Severity.BLOCK, "no")
    assert not plan_of(findings=(warning,)).blocked
    assert plan_of(findings=(warning, block)).blocked


def test_a_plan_is_one_json_object() -> None:
    plan = plan_of(findings=(Finding("b", Severity.BLOCK, "no", evidence={"licence": "x"}),))
    body = json.loads(json.dumps(plain(plan), allow_nan=False))
    assert body["items"] == 180
    assert body["findings"][0]["severity"] == "block"
    assert body["first_items"][0]["prompt"] == "a hat"


def test_planning_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan_of()
    assert list(tmp_path.iterdir()) == []
