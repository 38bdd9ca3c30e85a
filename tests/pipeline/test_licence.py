"""The licence gate before a distillation: what stops it, and what the student's card says of its descent."""

import json
from pathlib import Path

import pytest

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import BlockedError
from qcgen.core.types import Card, Lineage
from qcgen.models.card import read_card
from qcgen.pipeline.distill import run_distillation
from qcgen.pipeline.publish import declare_student
from tests.pipeline.tinyteacher import tiny_teacher


def distil(folder: Path, purpose: str, said: list[str] | None = None) -> None:
    spec = DistillSpec.model_validate(
        {
            "version": 1,
            "name": "d",
            "teacher": folder / "tiny-teacher",
            "captions": folder / "there-is-none.npz",
            "out": folder / "out",
            "purpose": purpose,
            "optim": {"steps": 1},
        }
    )
    run_distillation(spec, resume=False, device="cpu", say=[].append if said is None else said.append, tell=print)


def declare(folder: Path, licence: str | None, *edges: dict[str, str]) -> None:
    path = folder / "tiny-teacher" / "qcgen_model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "licence": licence, "lineage": edges}))


def test_a_research_only_teacher_gives_no_commercial_student(tmp_path: Path) -> None:
    tiny_teacher(tmp_path)
    declare(
        tmp_path,
        "FLUX.1-dev Non-Commercial License",
        {"relation": "trained_on", "parent": "photos", "licence": "CC0-1.0"},
    )
    with pytest.raises(BlockedError, match=r"teacher: .* research only \(got purpose commercial\)\. Cure: "):
        distil(tmp_path, "commercial")
    assert not (tmp_path / "out").exists()


def test_a_teacher_without_lineage_is_told_and_passes_for_research_alone(tmp_path: Path) -> None:
    tiny_teacher(tmp_path)
    with pytest.raises(BlockedError, match=r"lists no lineage\. Write teachers .* Such as: \{"):
        distil(tmp_path, "commercial")
    said: list[str] = []
    # The gate lets it pass; the missing image set stops it next.
    with pytest.raises(Exception, match="no such image set"):
        distil(tmp_path, "research", said)
    assert any(line.startswith("warn undeclared_lineage: ") for line in said)


def test_a_student_inherits_licence_and_lineage_with_the_teachers_digest(tmp_path: Path) -> None:
    above = (Lineage("trained_on", "photos", "CC0-1.0"), Lineage("initialised_from", "big", "openrail", "ab" * 32))
    teacher = Card("big-teacher", "teacher", "openrail++", above, True, {}, {})
    declare_student(tmp_path, teacher, teacher_digest="cd" * 32, name="s", purpose="commercial", notes={"recipe": "r"})
    card = read_card(tmp_path)
    assert (card.name, card.kind, card.licence) == ("s", "student", "openrail++")
    assert card.lineage == (Lineage("distilled_from", "big-teacher", "openrail++", "cd" * 32), *above)
    assert card.notes["purpose"] == "commercial"
