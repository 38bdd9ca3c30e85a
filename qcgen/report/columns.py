"""What the row files hold: one schema for CSV and Parquet, column by column, as `docs/reports.md` prints it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

SCHEMA_VERSION = 1
"""Stands in run.json and in the metadata of the Parquet files; rises when a column goes or changes its meaning."""

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Field:
    """A column. `unit` is empty where there is none; an absent value is an empty CSV cell and a null in Parquet."""

    name: str
    kind: Literal["text", "integer", "real"]
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class RowTable:
    """`name` is the files' name without its ending."""

    name: str
    row: str
    fields: tuple[Field, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def with_metrics(self, detectors: Iterable[str]) -> "RowTable":
        """And a column for each detector, in the order given."""
        more = tuple(Field(f"m_{name}", METRIC.kind, METRIC.unit, METRIC.meaning) for name in detectors)
        return RowTable(self.name, self.row, self.fields + more)


METRIC = Field("m_NAME", "real", "the detector's", "What the detector NAME measured; absent where it could not score.")

_RUN = Field("run_id", "text", "", "The run.")
_IMAGE = Field("image_id", "text", "", "32 hex digits: a hash of all that defines the pixels of this attempt.")
_SKU = Field("sku", "text", "", "The item's SKU as the items table names it.")
_ATTEMPT = Field("attempt", "integer", "", "1 for the first try, 2 and more for tries with the next seed.")
_SHA = Field("file_sha256", "text", "", "Of the file's bytes; absent where the attempt has no picture.")
_VERDICT = Field("verdict", "text", "", "accept, review, reject, or failed where there is no picture.")
_DECISION = Field("decision", "text", "", "What a person decided: accept or reject; absent where nobody did.")

IMAGES = RowTable(
    "images",
    "one row an attempt, in item order",
    (
        _RUN,
        _IMAGE,
        _SKU,
        Field("prompt", "text", "", "What the student was asked for."),
        Field("seed", "integer", "", "Of the noise, 0 to 4294967295."),
        _ATTEMPT,
        Field("model", "text", "", "The model's name in the job."),
        Field("model_digest", "text", "", "Of the model's files."),
        Field("width", "integer", "px", "Of the picture; absent where there is none."),
        Field("height", "integer", "px", "Of the picture; absent where there is none."),
        Field("relpath", "text", "", "The file, seen from the run's output folder; absent where there is none."),
        _SHA,
        _VERDICT,
        Field("reasons", "text", "", "Reason codes, separated by semicolons, worst first."),
        _DECISION,
    ),
)
FLAGS = RowTable(
    "flags",
    "one row a reason of an attempt",
    (
        _RUN,
        _IMAGE,
        _SKU,
        _ATTEMPT,
        Field("current", "integer", "", "1 where the attempt stands for its item, 0 where a later one does."),
        _VERDICT,
        Field("kind", "text", "", "The reason code: a detector's or a rule's name."),
        Field("severity", "text", "", "block rejects, warn asks for a person, info tells."),
        Field("message", "text", "", "One sentence with the value and the limit."),
        Field("value", "real", "the detector's", "The number behind the reason, where there is one."),
        Field("threshold", "real", "the detector's", "The limit that it was compared with, where there is one."),
        Field("evidence", "text", "", "A JSON object of small facts: a neighbour's id, a box, a colour."),
    ),
)
DECISIONS = RowTable(
    "decisions",
    "one row an answer, in the order in which people gave them",
    (
        _RUN,
        Field("image_id", "text", "", "The attempt that was shown; of a seed, a name that no attempt has."),
        _SKU,
        _ATTEMPT,
        Field("file_sha256", "text", "", "Of the file that was on the screen."),
        _VERDICT,
        Field("decision", "text", "", "accept, reject, regenerate or skip."),
        Field("kind", "text", "", "Why it was shown: flagged, audit, seed, double or dispute."),
        Field("stratum", "text", "", "The group that it was drawn from (a product)."),
        Field("inclusion_p", "real", "", "Probability with which the plan drew it, in (0, 1]."),
        Field("reviewer", "text", "", "An alias of the person, the same throughout; not the name."),
        Field("code", "text", "", "The reason code of a refusal."),
        Field("note", "text", "", "What the person wrote."),
        Field("dwell_ms", "integer", "ms", "How long the picture was on the screen."),
        Field("blind", "integer", "", "1 where the engine's findings were hidden until the answer."),
        Field("bulk_id", "text", "", "Shared by all answers of one bulk."),
        Field("ui", "text", "", "The program that asked, with its version."),
        Field("created_at", "text", "UTC", "When, in ISO 8601."),
        Field("superseded", "integer", "", "1 where it was taken back, or a third person has settled the dispute."),
    ),
)
