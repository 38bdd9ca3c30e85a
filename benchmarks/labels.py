"""A person's look at 200 pictures of the embedded student against the verdicts: python -m benchmarks labels.

The pictures are those of jobs/look/apparel.yaml, first attempts only; the labels and the rule behind them are in
benchmarks/labels. What was labelled is the file: a picture whose id is not in the run belongs to another student.
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.child import run_qcgen
from qcgen.core.types import Outcome, Row
from qcgen.pipeline.qcpeople import out_of_fold
from qcgen.qc.policy import read_policy
from qcgen.qc.separation import Values, exact_interval, folds_by_group, separate, worst_share
from qcgen.store.sql import open_store

LABELS = Path(__file__).parent / "labels" / "apparel.csv"
PROFILES = ("apparel", "apparel-careful")
_LOAD = 0.2


def main(results: Path) -> None:
    with LABELS.open(newline="") as file:
        said = {row["image_id"]: row for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as name:
        run_qcgen(["run", str(Path("jobs/look/apparel.yaml").resolve())], Path(name))
        judged = {profile: _rows(profile, Path(name), set(said)) for profile in PROFILES}
    rows = judged[PROFILES[0]]
    if len(rows) != len(said):
        sys.exit(f"{LABELS}: {len(said) - len(rows)} labelled pictures are not what this student makes. Label again.")
    bad = np.array([said[row.image_id]["decision"] == "reject" for row in rows])
    reasons = sorted({said[row.image_id]["reason"] for row in rows} - {""})
    found = {
        "pictures": len(rows),
        "rejected by the person": int(bad.sum()),
        "reasons": {reason: sum(one["reason"] == reason for one in said.values()) for reason in reasons},
        "most recall that a review of a fifth can reach": min(1.0, _LOAD * len(bad) / bad.sum()),
        "profiles": {profile: _held_against(rows, bad, profile) for profile, rows in judged.items()},
    }
    (results / "labels.json").write_text(json.dumps(found, indent=1) + "\n")


def _rows(profile: str, folder: Path, labelled: set[str]) -> list[Row]:
    """The labelled pictures with a profile's verdicts; the job's own profile measures all that the others ask for."""
    run_qcgen(["judge", "look-apparel", "--policy", profile], folder)
    store = open_store(f"sqlite:///{folder}/qcgen.db", create=False)
    rows = [row for row in store.rows(store.runs()[0].run_id) if row.image_id in labelled]
    store.close()
    return rows


def _held_against(rows: list[Row], bad: np.ndarray, profile: str) -> dict[str, object]:
    flagged = np.array([row.outcome is not Outcome.ACCEPT for row in rows])
    scores = {"joint p": _by_verdict(rows), "learned, cross-validated by prompt": _learned(rows, bad, profile)}
    return {
        "flagged": int(flagged.sum()),
        "rejected among the flagged": _share(int((bad & flagged).sum()), int(flagged.sum())),
        "rejected among the passed": _share(int((bad & ~flagged).sum()), int((~flagged).sum())),
        "order of the queue": {name: _order(one, bad) for name, one in scores.items()},
    }


def _by_verdict(rows: list[Row]) -> Values:
    """The queue's order: rejected, flagged, then by joint p."""
    rank = {Outcome.REJECT: 2.0, Outcome.REVIEW: 1.0}
    return np.array([rank.get(row.outcome, 0.0) + 1 - (1.0 if row.joint_p is None else row.joint_p) for row in rows])


def _learned(rows: list[Row], bad: np.ndarray, profile: str) -> Values:
    """What `qcgen learn` would make of the labels, on prompts that it did not see."""
    rules = [rule for rule in read_policy(profile).rules if all(rule.detector in row.measures for row in rows)]
    matrix = np.array(
        [[(-1.0 if rule.higher_is_better else 1.0) * row.measures[rule.detector] for rule in rules] for row in rows]
    )
    fold = folds_by_group([row.prompt for row in rows], seed=0)
    return out_of_fold(matrix, bad, ~bad, fold)[1]


def _order(badness: Values, bad: np.ndarray) -> dict[str, object]:
    found = separate(badness[~bad], badness[bad], None, seed=0)
    return {
        "AUROC": found.auroc,
        "interval": [found.low, found.high],
        "recall at a fifth": worst_share(badness, bad, _LOAD),
    }


def _share(count: int, of: int) -> dict[str, object]:
    return {"share": count / max(1, of), "of": of, "interval": list(exact_interval(count, of)) if of else None}
