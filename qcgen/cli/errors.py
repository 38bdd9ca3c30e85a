"""Errors as a person, a script and a scheduler read them: a message, one JSON object, an exit code."""

import errno
import json
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Protocol, runtime_checkable

import typer

from qcgen.core.errors import PausedError, PrerequisiteError, QcgenError, SpecError
from qcgen.core.wording import file_name, suggest

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP),
}
"""What a place that the user named may be, and the command cannot work with."""

_CHOICES = re.compile(r"'(?P<given>[^']*)' is not one of (?P<known>'[^']+'(?:, '[^']+')*)\.$")


@runtime_checkable
class _UsageMistake(Protocol):
    """What the option parser raises; its classes live in private modules that have moved before."""

    exit_code: int
    message: str

    def format_message(self) -> str: ...

    def show(self) -> None: ...


def report_error(error: BaseException, *, as_json: bool) -> int:
    """Print what went wrong on stderr (with `as_json` also as one object on stdout).

    Returns:
        The exit code.
    """
    if isinstance(error, _UsageMistake) and not isinstance(error, QcgenError):
        error.message = _with_suggestion(error.message)
        error.show()
        _print_object(as_json, "SpecError", [error.format_message()], SpecError.exit_code)
        return SpecError.exit_code
    known = _translate(error)
    if known is None:
        return _report_unexpected(error, as_json=as_json)
    problems = list(known.problems) if isinstance(known, SpecError) else str(known).splitlines()
    for problem in problems:
        print(problem, file=sys.stderr)
    if isinstance(known, SpecError) and len(problems) > 1:
        print(f"{len(problems)} mistakes; nothing was written.", file=sys.stderr)
    _print_object(as_json, type(known).__name__, problems, known.exit_code)
    return known.exit_code


def _with_suggestion(message: str) -> str:
    """The parser lists the choices of an option, and suggests none."""
    found = _CHOICES.search(message)
    meant = suggest(found["given"], re.findall(r"'([^']+)'", found["known"])) if found else None
    told = message.removeprefix("Value error, ")
    return f"{told} Did you mean {meant!r}?" if meant else told


def _translate(error: BaseException) -> QcgenError | None:
    if isinstance(error, QcgenError):
        return error
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return PausedError(
            "Stopped. What was recorded is kept; a command that only reads has recorded nothing. Cure: start the same "
            "command again (qcgen distill and pilot: with --resume)."
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" ({_place(error)})" if error.filename else ""
        limit = ", or a file is larger than is allowed" if error.errno == errno.EFBIG else ""
        return PausedError(f"The disk is full{limit}{where}. Cure: free some space, then start the same command again.")
    if isinstance(error, OSError) and error.errno in _CLOSED and error.filename:
        return SpecError(f"{_place(error)}: {error.strerror}. Cure: mend its permissions, or name another path.")
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("qcgen"):
        package = error.name.partition(".")[0]
        return PrerequisiteError(f"The package {package} is missing. Cure: install the locked packages (make demo).")
    return None


def _place(error: OSError) -> str:
    return file_name(Path(os.fsdecode(error.filename))) if isinstance(error.filename, str | bytes) else "a file"


def _report_unexpected(error: BaseException, *, as_json: bool) -> int:
    handle, path = tempfile.mkstemp(prefix="qcgen-", suffix=".log")
    with os.fdopen(handle, "w") as log:
        log.writelines(traceback.format_exception(error))
    first_line = next(iter(str(error).splitlines()), "")
    problems = [f"Unexpected {type(error).__name__}: {first_line}", f"The whole story is in {path}"]
    print("\n".join(problems), file=sys.stderr)
    _print_object(as_json, type(error).__name__, problems, QcgenError.exit_code)
    return QcgenError.exit_code


def _print_object(as_json: bool, kind: str, problems: list[str], exit_code: int) -> None:
    if as_json:
        print(json.dumps({"error": kind, "problems": problems, "exit_code": exit_code}))
