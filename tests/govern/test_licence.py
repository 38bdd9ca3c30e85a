"""The licence gate: what blocks, what warns, and that it looks at every ancestor."""

import json
from typing import Literal

import pytest

from qcgen.core.job import JobSpec
from qcgen.core.types import Card, Finding, Lineage, Severity
from qcgen.govern.families import families, sources_of
from qcgen.govern.licence import check_licences, rules
from qcgen.govern.protocol import Act, Work

RIGHTS = {"owner": "the shop", "basis": "own work"}


def make_job(purpose: str = "commercial", rights: dict[str, str] | None = None) -> Work:
    job = JobSpec.model_validate(
        {
            "version": 1,
            "name": "j",
            "model": "m",
            "purpose": purpose,
            "items": {"prompt": "x", "matrix": {"a": ("b",)}},
            "output": {"dir": "o"},
            "governance": {"rights": RIGHTS if rights is None else rights},
        }
    )
    return Work.of_job(job)


def make_card(licence: str | None = "Apache-2.0", *edges: tuple[str, str, str], declared: bool = True) -> Card:
    lineage = tuple(Lineage(*edge) for edge in edges or [("trained_on", "photos", "CC0-1.0")])
    return Card("m", "student", licence, lineage, declared, {}, {})


def told(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.kind, finding.severity.value) for finding in findings}


def test_a_clean_lineage_has_no_findings() -> None:
    assert check_licences(make_job(), make_card()) == []


@pytest.mark.parametrize(("purpose", "severity"), [("commercial", "block"), ("research", "warn")])
def test_an_undeclared_lineage_blocks_commercial_work_and_warns_research(purpose: str, severity: str) -> None:
    undeclared = Card("m", "unknown", None, (), False, {}, {})
    empty = Card("m", "student", "MIT", (), True, {}, {})
    assert told(check_licences(make_job(purpose), undeclared)) == {("undeclared_lineage", severity)}
    assert told(check_licences(make_job(purpose), empty)) == {("undeclared_lineage", severity)}


@pytest.mark.parametrize(("purpose", "severity"), [("commercial", "block"), ("research", "warn")])
@pytest.mark.parametrize("licence", ["", "unknown", "other", "Fancy Weights Licence 3"])
def test_a_missing_or_unheard_of_licence_is_told_wherever_it_stands(licence: str, purpose: str, severity: str) -> None:
    in_lineage = make_card("MIT", ("distilled_from", "teacher", licence))
    assert told(check_licences(make_job(purpose), in_lineage)) == {("unknown_licence", severity)}
    assert told(check_licences(make_job(purpose), make_card(licence))) == {("unknown_licence", severity)}


@pytest.mark.parametrize(
    "licence",
    [
        "CC-BY-NC-4.0",
        "cc-by-nc-sa-4.0",
        "other: sai-nc-community",
        "FLUX.1-dev Non-Commercial License",
        "Apache-2.0 AND CC-BY-NC-4.0",
    ],
)
def test_a_non_commercial_ancestor_blocks_commercial_work_only(licence: str) -> None:
    card = make_card("Apache-2.0", ("distilled_from", "middle", "MIT"), ("trained_on", "photos", licence))
    blocking = [f for f in check_licences(make_job(), card) if f.severity is Severity.BLOCK]
    assert [f.kind for f in blocking] == ["non_commercial"]
    assert "trained_on photos" in blocking[0].message
    assert blocking[0].evidence["licence"] == licence
    assert all(f.severity is Severity.WARN for f in check_licences(make_job("research"), card))


@pytest.mark.parametrize(
    "licence", ["CreativeML OpenRAIL-M", "openrail++", "CreativeML Open RAIL++-M", "CC-BY-4.0", "CC-BY-SA-4.0"]
)
def test_rail_and_attribution_warn_with_the_duty(licence: str) -> None:
    findings = check_licences(make_job(), make_card("MIT", ("distilled_from", "sd", licence)))
    assert told(findings) == {("licence_duties", "warn")}
    assert all(finding.evidence["duty"] in finding.message for finding in findings)


def test_a_revenue_cap_blocks_commercial_work() -> None:
    card = make_card("MIT", ("distilled_from", "sd3", "stabilityai-ai-community"))
    assert ("revenue_cap", "block") in told(check_licences(make_job(), card))


