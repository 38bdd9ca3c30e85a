"""The review desk's store under kill -9 and under many hands."""

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

from qcgen.core.review import Kind, Role
from qcgen.store import admin
from qcgen.store.sql import open_store
from tests.store.test_review import RUN, answer, draft, fill

REVIEWER = """
import sys
from qcgen.core.review import Answer, Choice, Role
from qcgen.store.sql import open_store
desk = open_store(sys.argv[1]).review
while tasks := desk.lease_tasks("ada", run_id=None, n=1, seconds=600, role=Role.REVIEWER):
    (one,) = desk.decide("ada", [Answer(x.id, x.revision, x.file_sha256, Choice.REJECT, "blur") for x in tasks])
    print(one.id, flush=True)
"""


def test_a_killed_desk_loses_no_acknowledged_decision(sqlite_url: str, root: Path) -> None:
    store = open_store(sqlite_url)
    fill(store)
    made = [replace(draft(0), image_id=f"{number:032x}") for number in range(400)]
    store.review.add_tasks(RUN, made)
    acknowledged: set[int] = set()
    for wanted in (1, 3, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", REVIEWER, sqlite_url], stdout=subprocess.PIPE, text=True, cwd=root
        )
        assert process.stdout is not None
        for _ in range(wanted):
            acknowledged.add(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        acknowledged |= {int(line) for line in process.stdout.read().split("\n")[:-1]}
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        assert admin.check(sqlite_url) == ()
        said = {one.id for one in store.review.decisions(RUN)}
        # The last one may have been committed just before its number could be printed.
        assert acknowledged <= said
        assert len(said - acknowledged) <= 1
        acknowledged = said
    store.close()


def test_people_at_work_at_the_same_time_share_the_queue(url: str) -> None:
    store = open_store(url)
    fill(store)
    store.review.add_tasks(RUN, [draft(index) for index in range(8)])
    store.review.add_tasks(RUN, [draft(index, Kind.DOUBLE) for index in range(8)])
    failed: list[BaseException] = []

    def work(name: str) -> None:
        own = open_store(url)
        try:
            while found := own.review.lease_tasks(name, run_id=None, n=2, seconds=600, role=Role.REVIEWER):
                own.review.decide(name, [answer(one) for one in found])
        except BaseException as error:
            failed.append(error)
        finally:
            own.close()

    people = [threading.Thread(target=work, args=(f"person-{number}",)) for number in range(4)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    said = list(store.review.decisions(RUN))
    store.close()
    assert failed == []
    assert len(said) == 16
    assert len({(one.image_id, one.reviewer) for one in said}) == 16
    assert admin.check(url) == ()
