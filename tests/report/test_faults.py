"""What is left when a writer is killed, or the disk is full: the old report, whole, and nothing else."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qcgen.report.runindex import add_to_index
from qcgen.report.write import write_report
from tests.report import synthetic

_HEAD = """
import resource, signal, sys, time
from pathlib import Path
from qcgen.report.runindex import add_to_index
from qcgen.report.write import write_report
from tests.report import synthetic
root = Path(sys.argv[1])
made = synthetic.make_synthetic(40, pictures=[b""])

def write(rows):
    return write_report(made.run, rows, folder=root / "run", images_root=root, formats=("html", "csv"),
                        every_attempt=made.everything)
"""
_SLOW = """
def slow():
    for row in made.rows:
        print("row", flush=True)
        time.sleep(0.02)
        yield row
write(slow())
"""
_FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    add_to_index(root / "run") if sys.argv[3] == "index" else write(made.rows)
except OSError as error:
    print("refused", error.errno)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with the report of a run in `run`."""
    made = synthetic.make_synthetic(5, pictures=[b""])
    write_report(
        made.run, made.rows, folder=tmp_path / "run", images_root=tmp_path, formats=("html",),
        every_attempt=made.everything,
    )  # fmt: skip
    return tmp_path


def test_a_killed_writer_leaves_the_old_report_and_the_next_one_sweeps_up(written: Path) -> None:
    before = contents(written / "run")
    child = subprocess.Popen([sys.executable, "-c", _HEAD + _SLOW, str(written)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"row\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert contents(written / "run") == before
    assert len(list(written.iterdir())) == 2, "the half one lies beside it"
    made = synthetic.make_synthetic(7, pictures=[b""])
    write_report(made.run, made.rows, folder=written / "run", images_root=written, formats=(), every_attempt=())
    assert [path.name for path in written.iterdir()] == ["run"]


def test_a_writer_at_work_is_not_swept_away(written: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", _HEAD + _SLOW, str(written)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"row\n"
    made = synthetic.make_synthetic(7, pictures=[b""])
    write_report(made.run, made.rows, folder=written / "run", images_root=written, formats=(), every_attempt=())
    child.communicate()
    assert child.returncode == 0
    assert (written / "run" / "index.html").is_file()
    assert [path.name for path in written.iterdir()] == ["run"]


def test_an_old_report_that_was_moved_away_comes_back(written: Path) -> None:
    before = contents(written / "run")
    (written / ".run.old-x1").mkdir()
    (written / "run").rename(written / ".run.old-x1" / "run")
    made = synthetic.make_synthetic(2, pictures=[b""])

    def broken() -> object:
        raise RuntimeError("the store went away")
        yield

    with pytest.raises(RuntimeError):
        write_report(
            made.run,
            broken(),
            folder=written / "run",
            images_root=written,
            formats=(),
            every_attempt=(),  # type: ignore[arg-type]
        )
    assert contents(written / "run") == before
    assert [path.name for path in written.iterdir()] == ["run"]


def test_a_full_disk_keeps_the_old_report(written: Path) -> None:
    before = contents(written / "run")
    script = [sys.executable, "-c", _HEAD + _FULL, str(written), "20000", "report"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused"), done.stderr
    assert contents(written / "run") == before
    assert [path.name for path in written.iterdir()] == ["run"]


def test_a_full_disk_keeps_the_index_whole(written: Path) -> None:
    (written / "run").rename(written / "first")
    add_to_index(written / "first")
    before = (written / "runs.js").read_bytes()
    (written / "first").rename(written / "run")
    limit = str(len(before) + 40)
    script = [sys.executable, "-c", _HEAD + _FULL, str(written), limit, "index"]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refused"), done.stderr
    assert (written / "runs.js").read_bytes() == before
