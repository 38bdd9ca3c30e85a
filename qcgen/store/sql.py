"""The only implementation of `core.store.Store`: a method is one transaction, which commits whole or leaves nothing."""

import time
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection, func, select, update

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Card, Finding, Produced, Row, RunInfo, Shard, Verdict
from qcgen.store import audit, names, read, runs, schema, write
from qcgen.store.codec import findings_to_json, finite, to_json, utc
from qcgen.store.engine import DEFAULT_URL, Database, open_database
from qcgen.store.migrate import ensure_current
from qcgen.store.review import SqlReviewStore


def open_store(url: str = DEFAULT_URL, *, create: bool = True) -> "SqlStore":
    """Open a database, make its tables or upgrade them.

    Args:
        url: `sqlite:///FILE`, `sqlite://` (in memory) or `postgresql+psycopg://user@host/name`.
        create: False refuses a SQLite file that does not exist yet.

    Raises:
        SpecError: wrong URL, missing folder, a database of a newer qcgen or of another program.
        IntegrityError: tables or triggers are not what this schema says.
        PrerequisiteError: no driver, or no server answers.
        PausedError: disk full, or locked for longer than the busy timeout.
    """
    database = open_database(url, create=create)
    try:
        ensure_current(database)
    except BaseException:
        database.engine.dispose()
        raise
    return SqlStore(database)


