"""A run that is killed and started again ends like one that was left alone."""

import random
import signal
import time
from pathlib import Path

import pytest

from qcgen.store.sql import open_store
from tests.pipeline.toyprocess import ToyProcess

Facts = list[tuple[object, ...]]
Undisturbed = tuple[Facts, set[str], int]
"""Facts, files and how many lines the run told."""
ROUNDS = 8
COPIES = 4
PAUSE_S = 0.03


def start(folder: Path, *, pause_s: float = PAUSE_S) -> ToyProcess:
    url = f"sqlite:///{folder / 'runs.db'}"
    return ToyProcess(folder, str(folder / "out"), url, "--pause-s", str(pause_s), "--copies", str(COPIES))


def finish(folder: Path) -> str:
    process = start(folder, pause_s=0)
    assert process.join() == 0, process.told
    assert process.told.splitlines()[-1] == "complete"
    return process.told


def facts(folder: Path) -> Facts:
    """Ids, hashes, scores and verdicts of every attempt: what images.csv is made of."""
    store = open_store(f"sqlite:///{folder / 'runs.db'}", create=False)
    (run,) = store.runs()
    rows = [
        (
            row.item_index,
            row.attempt,
            row.current,
            row.image_id,
            row.seed,
            row.relpath,
            row.file_sha256,
            row.bytes,
            row.outcome,
            tuple((reason.kind, reason.value, tuple(reason.evidence.items())) for reason in row.reasons),
            tuple(sorted(row.measures.items())),
            row.thumbnail,
        )
        for row in store.rows(run.run_id, every_attempt=True)
    ]
    gates = [(gate.kind, gate.value, gate.threshold) for gate in run.gates]
    store.close()
    return [*rows, ("gates", *gates)]


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder / "out")) for path in (folder / "out" / "images").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    told = finish(folder)
    return facts(folder), files_in(folder), told.count("\n")


def test_kill_at_random_moments_and_resume_gives_the_same_run(undisturbed: Undisturbed, tmp_path: Path) -> None:
    expected, expected_files, lines = undisturbed
    assert len(expected) > 72, "no retries: the job would not show what it should"
    chance = random.Random(20261123)
    killed_in_the_middle = 0
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        for _ in range(chance.randint(1, 2)):
            process = start(folder)
            process.wait_for_lines(chance.randint(0, lines))
            time.sleep(chance.uniform(0, 1.5) * PAUSE_S)
            process.signal(signal.SIGKILL)
            killed_in_the_middle += process.join() == -signal.SIGKILL
        finish(folder)
        assert facts(folder) == expected, f"round {number}"
        assert files_in(folder) == expected_files, f"round {number}"
    # Else the moments are too late and the rounds show nothing.
    assert killed_in_the_middle >= ROUNDS // 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_a_run_pauses_cleanly_and_resumes(
    number: signal.Signals, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    process = start(tmp_path, pause_s=0.2)
    process.wait_for("work")
    process.signal(number)
    assert process.join() == 5, process.told
    assert f"Stopped by {number.name}" in process.told
    store = open_store(f"sqlite:///{tmp_path / 'runs.db'}", create=False)
    (run,) = store.runs()
    recorded = {row.relpath for row in store.rows(run.run_id, every_attempt=True) if row.relpath}
    store.close()
    assert run.status == "interrupted"
    assert files_in(tmp_path) == recorded
    finish(tmp_path)
    assert (facts(tmp_path), files_in(tmp_path)) == undisturbed[:2]


def test_second_start_while_the_first_works_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, pause_s=0.5)
    first.wait_for("work")
    second = start(tmp_path)
    assert second.join() == 5
    assert "another qcgen works in" in second.told
    first.signal(signal.SIGTERM)
    assert first.join() == 5
