"""The people of the review desk and their sessions."""

from sqlalchemy import Connection, Row, delete, insert, select, update

from qcgen.core.errors import SpecError
from qcgen.core.review import Role, User
from qcgen.store import tasks
from qcgen.store.codec import finite
from qcgen.store.reviewschema import review_session, review_user

_u, _s = review_user.c, review_session.c


def add(connection: Connection, user: User) -> None:
    if one(connection, user.name) is not None:
        raise SpecError(f"NAME: {user.name!r} is taken. Cure: another name, or qcgen users password {user.name}.")
    connection.execute(insert(review_user), _values(user))


def change(connection: Connection, user: User) -> None:
    changed = connection.execute(update(review_user).where(_u.name == user.name).values(**_values(user))).rowcount
    if not changed:
        raise SpecError(f"NAME: there is no person {user.name!r}. Cure: qcgen users list.")
    if not user.active:
        tasks.release(connection, user.name)
        connection.execute(delete(review_session).where(_s.user_name == user.name))


def every(connection: Connection) -> list[User]:
    return [_to_user(row) for row in connection.execute(select(review_user).order_by(_u.name))]


def one(connection: Connection, name: str) -> User | None:
    row = connection.execute(select(review_user).where(_u.name == name)).first()
    return _to_user(row) if row else None


def role_of(connection: Connection, name: str) -> Role:
    """What this person may do; one who is not registered is a reviewer, as on a desk without accounts.

    Raises:
        SpecError: a manager, or somebody who is no longer active.
    """
    user = one(connection, name)
    if user is None:
        return Role.REVIEWER
    if not user.active:
        raise SpecError(f"reviewer: {name!r} is no longer active. Cure: qcgen users add another name.")
    if user.role is Role.MANAGER:
        raise SpecError(f"reviewer: {name!r} is a manager, who reads and decides nothing. Cure: a reviewer's name.")
    return user.role


def add_session(connection: Connection, token_sha256: str, name: str, *, until: float, now: float) -> None:
    connection.execute(delete(review_session).where(_s.valid_until <= now))
    row = {"token_sha256": token_sha256, "user_name": name, "valid_until": finite(until, "session")}
    connection.execute(insert(review_session), row)


def session(connection: Connection, token_sha256: str, *, now: float) -> User | None:
    query = select(review_user).join(review_session, _s.user_name == _u.name)
    row = connection.execute(query.where(_s.token_sha256 == token_sha256, _s.valid_until > now, _u.active == 1)).first()
    return _to_user(row) if row else None


def end_session(connection: Connection, token_sha256: str) -> None:
    connection.execute(delete(review_session).where(_s.token_sha256 == token_sha256))


def _values(user: User) -> dict[str, object]:
    return {"name": user.name, "role": str(user.role), "password": user.password, "active": int(user.active)}


def _to_user(row: Row[tuple[object, ...]]) -> User:
    return User(row.name, Role(row.role), row.password, row.active == 1)
