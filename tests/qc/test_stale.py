"""A calibration that does not fit is refused with the cure, or marks everything made with it."""

import pytest

from qcgen.core.errors import PrerequisiteError
from qcgen.core.types import Outcome, Score, Severity
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy, build_policy, load_policy
from qcgen.qc.profile import Calibration, Profile
from qcgen.qc.registry import find_detectors
from qcgen.qc.stale import STALE

BLUR = find_detectors()["blur"].version
PROFILE = Profile.model_validate(
    {
        "version": 1,
        "name": "test",
        "alpha": 0.05,
        "near_duplicate_bits": 0,
        "calibration": None,
        "detectors": {"blur": {}},
    }
)
GOOD = Calibration.model_validate(
    {
        "version": 1,
        "profile": "test",
        "created": "2026-11-23",
        "source": "none",
        "n": 80,
        "alpha": 0.05,
        "split_seed": 0,
        "encoder_digest": "e" * 64,
        "model_digest": "m" * 64,
        "libraries": {},
        "uncalibrated": {},
        "detectors": {"blur": {"version": BLUR, "importance": 1, "scores": [i / 100 for i in range(40)]}},
        "joint": [(i + 1) / 41 for i in range(40)],
        "size": "128",
    }
)


def policy_of(allow_stale: bool = False, **changes: object) -> Policy:
    calibration = GOOD.model_copy(update=changes)
    return build_policy(PROFILE, calibration, sha256="0" * 64, allow_stale=allow_stale)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model_digest": "n" * 64}, "model: nnnnnnnnnnnn here, calibrated with mmmmmmmmmmmm"),
        ({"encoder_digest": "f" * 64}, "encoder: ffffffffffff here"),
        ({"size": "64"}, "size: 64 here, calibrated with 128"),
    ],
)
def test_other_pictures_than_the_calibrated_are_refused_or_marked(given: dict[str, str], words: str) -> None:
    with pytest.raises(PrerequisiteError, match=words) as raised:
        policy_of().fit(**given)
    assert "Cure: qcgen calibrate RUN --profile test" in str(raised.value)
    assert "--allow-stale" in str(raised.value)
    marked = policy_of(allow_stale=True).fit(**given)
    assert words in marked.stale[0]
    assert marked.sha256 != "0" * 64


@pytest.mark.parametrize(
    ("libraries", "fits"),
    [
        ({"torch": "2.11.0", "numpy": "2.1.0", "open-clip-torch": "3.3.9", "python": "3.9"}, True),
        ({"torch": "1.13.1"}, False),
        ({"open-clip-torch": "3.2.0"}, False),
    ],
)
def test_only_the_parts_of_a_version_that_change_scores_matter(libraries: dict[str, str], fits: bool) -> None:
    assert policy_of(allow_stale=True, libraries=libraries).stale == () if fits else True
    if not fits:
        with pytest.raises(PrerequisiteError, match="calibrated with " + next(iter(libraries.values()))):
            policy_of(libraries=libraries)


def test_every_verdict_of_a_stale_policy_carries_the_mark_and_is_judged_the_same() -> None:
    fresh, stale = policy_of(), policy_of(allow_stale=True).fit(model_digest="n" * 64)
    for value, outcome in ((0.1, Outcome.ACCEPT), (0.9, Outcome.REVIEW)):
        measures = [Score("blur", BLUR, value)]
        verdict = judge(measures, stale)
        assert verdict.outcome is judge(measures, fresh).outcome is outcome
        mark = verdict.reasons[-1]
        assert (mark.kind, mark.severity) == (STALE, Severity.INFO)
        assert "model: nnnnnnnnnnnn here" in mark.message
        assert verdict.policy_sha256 == stale.sha256


def test_what_an_older_file_does_not_name_is_not_checked() -> None:
    old = policy_of(model_digest=None, encoder_digest=None, size=None)
    assert old.fit(model_digest="n", encoder_digest="f", size="64") is old


def test_what_is_not_given_and_what_fits_is_not_marked() -> None:
    policy = policy_of()
    assert policy.fit() is policy.fit(model_digest="m" * 64, encoder_digest="e" * 64, size="128") is policy


def test_a_problem_is_marked_once() -> None:
    once = policy_of(allow_stale=True).fit(size="64")
    assert once.fit(size="64") is once
    assert len(once.fit(model_digest="n" * 64).stale) == 2


def test_the_built_in_calibration_fits_this_installation() -> None:
    policy = load_policy("apparel", allow_stale=True)
    assert policy.stale == ()
