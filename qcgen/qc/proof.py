"""The committed tables of what each detector version has shown: without a passing one, a detector never gates."""

import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from qcgen.core.errors import SpecError
from qcgen.core.qcbenchresult import Standing
from qcgen.qc.plugins import user_tables
from qcgen.qc.registry import detector_plugins


class Proof(BaseModel):
    """`qc/tables/NAME.json`, written by `qcgen bench qc --write`.

    Attributes:
        quick: whether the newest measurement had the small settings.
        passed, missed: by domain, the corruptions on which the target was reached, or seen but not reached.
        waived: why the detector may gate although nothing passed; a person's decision, kept for this version only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    detector: str
    version: int
    made: str
    quick: bool
    passed: Mapping[str, tuple[str, ...]]
    missed: Mapping[str, tuple[str, ...]]
    waived: str | None = None


def folder() -> Path:
    """The tables of the detectors that come with the package."""
    return Path(str(files("qcgen.qc"))) / "tables"


def places(name: str) -> tuple[Path, ...]:
    """Folders where a detector's table may be, the one that is written first. A plug-in's is never the package's."""
    plugin = detector_plugins().get(name)
    if plugin is None:
        return (folder(),)
    return (plugin.tables,) if plugin.owned else (user_tables(), plugin.tables)


def read_proof(name: str, *, at: Path | None = None) -> Proof | None:
    """A detector's table, None where there is none.

    Args:
        at: the folder; by default the first of the detector's `places` that has one.

    Raises:
        SpecError: the file is something else.
    """
    paths = [place / f"{name}.json" for place in ((at,) if at is not None else places(name))]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    try:
        return Proof.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise SpecError(f"{path}: {error.errors()[0]['msg']}. Cure: {_cure(name)}") from None


def write_proofs(
    standings: Mapping[str, Standing], *, domains: Sequence[str], made: str, quick: bool, at: Path | None = None
) -> list[Path]:
    """Write a table for each detector.

    What an earlier table of the same version says of other domains stays, and a waiver as long as nothing passes.

    Args:
        domains: those measured now.
    """
    written = []
    for name, one in standings.items():
        place = at or places(name)[0]
        place.mkdir(parents=True, exist_ok=True)
        before = read_proof(name, at=place)
        same = before if before is not None and before.version == one.version else None
        passed = _others(same.passed, domains) | dict(one.passed) if same else dict(one.passed)
        missed = _others(same.missed, domains) | dict(one.missed) if same else dict(one.missed)
        proof = Proof(
            detector=name,
            version=one.version,
            made=made,
            quick=quick,
            passed=passed,
            missed=missed,
            waived=same.waived if same and not passed else None,
        )
        path = place / f"{name}.json"
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(proof.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)
        written.append(path)
    return written


def examine(gating: Mapping[str, int], *, at: Path | None = None) -> tuple[list[str], list[str]]:
    """Whether detectors may gate.

    Args:
        gating: name and version of each detector with importance above 0.

    Returns:
        Why some may not, each with its cure; and what to warn of where a person waived the rule.
    """
    refused, warned = [], []
    for name, version in gating.items():
        proof = read_proof(name, at=at)
        if proof is None:
            refused.append(f"{name}: no table says what it detects. Cure: {_cure(name)}")
        elif proof.version != version:
            refused.append(f"{name}: its table is of version {proof.version}, here is {version}. Cure: {_cure(name)}")
        elif not proof.passed and proof.waived is None:
            refused.append(f"{name}: its table passes on no domain. Cure: {_cure(name)}")
        elif not proof.passed:
            warned.append(f"{name} gates although its table passes on no domain: {proof.waived}")
    return refused, warned


def _others(found: Mapping[str, tuple[str, ...]], domains: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {domain: kinds for domain, kinds in found.items() if domain not in domains}


def _cure(name: str) -> str:
    return f"set its importance to 0, or measure it: qcgen bench qc --only {name} --write"