def test_a_missing_rights_basis_warns_commercial_work() -> None:
    assert told(check_licences(make_job(rights={}), make_card())) == {("rights_basis", "warn")}
    assert check_licences(make_job("research", rights={}), make_card()) == []


@pytest.mark.parametrize("act", ["distil", "export"])
@pytest.mark.parametrize(
    ("licence", "purpose", "blocked"),
    [
        ("Apache-2.0", "commercial", False),
        ("CreativeML OpenRAIL-M", "commercial", False),
        ("FLUX.1-dev Non-Commercial License", "commercial", True),
        ("FLUX.1-dev Non-Commercial License", "research", False),
        ("CC-BY-NC-4.0", "commercial", True),
        ("CC-BY-ND-4.0", "commercial", True),
        ("CC-BY-ND-4.0", "research", True),
        ("Weights licence, no distillation", "research", True),
    ],
)
def test_a_student_needs_a_licence_that_allows_it_for_the_purpose(
    act: Act, licence: str, purpose: Literal["commercial", "research"], blocked: bool
) -> None:
    work = Work(act, purpose, "m")
    for card in (make_card(licence), make_card("MIT", ("distilled_from", "older", licence))):
        stopping = [f for f in check_licences(work, card) if f.severity is Severity.BLOCK]
        assert [f.kind for f in stopping] == ["distillation"] * blocked
        assert all("Cure:" in f.message and repr(licence) in f.message for f in stopping)


def test_data_that_may_not_be_adapted_is_no_model_that_may_not_be_distilled() -> None:
    card = make_card("MIT", ("trained_on", "photos", "CC-BY-ND-4.0"))
    assert all(f.severity is Severity.WARN for f in check_licences(Work("distil", "commercial", "m"), card))


def test_data_that_no_model_may_be_trained_on_stops_every_student() -> None:
    card = make_card("MIT", ("trained_on", "photos", "LicenseRef-no-model-training"))
    for purpose in ("commercial", "research"):
        stopping = [f for f in check_licences(Work("distil", purpose, "m"), card) if f.severity is Severity.BLOCK]
        assert [f.kind for f in stopping] == ["distillation"]


def test_every_licence_without_commercial_use_is_without_commercial_students() -> None:
    assert all(family.distillation != "any" for family in families() if family.non_commercial)


@pytest.mark.parametrize(("purpose", "severity"), [("commercial", "block"), ("research", "warn")])
def test_a_teacher_without_a_card_is_told_what_to_declare(
    purpose: Literal["commercial", "research"], severity: str
) -> None:
    (finding,) = check_licences(Work("distil", purpose, "m"), Card("m", "unknown", None, (), False, {}, {}))
    assert (finding.kind, finding.severity) == ("undeclared_lineage", severity)
    example = json.loads(finding.message.split("Such as: ")[1])
    assert {"name", "kind", "licence", "lineage"} == set(example)


def test_blocking_findings_come_first() -> None:
    card = make_card("CC-BY-4.0", ("trained_on", "photos", "CC-BY-NC-4.0"))
    severities = [finding.severity for finding in check_licences(make_job(rights={}), card)]
    assert severities == sorted(severities, key=[Severity.BLOCK, Severity.WARN].index)
    assert len(set(severities)) == 2


@pytest.mark.parametrize(
    "licence", ["CC0-1.0", "Apache-2.0", "MIT", "BSD-3-Clause", "CC0 1.0 Universal", "MIT License"]
)
def test_free_licences_are_known_in_their_usual_spellings(licence: str) -> None:
    assert check_licences(make_job(), make_card(licence)) == []


@pytest.mark.parametrize("licence", ["once", "emit", "summit-research", "incident"])
def test_a_familys_name_inside_a_word_is_no_match(licence: str) -> None:
    assert sources_of(make_card(licence))[0].families == ()


def test_the_table_says_who_read_what_and_when() -> None:
    assert len({family.name for family in families()}) == len(families())
    assert all((family.read_by is None) == (family.on is None) for family in families())


def test_every_rule_is_found() -> None:
    assert set(rules()) == {
        "distillation",
        "licence_duties",
        "non_commercial",
        "revenue_cap",
        "rights_basis",
        "undeclared_lineage",
        "unknown_licence",
    }
