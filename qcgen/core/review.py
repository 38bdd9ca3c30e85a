"""What reviewers are asked and what they answer, and the store that keeps both. Decisions are appended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from qcgen.core.errors import QcgenError
from qcgen.core.types import Produced, Row


class Kind(StrEnum):
    """Why a picture is shown to a person."""

    FLAGGED = "flagged"
    """The verdict asks for a person."""
    AUDIT = "audit"
    """Drawn at random from the pictures that passed; bounds the share of defects that escape."""
    SEED = "seed"
    """A known defect, made from a picture of the run; measures the reviewers and is never delivered."""
    DOUBLE = "double"
    """A second, blind look by another person."""
    DISPUTE = "dispute"
    """Two people disagree; a third one decides."""


class Choice(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    REGENERATE = "regenerate"
    """Not to be delivered; the next start of the run makes another attempt. A row tells of it as a reject."""
    SKIP = "skip"
    """No answer; the task goes back to the queue, for others first."""


class State(StrEnum):
    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"
    """What it asked about is gone: another attempt stands, or a new verdict no longer asks."""


class Role(StrEnum):
    REVIEWER = "reviewer"
    ADJUDICATOR = "adjudicator"
    """A reviewer who also settles disputes."""
    MANAGER = "manager"
    """Reads everything, decides nothing."""


class ConflictError(QcgenError):
    """Somebody else changed the task in the meantime; nothing was stored. `task` is how it stands now."""

    def __init__(self, message: str, task: "Task | None" = None) -> None:
        super().__init__(message)
        self.task = task


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """One look by one person at one picture.

    Attributes:
        image_id: the attempt's id; of a seed, a name of its own that no attempt has.
        stratum: the group that it was drawn from (a product).
        inclusion_p: probability with which the plan drew it, in (0, 1].
        cost: expected cost of leaving it undecided, in no unit; the queue's order, largest first.
        code: the reason code that is expected: the worst finding's, or the defect of a seed.
        relpath: of the file in the run's folder.
        file_sha256: of that file.
        source_id: of a seed, the picture that it was made from.
    """

    image_id: str
    kind: Kind
    stratum: str
    inclusion_p: float
    cost: float
    code: str
    relpath: str
    file_sha256: str
    source_id: str | None = None


@dataclass(frozen=True, slots=True)
class Task(TaskDraft):
    """A stored task.

    Attributes:
        revision: counts every change of the task; an answer names the one that it saw.
        lease_by, lease_until: who has it on the screen, until when (seconds since the epoch).
    """

    id: int = 0
    run_id: str = ""
    state: State = State.OPEN
    revision: int = 0
    lease_by: str | None = None
    lease_until: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said of a task.

    Attributes:
        image_sha256: of the file that was on the screen; must be the task's.
        code: a reason code; required where the choice is reject.
        note: free text, at most 2,000 characters.
        dwell_ms: how long the picture was on the screen.
        blind: the engine's findings were hidden until the answer.
        bulk_id: shared by all answers of one bulk.
        ui: the program and version that asked.
    """

    task_id: int
    revision: int
    image_sha256: str
    choice: Choice
    code: str = ""
    note: str = ""
    dwell_ms: int = 0
    blind: bool = False
    bulk_id: str | None = None
    ui: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored answer; `withdrawn` when its author took it back."""

    id: int
    run_id: str
    image_id: str
    kind: Kind
    stratum: str
    inclusion_p: float
    reviewer: str
    answer: Answer
    created_at: str
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Regeneration:
    """An attempt that a person asked for; `attempt` is its number, the next one at the item."""

    decision_id: int
    image_id: str
    item_index: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How many tasks of one kind there are, and how many are done."""

    kind: Kind
    code: str
    total: int
    done: int


