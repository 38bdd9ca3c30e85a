"""The reason codes: a closed list, one key each, and every detector and corruption falls under one."""

from qcgen.core.reasoncodes import (
    CODES,
    OTHER,
    REASONS,
    code_of_corruption,
    code_of_finding,
    is_critical,
    reason_problems,
)
from qcgen.qc.registry import find_corruptions, find_detectors


def test_there_is_one_digit_and_one_code_for_each_reason() -> None:
    assert [one.digit for one in REASONS] == list(range(1, 10))
    assert len(CODES) == 9
    assert all(one.definition.endswith(".") for one in REASONS)


def test_every_detector_and_corruption_falls_under_a_code() -> None:
    # These two have no code of their own; a new detector is named here, or in the list.
    assert {name for name in find_detectors() if code_of_finding(name) == OTHER} == {"memorisation", "screening"}
    assert [name for name in find_corruptions() if code_of_corruption(name) == OTHER] == []
    assert code_of_finding("a_rule_of_tomorrow") == "other"
    assert is_critical(code_of_finding("colour_match"))
    assert not is_critical("a code of yesterday")


def test_a_reject_says_why_and_other_says_what() -> None:
    assert reason_problems(choice="accept", code="", note="") == []
    assert reason_problems(choice="reject", code="other", note="stain") == []
    assert [one.split(":")[0] for one in reason_problems(choice="reject", code="", note="")] == ["code"]
    assert [one.split(":")[0] for one in reason_problems(choice="reject", code="other", note=" ")] == ["note"]
    assert [one.split(":")[0] for one in reason_problems(choice="accept", code="x", note="n" * 2001)] == [
        "code",
        "note",
    ]
