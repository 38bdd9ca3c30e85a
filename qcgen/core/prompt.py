"""Prompt templates: text with `{column}` placeholders. Nothing else is understood: it can only copy cells."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qcgen.core.wording import names, plain, show, suggest

MAX_PROMPT = 2000

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_CODE = re.compile(r"[.\[\]!:()]")


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: literal texts around the columns, `texts[0] columns[0] texts[1] columns[1] ... texts[-1]`."""

    texts: tuple[str, ...]
    columns: tuple[str, ...]

    def used(self) -> tuple[str, ...]:
        """The columns that the prompt depends on, each once, in order of appearance."""
        return tuple(dict.fromkeys(self.columns))

    def render(self, fields: Mapping[str, str]) -> str:
        """The prompt of one row. Braces inside cells are text."""
        pieces = [self.texts[0]]
        for column, text in zip(self.columns, self.texts[1:], strict=True):
            pieces += (fields[column], text)
        return "".join(pieces)


def parse_template(prompt: str, report: Callable[[str], None]) -> Template:
    """Split a template; mistakes are told to `report` as `rule (got X). Cure.` and left out of the result."""
    texts, columns, literal, end = [], [], "", 0
    for match in _PIECE.finditer(prompt):
        literal += prompt[end : match.start()]
        end = match.end()
        piece, column = match.group(), match.group(1)
        if piece in ("{{", "}}"):
            literal += piece[0]
        elif column is None:
            report(f"has a single {piece!r} (got {show(prompt)}). Write {piece * 2} for a brace in the text.")
        elif wrong := _code(column):
            report(f"{wrong} (got {show(piece)}). Write only the name of a column in braces.")
        else:
            texts.append(literal)
            columns.append(column)
            literal = ""
    return Template((*texts, literal + prompt[end:]), tuple(columns))


def check_columns(template: Template, known: Sequence[str], report: Callable[[str], None]) -> None:
    """Tell `report` of every placeholder that is no column."""
    for column in template.used():
        if column not in known:
            meant = suggest(column, known)
            cure = f"Did you mean {plain(meant)}?" if meant else "Use one of them, or {{ and }} for braces in the text."
            report(f"{{{plain(column)}}} is not a column of the items (columns: {names(known)}). {cure}")


def _code(column: str) -> str | None:
    if not column.strip():
        return "has empty braces"
    return "may not look inside or format a column" if _CODE.search(column) else None