@dataclass(frozen=True, slots=True)
class User:
    """A named person. `password` is the text of a salted hash, never the password; None for the one local user."""

    name: str
    role: Role
    password: str | None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks: all that match every given field."""

    kind: Kind | None = None
    code: str | None = None
    stratum: str | None = None
    state: State | None = None


EVERY = Filter()


class ReviewStore(Protocol):
    """Every method is one transaction. `run_id` None means all runs."""

    def add_tasks(self, run_id: str, drafts: Sequence[TaskDraft]) -> int:
        """Store those that the run does not have yet (by picture and kind); returns how many were new.

        A cancelled task that is asked for again is open again, and so is one whose file has changed since.
        """
        ...

    def cancel_tasks(self, run_id: str, image_ids: Sequence[str], *, kinds: Sequence[Kind] | None = None) -> int:
        """Cancel the open tasks of these pictures, of these kinds or of all; returns how many there were."""
        ...

    def lease_tasks(
        self, reviewer: str, *, run_id: str | None, n: int, seconds: float, role: Role, only: Filter = EVERY
    ) -> Sequence[Task]:
        """The next tasks for this person, most costly first; those already leased to them come first, and are renewed.

        Never a picture that the same person has decided already under another kind, nor a dispute for anybody but an
        adjudicator, nor one that another person holds.
        """
        ...

    def release(self, reviewer: str) -> None:
        """Give back everything that this person has leased."""
        ...

    def task(self, task_id: int) -> Task | None: ...

    def tasks(self, run_id: str | None, *, only: Filter = EVERY, after: int = 0, limit: int = 200) -> Sequence[Task]:
        """A page in order of id, behind the id `after`; its cost does not depend on where the page lies."""
        ...

    def decide(self, reviewer: str, answers: Sequence[Answer]) -> Sequence[Decision]:
        """Append all of the answers, or none.

        Two people's different answers to one picture make a dispute task. The same answer sent twice by the same
        person is stored once.

        Raises:
            ConflictError: another revision, another holder, another file, decided by somebody else, or a picture that
                this person has decided under another kind.
            SpecError: a reject without a code, a code that is not known, a note that is too long; an accept in bulk of
                an audit or a seed; a dispute and no adjudicator; a manager, or somebody who is no longer active.
        """
        ...

    def undo(self, reviewer: str, *, run_id: str | None) -> Sequence[Decision]:
        """Take back this person's newest standing answer, or the whole bulk that it belongs to.

        The task is open again and leased to the person. Nothing is deleted: the withdrawal is appended. Empty when
        there is nothing to take back; raises ConflictError where somebody has decided on the ground of it.
        """
        ...

    def decisions(self, run_id: str | None) -> Iterator[Decision]:
        """All of them, also those withdrawn, in the order in which they were made."""
        ...

    def regenerations(self, run_id: str) -> Sequence[Regeneration]:
        """Attempts that people asked for and that are not made yet, in item order; one for a picture."""
        ...

    def record_regenerated(self, run_id: str, made: Sequence[tuple[Regeneration, Produced]]) -> None:
        """Insert these attempts in place of those that were refused, in one transaction.

        Raises:
            IntegrityError: one of them was made already, or is not asked for any more; nothing was stored.
        """
        ...

    def replacements(self, run_id: str) -> Mapping[str, str]:
        """Pictures that were made because a person asked for them, by the id of the one that was refused."""
        ...

    def progress(self, run_id: str | None) -> Sequence[Progress]: ...

    def add_user(self, user: User) -> None:
        """Raises SpecError if the name is taken."""
        ...

    def change_user(self, user: User) -> None:
        """Replace role, password and activity; a person who is no longer active loses leases and sessions.

        Raises SpecError if there is no such person.
        """
        ...

    def users(self) -> Sequence[User]:
        """By name."""
        ...

    def add_session(self, token_sha256: str, user: str, *, seconds: float) -> None:
        """Remember that this person is logged in; the token itself is never stored."""
        ...

    def session(self, token_sha256: str) -> User | None:
        """The active person behind a session that has not run out."""
        ...

    def end_session(self, token_sha256: str) -> None: ...

    def row(self, run_id: str, image_id: str) -> Row | None:
        """The stored row of one attempt."""
        ...
