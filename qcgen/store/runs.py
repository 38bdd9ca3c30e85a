"""Runs and shards as rows: start, lease, reopen, finish, find."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Row, Select, delete, func, insert, or_, select, update

from qcgen.core.errors import IntegrityError, SpecError
from qcgen.core.types import RunInfo, Shard
from qcgen.store.codec import findings_from_json, findings_to_json, finite, numbers_from_json, texts_from_json, to_json
from qcgen.store.dialect import Dialect
from qcgen.store.names import model_id, policy_ids
from qcgen.store.schema import item, model, policy, run, shard


def add(connection: Connection, dialect: Dialect, info: RunInfo, shards: Sequence[Shard]) -> bool:
    """Insert a run with its shards; False when its id is there already, and nothing is changed."""
    row = {
        "seq": connection.execute(select(func.coalesce(func.max(run.c.seq), 0) + 1)).scalar_one(),
        "id": info.run_id,
        "name": info.name,
        "status": info.status,
        "purpose": info.purpose,
        "job_path": info.job_path,
        "spec_sha256": info.spec_sha256,
        "spec_json": info.spec_json,
        "model": info.model,
        "model_id": model_id(connection, dialect, name=info.model, digest=info.model_digest),
        "policy_id": policy_ids(connection, dialect, {info.policy_sha256})[info.policy_sha256],
        "planned": info.planned,
        "out_dir": info.out_dir,
        "started_at": info.started_at,
        "ended_at": info.ended_at,
        "seconds": finite(info.seconds, "run.seconds"),
        "seconds_by_stage": to_json(dict(info.seconds_by_stage)),
        "environment": to_json(dict(info.environment)),
        "gates": findings_to_json(info.gates),
        "report": info.report,
    }
    connection.execute(insert(run), row)
    if shards:
        connection.execute(
            insert(shard),
            [
                {
                    "run_seq": row["seq"],
                    "number": each.number,
                    "start": each.start,
                    "stop": each.stop,
                    "state": "open",
                    "token": 0,
                }
                for each in shards
            ],
        )
    return True


def attach(connection: Connection, run_id: str) -> bool:
    """Set a stored run to running and give up every lease on it; False when there is none."""
    seq = connection.execute(
        update(run).where(run.c.id == run_id).values(status="running", ended_at=None).returning(run.c.seq)
    ).scalar()
    if seq is None:
        return False
    # Whoever held them was killed, or finds its token stale: two live runners lose one shard's work, a resumed one
    # loses no time.
    connection.execute(
        update(shard)
        .where(shard.c.run_seq == seq, shard.c.state == "leased")
        .values(state="open", owner=None, lease_until=None)
    )
    return True


def lease(connection: Connection, run_id: str, *, owner: str, now: float, until: float) -> tuple[Shard, int] | None:
    seq = number_of(connection, run_id)
    free = connection.execute(
        select(shard.c.number, shard.c.start, shard.c.stop, shard.c.token)
        .where(
            shard.c.run_seq == seq,
            or_(shard.c.state == "open", (shard.c.state == "leased") & (shard.c.lease_until <= now)),
        )
        .order_by(shard.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if free is None:
        return None
    connection.execute(
        update(shard)
        .where(shard.c.run_seq == seq, shard.c.number == free.number)
        .values(state="leased", owner=owner, lease_until=finite(until, "lease"), token=free.token + 1)
    )
    return Shard(number=free.number, start=free.start, stop=free.stop), free.token + 1


def reopen(connection: Connection, run_id: str, number: int) -> str | None:
    """Delete a shard's rows and open it; returns the digest of the files it had, None when it was not done."""
    seq = number_of(connection, run_id)
    place = (shard.c.run_seq == seq) & (shard.c.number == number)
    before = connection.execute(select(shard.c.files_sha256).where(place).with_for_update()).first()
    if before is None:
        raise IntegrityError(f"run {run_id} has no shard {number}.")
    connection.execute(delete(item).where(item.c.run_seq == seq, item.c.shard == number))
    # The token stays, so that whoever still works on it cannot record.
    connection.execute(
        update(shard)
        .where(place)
        .values(state="open", owner=None, lease_until=None, files_sha256=None, token=shard.c.token + 1)
    )
    return None if before.files_sha256 is None else str(before.files_sha256)


def note(connection: Connection, run_id: str, facts: Mapping[str, str]) -> None:
    """Add facts to a run's environment; a name that is there gets the new value."""
    seq = number_of(connection, run_id)
    known = connection.execute(select(run.c.environment).where(run.c.seq == seq).with_for_update()).scalar_one()
    told = to_json({**texts_from_json(known), **facts})
    connection.execute(update(run).where(run.c.seq == seq).values(environment=told))


def done(connection: Connection, run_id: str) -> frozenset[int]:
    seq = number_of(connection, run_id)
    return frozenset(
        connection.execute(select(shard.c.number).where(shard.c.run_seq == seq, shard.c.state == "done")).scalars()
    )


def number_of(connection: Connection, run_id: str) -> int:
    seq = connection.execute(select(run.c.seq).where(run.c.id == run_id)).scalar()
    if seq is None:
        raise IntegrityError(f"there is no run {run_id} in this database. Cure: `qcgen runs list` shows those it has.")
    return int(seq)


def one(connection: Connection, run_id: str) -> RunInfo | None:
    row = connection.execute(_query().where(run.c.id == run_id)).first()
    return _to_info(row) if row else None


def every(connection: Connection) -> tuple[RunInfo, ...]:
    return tuple(_to_info(row) for row in connection.execute(_query().order_by(run.c.seq.desc())))


def find(connection: Connection, name_or_id: str) -> RunInfo | None:
    exact = one(connection, name_or_id)
    if exact is not None or not name_or_id:
        return exact
    # Not LIKE, which ignores case in SQLite only.
    prefixed = connection.execute(
        _query().where(func.substr(run.c.id, 1, len(name_or_id)) == name_or_id).limit(9)
    ).all()
    if len(prefixed) == 1:
        return _to_info(prefixed[0])
    named = connection.execute(_query().where(run.c.name == name_or_id).order_by(run.c.seq.desc()).limit(1)).first()
    if named is not None:
        return _to_info(named)
    if prefixed:
        raise SpecError(
            f"run {name_or_id!r} could be {', '.join(row.id for row in prefixed)}. Cure: give more of the id."
        )
    return None


def _query() -> Select[tuple[object, ...]]:
    tables = run.join(model, model.c.id == run.c.model_id).join(policy, policy.c.id == run.c.policy_id)
    return select(run, model.c.digest.label("model_digest"), policy.c.sha256.label("policy_sha256")).select_from(tables)


def _to_info(row: Row[tuple[object, ...]]) -> RunInfo:
    return RunInfo(
        run_id=row.id,
        name=row.name,
        status=row.status,
        purpose=row.purpose,
        job_path=row.job_path,
        spec_sha256=row.spec_sha256,
        spec_json=row.spec_json,
        model=row.model,
        model_digest=row.model_digest,
        policy_sha256=row.policy_sha256,
        planned=row.planned,
        out_dir=row.out_dir,
        started_at=row.started_at,
        ended_at=row.ended_at,
        seconds=row.seconds,
        seconds_by_stage=numbers_from_json(row.seconds_by_stage),
        environment=texts_from_json(row.environment),
        gates=findings_from_json(row.gates),
        report=row.report,
    )
