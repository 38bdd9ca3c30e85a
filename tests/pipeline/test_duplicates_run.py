"""Near duplicates of a run, with records of now and of before."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import text

from qcgen.core.errors import IntegrityError
from qcgen.core.evidence import evidence_of
from qcgen.core.types import Outcome, RunInfo, Severity
from qcgen.models.families.toy import ToyStudent
from qcgen.pipeline.evidence import explain_rows
from qcgen.pipeline.rejudge import rejudge
from qcgen.qc.duplicates import DUPLICATES
from qcgen.qc.inspect import Inspector
from qcgen.qc.policy import load_policy
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import make_job, run_toy


class Mirroring(ToyStudent):
    """One picture, and its mirror image at every second place of a batch."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(3))
        images = super().decode(noise.expand_as(latents).contiguous()).clone()
        images[1::2] = images[1::2].flip(-1)
        return images


def _profile(folder: Path) -> str:
    path = folder / "plain.json"
    told = {"version": 1, "name": "plain", "alpha": 0.02, "near_duplicate_bits": 4, "calibration": None}
    path.write_text(json.dumps(told | {"detectors": {"blank": {"importance": 0}}}))
    return str(path)


def _made(tmp_path: Path, store: SqlStore) -> RunInfo:
    job = make_job(tmp_path / "out", copies=1, profile=_profile(tmp_path))
    return run_toy(job, store, student=Mirroring(ToyStudent.reference(job.model)), limit=8)


def _relations(store: SqlStore, run: RunInfo) -> list[tuple[int, str | None]]:
    return [
        (row.item_index, reason.evidence.get("relation"))
        for row in store.rows(run.run_id)
        for reason in row.reasons
        if reason.kind == "near_duplicate"
    ]


def test_a_mirrored_copy_is_found_and_shown_beside_its_original(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    run = _made(tmp_path, store)
    rows = list(store.rows(run.run_id))
    # The others have the very pixels of the first two.
    assert [row.outcome for row in rows] == [Outcome.ACCEPT, Outcome.REVIEW] + [Outcome.REJECT] * 6
    assert _relations(store, run) == [(1, "mirrored")]
    assert all(gate.kind != DUPLICATES for gate in run.gates)
    folder = Path(run.out_dir)
    policy = load_policy(str(tmp_path / "plain.json"))
    explain_rows(rows[1:2], folder, Inspector(policy, None, {}), lambda one: folder / (rows[0].relpath or ""))
    store.close()
    record = evidence_of(folder, rows[1])
    assert record is not None
    (shown,) = record.reasons
    assert "whose mirror image it is" in shown.says
    assert shown.unit == "agreement"
    assert shown.companion is not None


def test_an_old_run_is_judged_by_its_hashes_and_says_so(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    run = _made(tmp_path, store)
    policy = load_policy(str(tmp_path / "plain.json"))
    assert _relations(store, rejudge(run, store, policy)) == [(1, "mirrored")]
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE attempt SET phash = substr(phash, 1, 64)"))
    judged = rejudge(run, store, policy)
    assert _relations(store, run) == []
    (told,) = [gate for gate in judged.gates if gate.kind == DUPLICATES]
    assert (told.severity, told.value) == (Severity.INFO, 8.0)
    assert "8 of 8 pictures" in told.message
    # Where nobody asks for moved and mirrored copies, nothing is missing.
    lax = replace(policy, near_duplicate_agreement=None)
    assert all(gate.kind != DUPLICATES for gate in rejudge(run, store, lax).gates)
    store.close()


def test_a_damaged_hash_in_the_database_is_told_with_its_image(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    run = _made(tmp_path, store)
    policy = load_policy(str(tmp_path / "plain.json"))
    broken = list(store.rows(run.run_id))[1].image_id
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE attempt SET phash = 'not hex' WHERE image_id = :id"), {"id": broken})
    with pytest.raises(IntegrityError, match=rf"^image {broken}: .*'not hex'"):
        rejudge(run, store, policy)
    store.close()
