"""A full disk pauses a run, a read-only folder is the user's mistake; neither leaves half a file."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcgen.core.errors import PausedError, SpecError
from qcgen.core.types import Row
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import make_job, run_toy

SIZE = "192k"


def mount(folder: Path, options: str) -> None:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small disk was refused: {mounted.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk that is soon full."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small disk: the full-disk behaviour is NOT checked here")
    folder = tmp_path / "disk"
    mount(folder, f"size={SIZE}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(f"sqlite:///{tmp_path / 'runs.db'}")
    yield opened
    opened.close()


def facts(rows: Iterator[Row]) -> list[tuple[object, ...]]:
    return [
        (row.item_index, row.attempt, row.image_id, row.relpath, row.file_sha256, row.outcome, row.measures)
        for row in rows
    ]


def files_in(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in (out / "images").rglob("*") if path.is_file()}


def test_full_disk_pauses_without_half_files_and_resumes_to_the_same_run(
    small_disk: Path, store: SqlStore, tmp_path: Path
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * 40 * 1024)
    job = make_job(small_disk / "out", shard_size=8)
    with pytest.raises(PausedError, match="no space left") as caught:
        run_toy(job, store)
    assert caught.value.exit_code == 5
    (paused,) = store.runs()
    assert paused.status == "paused"
    recorded = {row.relpath for row in store.rows(paused.run_id, every_attempt=True) if row.relpath}
    assert files_in(small_disk / "out") == recorded
    assert recorded, "the disk was full before the first shard: the test would not show what it should"

    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    run = run_toy(job, store)
    undisturbed = run_toy(make_job(tmp_path / "undisturbed", shard_size=8), store)
    assert run.status == "complete"
    assert facts(store.rows(run.run_id, every_attempt=True)) == facts(
        store.rows(undisturbed.run_id, every_attempt=True)
    )
    assert files_in(small_disk / "out") == files_in(tmp_path / "undisturbed")


def test_read_only_output_is_a_spec_error_before_anything_is_stored(small_disk: Path, store: SqlStore) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(SpecError, match=r"output\.dir"):
        run_toy(make_job(small_disk / "out"), store)
    assert store.runs() == ()


def test_full_disk_under_the_database_pauses_and_resumes(small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    url = f"sqlite:///{small_disk / 'runs.db'}"
    store = open_store(url)
    filler = small_disk / "filler"
    job = make_job(tmp_path / "out", shard_size=8)
    free = shutil.disk_usage(small_disk).free
    filler.write_bytes(b"\0" * (free - 96 * 1024))
    with pytest.raises(PausedError):
        run_toy(job, store)
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    run = run_toy(job, store)
    assert run.status == "complete"
    assert files_in(tmp_path / "out") == {row.relpath for row in store.rows(run.run_id, every_attempt=True)}
    store.close()
