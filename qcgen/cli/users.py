"""`qcgen users`: the people of the review desk."""

import getpass
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import print_result, table
from qcgen.cli.options import DATABASE, Db, Json
from qcgen.core.errors import SpecError
from qcgen.core.review import Role
from qcgen.core.wording import cure_of, show

if TYPE_CHECKING:
    from qcgen.core.review import ReviewStore, User

app = typer.Typer(help="The people who review.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, dot, dash, underscore.")]


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="What they may do.")] = Role.REVIEWER,
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Add a person. The password is asked for on the terminal, or read from the first line of stdin.

    Example: qcgen users add ada --role adjudicator
    """
    from qcgen.cli.wiring import opened
    from qcgen.core.passwords import hash_password
    from qcgen.core.review import User, check_name

    check_name(name)
    with opened(db, create=False) as store:
        if any(one.name == name for one in store.review.users()):
            raise SpecError(f"NAME: {name!r} is taken. Cure: another name, or qcgen users password {name}.")
        store.review.add_user(User(name, role, hash_password(_ask())))
    print_result({"name": name, "role": role}, as_json=json, text=f"{name} may review as {role}")


@app.command("list")
def list_users(db: Db = DATABASE, json: Json = False) -> None:
    """List the people, by name.

    Example: qcgen users list
    """
    from qcgen.cli.wiring import opened

    with opened(db, create=False) as store:
        users = store.review.users()
    rows = [(one.name, str(one.role), "active" if one.active else "disabled") for one in users]
    result = {"users": [{"name": one.name, "role": one.role, "active": one.active} for one in users]}
    print_result(result, as_json=json, text=table(("name", "role", "state"), rows))


@app.command()
def disable(name: Name, db: Db = DATABASE, json: Json = False) -> None:
    """Let a person in no more; what they decided stays. `qcgen users password` lets them in again.

    Example: qcgen users disable ada
    """
    from qcgen.cli.wiring import opened

    with opened(db, create=False) as store:
        store.review.change_user(replace(_find(store.review, name), active=False))
    print_result({"name": name, "active": False}, as_json=json, text=f"{name} is disabled")


@app.command()
def password(name: Name, db: Db = DATABASE, json: Json = False) -> None:
    """Give a person a new password and let them in; asked for as by `qcgen users add`.

    Example: qcgen users password ada
    """
    from qcgen.cli.wiring import opened
    from qcgen.core.passwords import hash_password

    with opened(db, create=False) as store:
        user = _find(store.review, name)
        store.review.change_user(replace(user, password=hash_password(_ask()), active=True))
    print_result({"name": name, "active": True}, as_json=json, text=f"{name} has a new password")


def _find(desk: "ReviewStore", name: str) -> "User":
    people = {one.name: one for one in desk.users()}
    if name not in people:
        cure = cure_of(name, people, beside=", or qcgen users add")
        raise SpecError(f"NAME: there is no person {show(name)}. {cure}")
    return people[name]


def _ask() -> str:
    """Never from the command line, which other processes and the shell's history see."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise SpecError("password: was not the same twice. Cure: start the command again.")
    return first
