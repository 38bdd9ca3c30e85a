"""The error tree.

QcgenError                     exit code
├── BlockedError               1   a rule stands against it: a licence, an undeclared lineage
├── SpecError                  2   a user's mistake; carries every mistake found, no traceback
├── PrerequisiteError          3   a package, weight file or driver is missing; carries the cure
├── IntegrityError             4   bytes or rows are not what was recorded
└── PausedError                5   disk full or cancelled; start again to resume
"""

from collections.abc import Sequence


class QcgenError(Exception):
    """An error that a user can act on; the message says where, the rule, the value and the cure."""

    exit_code = 1


class BlockedError(QcgenError):
    """A rule stands against what was asked for; nothing was loaded or written. One rule a line, with its cure."""

    exit_code = 1


class SpecError(QcgenError):
    """A mistake in what the user wrote; lists all mistakes, one a line."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class PrerequisiteError(QcgenError):
    """Something that must be installed or present is missing; the message ends with the cure."""

    exit_code = 3


class IntegrityError(QcgenError):
    """Stored bytes, rows or digests contradict each other."""

    exit_code = 4


class PausedError(QcgenError):
    """The work stopped in a state from which the same command resumes it."""

    exit_code = 5
