"""`qcgen selfcheck`: the mathematics of the distillation against its ground truths."""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from qcgen.cli.console import plain, print_result, progress_shown
from qcgen.cli.options import Json

if TYPE_CHECKING:
    from qcgen.distill.selfcheck import Check, GroupResult

_SIGNS = {"equal": "=", "at_most": "<=", "at_least": ">="}
_WIDTH = 150


def selfcheck(json: Json = False) -> None:
    """Check divergences, gradients and their order against closed forms and quadrature. Exit 1 if a check fails.

    Example: qcgen selfcheck
    """
    from qcgen.cli.wiring import prepare_torch
    from qcgen.distill.selfcheck import ground_truths, run_checks

    prepare_torch()
    results: list[GroupResult] = []
    with progress_shown("groups of checks") as show:
        for result in run_checks():
            results.append(result)
            show(len(results), len(ground_truths()))
    passed = all(result.passed for result in results)
    told = {"passed": passed, "groups": [_group(result) for result in results]}
    print_result(told, as_json=json, text="" if json else _summary(results))
    if not json:
        _print_table(results)
    if not passed:
        raise typer.Exit(1)


def _group(result: "GroupResult") -> dict[str, object]:
    checks = [{**_fields(check), "passed": check.passed} for check in result.checks]
    return {
        "name": result.name,
        "title": result.title,
        "passed": result.passed,
        "cpu_s": result.cpu_s,
        "checks": checks,
    }


def _fields(check: "Check") -> dict[str, object]:
    """JSON has no infinity and no NaN: they are told as text."""
    fields = plain(check)
    assert isinstance(fields, dict)
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in fields.items()
    }


def _summary(results: Sequence["GroupResult"]) -> str:
    failed = [check for result in results for check in result.checks if not check.passed]
    total = sum(len(result.checks) for result in results)
    cpu_s = sum(result.cpu_s for result in results)
    said = f"{total - len(failed)} of {total} checks passed in {cpu_s:.1f} s of processor time"
    return "\n".join([said, *(f"FAILED {check.name}: {check.value:.6g}" for check in failed)])


def _print_table(results: Sequence["GroupResult"]) -> None:
    from rich.console import Console
    from rich.table import Table

    # A fixed width where nobody looks: a log's lines should not wrap at 80 columns.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH)
    for result in results:
        table = Table(title=f"{result.title} ({result.name}, {result.cpu_s:.1f} s)", title_justify="left")
        table.add_column("check", overflow="fold")
        for head in ("value", "expected", "tolerance"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("source", no_wrap=True)
        table.add_column("", no_wrap=True)
        for check in result.checks:
            sign = _SIGNS[check.relation]
            numbers = f"{check.value:.6g}", f"{sign} {check.expected:.6g}", f"{check.tolerance:.1g}"
            table.add_row(check.name, *numbers, check.item, "ok" if check.passed else "[bold red]FAILED[/]")
        console.print(table)
