"""The real program as a process, as a user's shell starts it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-c", "from qcgen.cli.main import entry_point; entry_point()")
_NOT_EVERYWHERE = "--bounding-set=-dac_override,-dac_read_search"


def without_privileges() -> tuple[str, ...]:
    """What to put before a command so that files' permissions hold for it, for root too."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root without setpriv: what permissions do is NOT checked here")
    return ("setpriv", _NOT_EVERYWHERE)


def started(arguments: Sequence[str], folder: Path, *, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A `qcgen` in a folder, its own process group; `before` is what limits it."""
    return subprocess.Popen(
        [*before, *COMMAND, *arguments],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(arguments: Sequence[str], folder: Path, *, before: Sequence[str] = ()) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    with started(arguments, folder, before=before) as process:
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def _environment() -> Mapping[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}
