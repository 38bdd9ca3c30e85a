"""A detector without a passing table of its own version never gates."""

import json
from pathlib import Path

import pytest

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.qcbenchresult import Standing
from qcgen.qc import policy, proof
from qcgen.qc.policy import load_policy
from qcgen.qc.profile import find_profile, read_profile
from qcgen.qc.registry import find_detectors

PASSED = Standing(1, {"shoes": ("gaussian_blur",)}, {})
FAILED = Standing(1, {}, {"shoes": ("crop",)})


def _write(folder: Path, name: str, standing: Standing, waived: str | None = None) -> None:
    [path] = proof.write_proofs({name: standing}, domains=["shoes"], made="now", quick=False, at=folder)
    if waived:
        path.write_text(json.dumps({**json.loads(path.read_text()), "waived": waived}))


def test_a_passing_table_of_this_version_lets_a_detector_gate(tmp_path: Path) -> None:
    _write(tmp_path, "blur", PASSED)
    assert proof.examine({"blur": 1}, at=tmp_path) == ([], [])


def test_no_table_another_version_and_a_failing_one_are_refused_with_a_cure(tmp_path: Path) -> None:
    _write(tmp_path, "old", PASSED)
    _write(tmp_path, "weak", FAILED)
    refused, warned = proof.examine({"new": 1, "old": 2, "weak": 1}, at=tmp_path)
    assert [line.split(":")[0] for line in refused] == ["new", "old", "weak"]
    assert all("Cure: set its importance to 0, or measure it: qcgen bench qc --only" in line for line in refused)
    assert warned == []


def test_a_waiver_lets_gate_with_a_warning_and_dies_with_the_version_or_a_pass(tmp_path: Path) -> None:
    _write(tmp_path, "weak", FAILED, waived="the demo needs it")
    refused, warned = proof.examine({"weak": 1}, at=tmp_path)
    assert refused == []
    assert "the demo needs it" in warned[0]
    proof.write_proofs({"weak": FAILED}, domains=["shoes"], made="later", quick=False, at=tmp_path)
    assert proof.examine({"weak": 1}, at=tmp_path)[1] == warned
    proof.write_proofs({"weak": Standing(2, {}, {})}, domains=["shoes"], made="later", quick=False, at=tmp_path)
    assert len(proof.examine({"weak": 2}, at=tmp_path)[0]) == 1
    _write(tmp_path, "weak", FAILED, waived="again")
    proof.write_proofs({"weak": PASSED}, domains=["shoes"], made="later", quick=False, at=tmp_path)
    assert proof.read_proof("weak", at=tmp_path).waived is None  # type: ignore[union-attr]


def test_what_is_known_of_other_domains_stays_as_long_as_the_version_does(tmp_path: Path) -> None:
    _write(tmp_path, "blur", PASSED)
    bags = Standing(1, {}, {"bags": ("gaussian_blur",)})
    proof.write_proofs({"blur": bags}, domains=["bags"], made="later", quick=True, at=tmp_path)
    kept = proof.read_proof("blur", at=tmp_path)
    assert kept is not None
    assert kept.passed == PASSED.passed
    assert kept.missed == bags.missed
    proof.write_proofs({"blur": FAILED}, domains=["shoes"], made="later", quick=True, at=tmp_path)
    assert proof.examine({"blur": 1}, at=tmp_path)[0]
    proof.write_proofs({"blur": Standing(2, {}, {})}, domains=["bags"], made="later", quick=True, at=tmp_path)
    assert proof.read_proof("blur", at=tmp_path).missed == {}  # type: ignore[union-attr]


def test_a_torn_table_is_a_mistake_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "blur.json").write_text("{")
    with pytest.raises(SpecError, match=r"blur\.json"):
        proof.examine({"blur": 1}, at=tmp_path)


def test_every_gating_detector_of_the_built_in_profile_has_a_table_of_its_version() -> None:
    rules = read_profile(find_profile("apparel")).detectors
    gating = {name: find_detectors()[name].version for name, rule in rules.items() if rule.importance > 0}
    refused, warned = proof.examine(gating)
    assert refused == []
    assert load_policy("apparel").warnings == tuple(warned)


def test_every_committed_table_is_of_a_detector_that_exists() -> None:
    assert {path.stem for path in proof.folder().glob("*.json")} <= set(find_detectors())


def test_a_profile_with_an_unproven_detector_that_gates_is_refused(tmp_path: Path) -> None:
    unproven = sorted(name for name in find_detectors() if proof.read_proof(name) is None or name == "garment_rank")[0]
    path = tmp_path / "mine.json"
    rule = {"importance": 1}
    whole = {"version": 1, "name": "mine", "alpha": 0.02, "near_duplicate_bits": 0, "calibration": None}
    path.write_text(json.dumps({**whole, "detectors": {unproven: rule}}))
    passes = proof.read_proof(unproven)
    if passes is not None and passes.passed:
        pytest.skip("every detector has a passing table")
    with pytest.raises(PrerequisiteError, match=f"profile mine detectors.{unproven}: .*Cure"):
        load_policy(str(path))
    assert policy.read_policy(str(path)).warnings == ()
    path.write_text(json.dumps({**whole, "detectors": {unproven: {"importance": 0}}}))
    assert load_policy(str(path)).names() == (unproven,)