class SqlStore:
    """Runs on SQLite and PostgreSQL alike; see `core.store.Store` for what each method promises.

    Args:
        clock: seconds since the epoch; leases run out by it and rows are dated by it, nothing is ordered by it.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self._clock = clock
        self.review = SqlReviewStore(database, clock=clock)

    def start_run(self, run: RunInfo, shards: Sequence[Shard]) -> RunInfo:
        with self.database.write() as connection:
            # Two PostgreSQL writers could both find no such run.
            self.database.dialect.lock(connection, "runs")
            action = "run.attach" if runs.attach(connection, run.run_id) else "run.start"
            if action == "run.start":
                runs.add(connection, self.database.dialect, run, shards)
            stored = _present(connection, run.run_id)
            body = {
                "spec_sha256": stored.spec_sha256,
                "model_digest": stored.model_digest,
                "policy_sha256": stored.policy_sha256,
            }
            self._append(connection, action, stored.run_id, body)
            return stored

    def lease(self, run_id: str, owner: str, *, seconds: float) -> tuple[Shard, int] | None:
        now = self._clock()
        with self.database.write() as connection:
            return runs.lease(connection, run_id, owner=owner, now=now, until=now + seconds)

    def reopen(self, run_id: str, shard: int) -> None:
        with self.database.write() as connection:
            lost = runs.reopen(connection, run_id, shard)
            self._append(connection, "shard.reopen", run_id, {"shard": str(shard), "files_sha256": lost or ""})

    def record(self, run_id: str, shard: Shard, token: int, produced: Sequence[Produced]) -> bool:
        write.check_complete(shard, produced)
        digest = write.files_digest(produced)
        with self.database.write() as connection:
            run_seq = runs.number_of(connection, run_id)
            table = schema.shard
            place = (table.c.run_seq == run_seq) & (table.c.number == shard.number)
            held = connection.execute(select(table).where(place).with_for_update()).first()
            if held is None or (held.start, held.stop) != (shard.start, shard.stop):
                raise IntegrityError(f"run {run_id} has no shard {shard.number} [{shard.start}, {shard.stop}).")
            if held.state != "leased" or held.token != token:
                return False
            write.insert_attempts(
                connection,
                self.database.dialect,
                run_seq=run_seq,
                shard=shard,
                produced=produced,
                now=utc(self._clock()),
            )
            connection.execute(update(table).where(place).values(state="done", lease_until=None, files_sha256=digest))
            body = {
                "shard": str(shard.number),
                "token": str(token),
                "attempts": str(len(produced)),
                "images": str(sum(each.image is not None for each in produced)),
                "files_sha256": digest,
            }
            self._append(connection, "shard.done", run_id, body, actor=held.owner)
            return True

    def rejudge(self, run_id: str, verdicts: Sequence[tuple[str, Verdict]], policy_sha256: str) -> None:
        with self.database.write() as connection:
            dialect = self.database.dialect
            run_seq = runs.number_of(connection, run_id)
            write.replace_verdicts(connection, dialect, run_seq=run_seq, verdicts=verdicts, now=utc(self._clock()))
            policy_id = names.policy_ids(connection, dialect, {policy_sha256})[policy_sha256]
            connection.execute(update(schema.run).where(schema.run.c.seq == run_seq).values(policy_id=policy_id))
            self._append(
                connection, "run.rejudge", run_id, {"verdicts": str(len(verdicts)), "policy_sha256": policy_sha256}
            )

    def finish_run(
        self,
        run_id: str,
        *,
        status: str,
        seconds: float,
        seconds_by_stage: dict[str, float],
        gates: Sequence[Finding],
        report: str | None,
    ) -> RunInfo:
        with self.database.write() as connection:
            run_seq = runs.number_of(connection, run_id)
            connection.execute(
                update(schema.run)
                .where(schema.run.c.seq == run_seq)
                .values(
                    status=status,
                    # What is judged or reported afterwards does not move a run's end; a new start clears it.
                    ended_at=func.coalesce(schema.run.c.ended_at, utc(self._clock())),
                    seconds=finite(seconds, "run.seconds"),
                    seconds_by_stage=to_json(seconds_by_stage),
                    gates=findings_to_json(gates),
                    report=report,
                )
            )
            self._append(connection, "run.finish", run_id, {"status": status})
            return _present(connection, run_id)

    def keep_report(self, run_id: str, report: str, sums_sha256: str) -> RunInfo:
        with self.database.write() as connection:
            run_seq = runs.number_of(connection, run_id)
            connection.execute(update(schema.run).where(schema.run.c.seq == run_seq).values(report=report))
            self._append(connection, "run.report", run_id, {"report": report, "sums_sha256": sums_sha256})
            return _present(connection, run_id)

    def note(self, run_id: str, action: str, facts: dict[str, str]) -> None:
        with self.database.write() as connection:
            runs.note(connection, run_id, facts)
            self._append(connection, action, run_id, facts)

    def audit(self, run_id: str, action: str, body: dict[str, str]) -> None:
        with self.database.write() as connection:
            self._append(connection, action, run_id, body)

    def chain_problems(self) -> Sequence[str]:
        with self.database.read() as connection:
            return audit.problems(connection)

    def register_model(self, digest: str, card: Card) -> None:
        with self.database.write() as connection:
            # Two runs that begin with one model would both write its lineage.
            self.database.dialect.lock(connection, "runs")
            if names.register_card(connection, self.database.dialect, digest=digest, card=card):
                body = {"digest": digest, "declared": str(card.declared).lower()}
                self._append(connection, "model.register", card.name, body)

    def card(self, digest: str) -> Card | None:
        with self.database.read() as connection:
            return names.card_of(connection, digest)

    def run(self, run_id: str) -> RunInfo | None:
        with self.database.read() as connection:
            return runs.one(connection, run_id)

    def runs(self) -> Sequence[RunInfo]:
        with self.database.read() as connection:
            return runs.every(connection)

    def find_run(self, name_or_id: str) -> RunInfo | None:
        with self.database.read() as connection:
            return runs.find(connection, name_or_id)

    def rows(self, run_id: str, *, every_attempt: bool = False) -> Iterator[Row]:
        """Streams pages of 2,000; each is a snapshot of its own, so that a slow reader never holds a writer off."""
        after = read.FIRST
        while True:
            with self.database.read() as connection:
                page = read.page(
                    connection, runs.number_of(connection, run_id), after=after, every_attempt=every_attempt
                )
            yield from page
            if len(page) < read.PAGE:
                return
            after = (page[-1].item_index, page[-1].attempt)

    def hashes(self, run_id: str) -> Sequence[tuple[str, str, str]]:
        with self.database.read() as connection:
            return read.hashes(connection, runs.number_of(connection, run_id))

    def done_shards(self, run_id: str) -> frozenset[int]:
        with self.database.read() as connection:
            return runs.done(connection, run_id)

    def close(self) -> None:
        self.database.engine.dispose()

    def _append(
        self, connection: Connection, action: str, subject: str, body: dict[str, str], *, actor: str | None = None
    ) -> None:
        audit.append(
            connection,
            self.database.dialect,
            ts=utc(self._clock()),
            actor=actor or audit.PROGRAM,
            action=action,
            subject=subject,
            body=body,
        )


def _present(connection: Connection, run_id: str) -> RunInfo:
    info = runs.one(connection, run_id)
    assert info is not None, run_id
    return info
