"""One process a folder: the lock of runs, distillations, pilots and trainings."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qcgen.core.errors import PausedError, SpecError
from qcgen.pipeline.hold import LOCK_FILE, HeldFolderError, hold_folder

_ELSEWHERE = """
import sys, time
from pathlib import Path
from qcgen.core.errors import PausedError
from qcgen.pipeline.hold import hold_folder
try:
    with hold_folder(Path(sys.argv[1]), key="out", say=print):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except PausedError:
    print("refused")
"""


def start_elsewhere(folder: Path, seconds: float = 0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _ELSEWHERE, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True
    )


def try_elsewhere(folder: Path) -> str:
    return start_elsewhere(folder).communicate()[0].strip()


def test_a_folder_is_held_by_one_process_and_free_afterwards(tmp_path: Path) -> None:
    said: list[str] = []
    with hold_folder(tmp_path / "out", key="out", say=said.append):
        assert try_elsewhere(tmp_path / "out") == "refused"
        told = rf"out: another qcgen works in .* \(got process {os.getpid()} on .+\)\. Cure: "
        with pytest.raises(HeldFolderError, match=told), hold_folder(tmp_path / "out", key="out", say=said.append):
            pass
    assert try_elsewhere(tmp_path / "out") == "held"
    assert not said


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    other = start_elsewhere(tmp_path, seconds=600)
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(PausedError, match=f"process {other.pid} on"), hold_folder(tmp_path, key="out", say=print):
            pass
        other.send_signal(signal.SIGKILL)
    with hold_folder(tmp_path, key="out", say=print):
        assert (tmp_path / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")


def test_output_folder_below_a_file_is_a_spec_error_with_the_jobs_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for key in ("output.dir", "out"):
        told = rf"{key}: .* cannot be written .*Cure"
        with pytest.raises(SpecError, match=told), hold_folder(tmp_path / "file" / "out", key=key, say=print):
            pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_the_work_goes_on_after_saying_so(code: int, tmp_path: Path) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    said: list[str] = []
    with hold_folder(tmp_path, key="out", say=said.append, lock=refuse):
        pass
    assert len(said) == 1
    assert "a file system without locks" in said[0]
    assert "Cure: start one at a time" in said[0]


def test_a_lock_that_fails_for_another_reason_is_not_passed_over(tmp_path: Path) -> None:
    def break_down(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output"), hold_folder(tmp_path, key="out", say=print, lock=break_down):
        pass
