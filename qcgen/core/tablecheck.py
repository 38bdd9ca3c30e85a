"""The rules for items' rows: columns, names, prompt cells, repetitions. Every breach is told with its line."""

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence

from qcgen.core.prompt import MAX_PROMPT, Template, check_columns
from qcgen.core.sku import same_sku, sku_problem, slug
from qcgen.core.sources import SKU
from qcgen.core.tables import Table
from qcgen.core.wording import Problems, names, plain, show, suggest

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def check_table(
    table: Table, template: Template, duplicates: str, report: Callable[[str], None], problems: Problems
) -> Table:
    """Check all rows; returns the table, without repeated rows if `duplicates` is skip."""
    check_columns(template, tuple(table.columns), report)
    if not len(table):
        problems.add("rows", f"{table.name}: has no rows, so there is nothing to make. Add rows.")
    used = [column for column in template.used() if column in table.columns]
    _check_cells(table, used, problems)
    _check_length(table, template, used, problems)
    if SKU not in table.columns:
        meant = suggest(SKU, table.columns)
        cure = f"Rename {plain(meant)}." if meant else "Add it."
        problems.add(
            "columns", f"{table.name}:1 {SKU}: the column is missing (columns: {names(table.columns)}). {cure}"
        )
        return table
    for row, sku in enumerate(table.columns[SKU]):
        if wrong := sku_problem(sku):
            problems.add("unsafe names", f"{table.where(row, SKU)} {wrong}")
    if duplicates == "keep":
        return table
    firsts = _first_rows(table, duplicates, problems)
    return table if len(firsts) == len(table) else table.keep(firsts)


def check_matrix(
    axes: Mapping[str, Sequence[str]],
    template: Template,
    where: Callable[..., str],
    report: Callable[[str], None],
    problems: Problems,
) -> None:
    """Check a matrix's axes: columns that the prompt needs, no empty or repeated values, safe names."""
    check_columns(template, tuple(axes), report)
    if not axes:
        problems.add(
            "rows", f"{where()} has no axes, so there is nothing to make. Add one, like `colour: [red, blue]`."
        )
    for name, values in axes.items():
        if not values:
            problems.add("rows", f"{where(name)} has no values, so there is nothing to make. Add some.")
        for wrong in _axis_mistakes(name, values, named=SKU in axes):
            problems.add("matrix values", f"{where(name)} {wrong}")
    spelled = sum(len(text) for text in template.texts) + sum(
        max(map(len, axes.get(name) or [""])) for name in template.columns
    )
    if spelled > MAX_PROMPT:
        problems.add(
            "long prompts",
            f"{where()} prompts must have at most {MAX_PROMPT} characters (got {spelled}). Shorten them.",
        )


def _axis_mistakes(name: str, values: Sequence[str], *, named: bool) -> Iterator[str]:
    seen: dict[str, str] = {}
    for value in values:
        if not value.strip():
            yield f"has an empty value (got {show(value)}). Remove it."
        elif _CONTROL.search(value):
            yield f"must not contain control characters (got {show(value)}). Remove them."
        elif name == SKU and (wrong := sku_problem(value)):
            yield wrong
        key = same_sku(value) if name == SKU else value if named else slug(value)
        if key in seen:
            both = f"got {show(seen[key])} and {show(value)}"
            yield f"has values that give the same name ({both}). Keep one, or use a table with SKUs."
        seen.setdefault(key, value)


def _check_cells(table: Table, used: Sequence[str], problems: Problems) -> None:
    for column in used:
        # The few different texts first: most tables need no second look at their rows.
        if not any(not text.strip() or _CONTROL.search(text) for text in set(table.columns[column])):
            continue
        for row, text in enumerate(table.columns[column]):
            if not text.strip():
                rule = "is empty, and the prompt needs it"
                problems.add("empty cells", f"{table.where(row, column)} {rule} (got {show(text)}). Fill it in.")
            elif _CONTROL.search(text):
                rule = "must not contain line breaks or control characters"
                text = f"{table.where(row, column)} {rule} (got {show(text)}). Remove them."
                problems.add("control characters", text)


def _check_length(table: Table, template: Template, used: Sequence[str], problems: Problems) -> None:
    literal = sum(len(text) for text in template.texts)
    columns = [table.columns[column] for column in template.columns if column in used]
    if literal + sum(max(map(len, cells), default=0) for cells in columns) <= MAX_PROMPT:
        return
    for row in range(len(table)):
        length = literal + sum(len(cells[row]) for cells in columns)
        if length > MAX_PROMPT:
            rule = f"its prompt must have at most {MAX_PROMPT} characters (got {length})"
            problems.add("long prompts", f"{table.where(row, 'prompt')} {rule}. Shorten the cells.")


def _first_rows(table: Table, duplicates: str, problems: Problems) -> Sequence[int]:
    firsts: dict[str, int] = {}
    skus = table.columns[SKU]
    for row, sku in enumerate(skus):
        first = firsts.setdefault(same_sku(sku), row)
        if first != row and sku and duplicates == "error":
            also = f"{table.unit} {table.lines[first]}" + ("" if skus[first] == sku else f" as {show(skus[first])}")
            cure = "Keep one of them, or set items.duplicates to skip or keep."
            problems.add("repeated SKUs", f"{table.where(row, SKU)} is already on {also} (got {show(sku)}). {cure}")
    return array("Q", firsts.values())
