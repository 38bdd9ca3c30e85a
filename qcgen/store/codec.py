"""Values to text and back: canonical JSON, findings, clocks."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Finding, Severity


def to_json(value: object) -> str:
    """Canonical JSON: sorted keys, no blanks, no NaN, so that equal values have equal digests."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise IntegrityError(
            f"a number that is not finite cannot be stored ({error}). Cure: say Unscored, or leave it out."
        ) from error


def texts_from_json(text: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in json.loads(text).items()}


def numbers_from_json(text: str) -> dict[str, float]:
    return {str(key): float(value) for key, value in json.loads(text).items()}


def findings_to_json(findings: Sequence[Finding]) -> str:
    return to_json([_finding_to_plain(finding) for finding in findings])


def findings_from_json(text: str) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            kind=plain["kind"],
            severity=Severity(plain["severity"]),
            message=plain["message"],
            value=plain["value"],
            threshold=plain["threshold"],
            evidence=plain["evidence"],
        )
        for plain in json.loads(text)
    )


def _finding_to_plain(finding: Finding) -> Mapping[str, object]:
    return {
        "kind": finding.kind,
        "severity": str(finding.severity),
        "message": finding.message,
        "value": finding.value,
        "threshold": finding.threshold,
        "evidence": dict(finding.evidence),
    }


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def utc(clock_s: float) -> str:
    return datetime.fromtimestamp(clock_s, UTC).isoformat(timespec="milliseconds")


def finite(value: float, what: str) -> float:
    """The value itself, as a Python float; a NaN would become NULL in SQLite without a word."""
    if not math.isfinite(value):
        raise IntegrityError(
            f"{what} is {value}, which cannot be stored. Cure: say Unscored, or record the attempt as failed."
        )
    return float(value)
