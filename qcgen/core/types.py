"""The values that travel between layers: frozen, slotted, without tensors."""

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """What the policy says of an image, or what became of an item that has none."""

    ACCEPT = "accept"
    REVIEW = "review"
    REJECT = "reject"
    FAILED = "failed"


class Severity(StrEnum):
    BLOCK = "block"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Item:
    """One requested picture. `index` is its place in the job (0-based); `id` is a hash of all that defines its pixels.

    Attributes:
        index: position in the job; row * images_per_item + copy.
        id: 32 hex digits (blake2b-128) of prompt, seed, size and model digest.
        sku: the row's name as given; safe file names are made from it by `generate.write`.
        fields: the row of the items table, as text.
        seed: uint32; the noise depends on it and on the latent's shape alone.
        attempt: 1 for the first try, 2.. for regenerated ones.
    """

    index: int
    id: str
    sku: str
    prompt: str
    fields: Mapping[str, str]
    seed: int
    size_px: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Shard:
    """A contiguous range of item indices, [start, stop)."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Image:
    """A file that was written; `pixels_sha256` is of its RGB codes, without the origin that the file carries."""

    relpath: str
    sha256: str
    bytes: int
    width: int
    height: int
    pixels_sha256: str


@dataclass(frozen=True, slots=True)
class Score:
    """One number by one detector version, `value` finite; `evidence` are small facts behind it for the reviewer."""

    detector: str
    version: int
    value: float
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unscored:
    """A detector had nothing to say, and why: `not_applicable`, `too_small`, `no_foreground`, ..."""

    detector: str
    version: int
    reason: str


Measure = Score | Unscored


@dataclass(frozen=True, slots=True)
class Finding:
    """A named defect or rule breach.

    Attributes:
        kind: the reason code: a detector's or a rule's name.
        severity: `block` rejects or stops, `warn` asks for a person, `info` is printed.
        message: one sentence for a person, with value and limit.
        value, threshold: the numbers behind it, where there are any.
        evidence: small facts for the reviewer (a neighbour's id, a box, a colour).
    """

    kind: str
    severity: Severity
    message: str
    value: float | None = None
    threshold: float | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy's answer for one image; `policy_sha256` names policy and calibration together."""

    outcome: Outcome
    reasons: tuple[Finding, ...]
    joint_p: float | None
    policy_sha256: str


@dataclass(frozen=True, slots=True)
class Produced:
    """Everything about one attempt at one item, ready to be recorded; `image` is None when it failed."""

    item: Item
    image: Image | None
    measures: tuple[Measure, ...]
    verdict: Verdict
    gen_s: float
    error: str | None = None
    phash: str | None = None
    thumbnail: builtins.bytes | None = None


REPORT_STAGE = "report"
"""In `RunInfo.seconds_by_stage`: what writing the report took, which is no part of `seconds`."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One execution of a job, as the store keeps it."""

    run_id: str
    name: str
    status: str
    purpose: str
    job_path: str
    spec_sha256: str
    spec_json: str
    model: str
    model_digest: str
    policy_sha256: str
    planned: int
    out_dir: str
    started_at: str
    ended_at: str | None
    seconds: float
    seconds_by_stage: Mapping[str, float]
    environment: Mapping[str, str]
    gates: tuple[Finding, ...]
    report: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One stored attempt, as readers (report, export, judge) see it.

    Attributes:
        decision: what people say of this very file: `accept`, `reject` (also where they want another attempt), or
            None: nobody has decided, or two disagree and no third one has settled it.
    """

    item_index: int
    image_id: str
    sku: str
    prompt: str
    fields: Mapping[str, str]
    seed: int
    attempt: int
    current: bool
    outcome: Outcome
    reasons: tuple[Finding, ...]
    joint_p: float | None
    decision: str | None
    error: str | None
    relpath: str | None
    file_sha256: str | None
    bytes: int
    width: int
    height: int
    gen_s: float
    measures: Mapping[str, float]
    unscored: Mapping[str, str]
    thumbnail: builtins.bytes | None = None


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model on disk, pinned: its name in jobs, its folder and the digest of its files."""

    name: str
    folder: Path
    digest: str
    card: "Card"


@dataclass(frozen=True, slots=True)
class Lineage:
    """One edge of a model's descent: `relation` is distilled_from, trained_on, initialised_from, ...

    `digest` pins the parent's files where they were at hand.
    """

    relation: str
    parent: str
    licence: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """What a model's card (`qcgen_model.json`) declares."""

    name: str
    kind: str
    licence: str | None
    lineage: tuple[Lineage, ...]
    declared: bool
    measures: Mapping[str, object]
    notes: Mapping[str, str]
