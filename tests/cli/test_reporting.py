"""What stands beside a run's pictures in its report, and does not come from them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qcgen.cli.reporting import check_beside
from qcgen.core.types import Card, Lineage, RunInfo, Severity
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import make_job
from tests.report.synthetic import make_run

GONE = Card(
    name="student",
    kind="student",
    licence="Apache-2.0",
    lineage=(Lineage("distilled_from", "a teacher", "CC-BY-NC-4.0"),),
    declared=True,
    measures={},
    notes={},
)


@pytest.fixture
def store() -> Iterator[SqlStore]:
    store = open_store("sqlite://")
    yield store
    store.close()


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    """Of a model whose folder was deleted since."""
    job = make_job(tmp_path / "out").model_copy(update={"model": str(tmp_path / "student"), "purpose": "commercial"})
    return make_run(4, model=job.model, spec_json=job.model_dump_json())


def test_the_licence_of_a_model_that_is_gone_is_checked_by_the_card_of_its_run(store: SqlStore, run: RunInfo) -> None:
    stored = store.start_run(run, ())
    (unknown, chain) = check_beside(store, stored)
    assert "is not here any more" in unknown.message
    assert chain.message == "Every event follows the one before it."
    store.register_model(stored.model_digest, GONE)
    found = check_beside(store, stored)
    assert [one.kind for one in found if one.severity is Severity.BLOCK] == ["non_commercial"]
    store.register_model(stored.model_digest, replace(GONE, lineage=(Lineage("trained_on", "own photos", "CC0-1.0"),)))
    assert [one.kind for one in check_beside(store, stored) if one.severity is Severity.BLOCK] == []
