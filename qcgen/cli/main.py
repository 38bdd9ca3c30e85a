"""The `qcgen` program: names the command groups and turns every error into a message and an exit code."""

import os
import sys
from collections.abc import Sequence
from itertools import pairwise

import typer

from qcgen.cli import (
    bench,
    calibrate,
    db,
    deliver,
    doctor,
    evaluate,
    judge,
    learn,
    models,
    pilot,
    plan,
    references,
    report,
    review,
    reviews,
    run,
    runs,
    score,
    selfcheck,
    train,
    users,
)
from qcgen.cli.errors import report_error
from qcgen.cli.threads import let_threads_sleep
from qcgen.core.errors import SpecError
from qcgen.core.wording import plain

_INTERRUPTED = 130
"""What the parser makes of Ctrl-C; no command of ours ends with it."""

_HERE = ". is the current folder"

app = typer.Typer(
    name="qcgen",
    help="Image batches that a company can sign off: generated, scored, judged, stored and reported.\n\n"
    "Exit codes: 0 ok, 1 findings, 2 a mistake of yours, 3 something is missing, 4 integrity failure, 5 paused.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(run.run)
app.command()(plan.plan)
app.command()(score.score)
app.command()(calibrate.calibrate)
app.command()(references.references)
app.command()(judge.judge)
app.add_typer(learn.app, name="learn")
app.add_typer(report.app, name="report")
app.command()(review.review)
app.command()(deliver.export)
app.add_typer(reviews.app, name="reviews")
app.add_typer(users.app, name="users")
app.add_typer(runs.app, name="runs")
app.add_typer(models.app, name="models")
app.add_typer(db.app, name="db")
app.command()(train.train)
app.command()(train.distill)
app.command()(pilot.pilot)
app.command("eval")(evaluate.evaluate)
app.command()(selfcheck.selfcheck)
app.add_typer(bench.app, name="bench")
app.command()(doctor.doctor)


def entry_point() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command; no error leaves here.

    Returns:
        The exit code.
    """
    _quiet_the_hub()
    let_threads_sleep()
    try:
        _refuse_empty(arguments)
        # The parser hands back the code of a typer.Exit, or what the command returned (None).
        code: int = app(args=list(arguments), standalone_mode=False) or 0
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        return code
    except (Exception, KeyboardInterrupt) as error:
        # Of the processes of one training, the first alone speaks to a program.
        return report_error(error, as_json="--json" in arguments and os.environ.get("RANK", "0") == "0")


def _refuse_empty(arguments: Sequence[str]) -> None:
    """An empty path would be the current folder: a script's variable that was not set must not choose that.

    Blanks alone are as empty: no path, name or text of a command is made of them.
    """
    problems = []
    for place, (before, one) in enumerate(pairwise(("", *arguments)), 1):
        option, equals, value = one.partition("=") if one[:2] == "--" else (before, "", one)
        if not value.strip() and (equals or one[:2] != "--"):
            at = f", at {plain(option)}" if option[:2] == "--" and option != "--" and "=" not in option else ""
            problems.append(f"argument {place}{at}: empty. Cure: give a value ({_HERE}), or leave it out.")
    if problems:
        raise SpecError(problems)


def _quiet_the_hub() -> None:
    """Models come from folders or the local cache; the hub's libraries read this once, when they are imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    # Their bars would tear ours.
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


if __name__ == "__main__":
    entry_point()
