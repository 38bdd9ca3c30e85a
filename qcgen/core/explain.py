"""pydantic's errors in plain words: `file:line key: rule (got X). Cure.`, every mistake once, one line a mistake."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from qcgen.core.schema import Schema, place_of
from qcgen.core.wording import names, several, show, suggest
from qcgen.core.yamlpos import Document, Place, Tree, dotted

MOST_LINES = 200
T = TypeVar("T")


@dataclass(slots=True)
class _Mistake:
    place: Place
    rule: str
    got: str | None
    cure: str
    meant: str | None = None  # the known key or value that was probably meant
    kind: str = ""


_Found: TypeAlias = dict[Place, _Mistake]


def explain(document: Document, adapter: TypeAdapter[T], error: ValidationError, *, strict: bool = True) -> list[str]:
    """All mistakes of a document that `adapter` refused, ordered by line; `strict` as it was refused."""
    schema = Schema(adapter.json_schema())
    found = _mistakes(document.value, schema, error)
    found |= _hidden(document.value, schema, adapter, found, strict=strict)
    listed = [mistake for place, mistake in found.items() if place not in document.broken]
    listed.sort(key=lambda mistake: document.line(mistake.place))
    more = [f"... and {several(len(listed) - MOST_LINES, 'more mistake')}."] if len(listed) > MOST_LINES else []
    return [_worded(document, mistake) for mistake in listed[:MOST_LINES]] + more


def _worded(document: Document, mistake: _Mistake) -> str:
    got = "" if mistake.got is None else f" (got {mistake.got})"
    where = document.where(mistake.place) if mistake.place else f"{document.name}:1"
    return f"{where}: {mistake.rule}{got}. {mistake.cure}".rstrip()


def _mistakes(value: Tree, schema: Schema, error: ValidationError) -> _Found:
    """One mistake a place; the branches of a union that all failed there become one sentence."""
    found: dict[Place, _Mistake] = {}
    for detail in error.errors(include_url=False):
        if _is_echo(detail):
            continue
        mistake = _mistake(value, schema, detail)
        earlier = found.get(mistake.place)
        if earlier is None:
            found[mistake.place] = mistake
        elif mistake.rule not in earlier.rule:
            earlier.rule += " or " + mistake.rule.removeprefix("must be ")
    meant = {(*m.place[:-1], m.meant) for m in found.values() if m.kind == "extra_forbidden" and m.meant}
    return {place: m for place, m in found.items() if not (m.kind == "missing" and place in meant)}


def _is_echo(detail: ErrorDetails) -> bool:
    """Of a list with a bad entry pydantic also says that it is too short, because it counts the good ones alone."""
    given = detail["input"]
    return detail["type"] == "too_short" and isinstance(given, list) and len(given) >= detail["ctx"]["min_length"]


def _hidden(value: Tree, schema: Schema, adapter: TypeAdapter[T], found: _Found, *, strict: bool) -> _Found:
    """Mistakes that pydantic only looks for once a group's values are right: mend these in a copy, look again.

    What a misspelt key holds is checked under the name it was meant to have, and told under the one it has.
    """
    mended = copy.deepcopy(value)
    written_as: dict[Place, Place] = {}
    for mistake in found.values():
        _mend(mended, schema, mistake, written_as)
    try:
        adapter.validate_json(json.dumps(mended), strict=strict)
    except ValidationError as error:
        fresh = [m for place, m in _mistakes(mended, schema, error).items() if place not in found]
    else:
        return {}
    hidden: _Found = {}
    for mistake in fresh:
        for meant, written in written_as.items():
            if mistake.place[: len(meant)] == meant:
                mistake.place = written + mistake.place[len(meant) :]
        if mistake.place in found:
            found[mistake.place].cure += f" There it {mistake.rule}."
        else:
            hidden[mistake.place] = mistake
    return hidden


def _mend(tree: Tree, schema: Schema, mistake: _Mistake, written_as: dict[Place, Place]) -> None:
    if not mistake.place or mistake.kind == "value_error":
        return
    parent = tree
    for step in mistake.place[:-1]:
        parent = parent[step]  # type: ignore[index]  # the place was found in this very tree
    last = mistake.place[-1]
    if mistake.kind == "extra_forbidden" and isinstance(parent, dict):
        value = parent.pop(str(last))
        if mistake.meant and mistake.meant not in parent:
            parent[mistake.meant] = value
            written_as[(*mistake.place[:-1], mistake.meant)] = mistake.place
    elif mistake.kind == "union_tag":
        if mistake.meant and isinstance(parent, dict):
            parent[str(last)] = mistake.meant
    elif isinstance(parent, list) and last == len(parent):
        parent.append(schema.sample(mistake.place, tree))
    elif isinstance(parent, dict | list):
        parent[last] = schema.sample(mistake.place, tree)  # type: ignore[index]


def _mistake(value: Tree, schema: Schema, detail: ErrorDetails) -> _Mistake:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        place = (*place_of(value, schema, detail["loc"][:-1]), detail["loc"][-1])
        return _Mistake(place, "is required and missing", None, _add(schema, place, value), kind=kind)
    place = place_of(value, schema, detail["loc"])
    if kind == "extra_forbidden":
        return _unknown_key(schema, place, value, detail["input"])
    if kind.startswith("union_tag"):
        key = str(context["discriminator"]).strip("'")
        known = schema.tags(place, value)
        tag = value.get(key) if isinstance(value, dict) and not place else None
        meant = suggest(str(tag), known)
        choices, place = names(known), (*place, key)
        if tag is None:
            return _Mistake(place, "is required and missing", None, f"Add it: one of {choices}.", kind="union_tag")
        cure = f"Did you mean {meant!r}?" if meant else "Choose one."
        return _Mistake(place, f"must be one of {choices}", show(tag), cure, meant, "union_tag")
    if kind == "value_error":
        return _own_rule(place, value, str(context["error"]))
    rule, cure = _plain_rule(kind, context, detail)
    return _Mistake(place, rule, show(detail["input"]), cure, kind=kind)


def _unknown_key(schema: Schema, place: Place, value: Tree, given: object) -> _Mistake:
    key, here = str(place[-1]), schema.keys(place[:-1], value)
    meant = suggest(key, here)
    elsewhere = [path for path in schema.paths() if path and path[-1] == key and path != place]
    if meant:
        cure = f"Did you mean {meant!r}?"
    elif elsewhere:
        cure = f"It belongs at {dotted(elsewhere[0])}."
    else:
        cure = f"Remove it; known here: {names(here, 30)}."
    return _Mistake(place, "is not a known key", show(given), cure, meant, "extra_forbidden")


def _add(schema: Schema, place: Place, value: Tree) -> str:
    choices = schema.choices(place, value)
    if len(choices) == 1:
        return f"Add `{place[-1]}: {choices[0]}`."
    return f"Add it: one of {names(choices)}." if choices else f"Add it: {schema.words(place, value)}."


def _own_rule(place: Place, value: Tree, text: str) -> _Mistake:
    """A rule of the spec's own validators; if its text begins with one of the group's keys, it is about that key."""
    group = value
    for step in place:
        group = group[step]  # type: ignore[index]  # the place was found in this very tree
    head, _, rest = text.partition(" ")
    if isinstance(group, dict) and head in group:
        place, text = (*place, head), rest
    text = text.strip().rstrip(".").replace("). Cure: ", "). ", 1)
    body, dot, cure = text.partition("). ")
    if dot:
        return _Mistake(place, body + ")", None, cure[:1].upper() + cure[1:] + ".", kind="value_error")
    return _Mistake(place, text, None, "Change it accordingly.", kind="value_error")


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


Wording: TypeAlias = Callable[[Mapping[str, Any]], tuple[str, str]]

_PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,62}$": "must be 1 to 63 small letters, digits, - or _, beginning with a letter or digit",
}

_WORDS: dict[str, Wording] = {
    "greater_than": lambda c: (f"must be more than {_number(c['gt'])}", f"Give a value above {_number(c['gt'])}."),
    "greater_than_equal": lambda c: (f"must be at least {_number(c['ge'])}", f"Nearest: {_number(c['ge'])}."),
    "less_than": lambda c: (f"must be less than {_number(c['lt'])}", f"Give a value below {_number(c['lt'])}."),
    "less_than_equal": lambda c: (f"must be at most {_number(c['le'])}", f"Nearest: {_number(c['le'])}."),
    "string_pattern_mismatch": lambda c: (_PATTERNS.get(c["pattern"], f"must look like {c['pattern']}"), "Rename it."),
    "finite_number": lambda c: ("must be a finite number", "Write an ordinary number."),
    "string_too_short": lambda c: (f"must have at least {c['min_length']} characters", "Write some text."),
    "string_too_long": lambda c: (f"must have at most {c['max_length']} characters", "Shorten it."),
    "too_short": lambda c: (f"must have at least {c['min_length']} entries", "Add entries."),
    "too_long": lambda c: (f"must have at most {c['max_length']} entries", "Remove entries."),
}


def _plain_rule(kind: str, context: Mapping[str, Any], detail: ErrorDetails) -> tuple[str, str]:
    """(rule, cure) for one of pydantic's error types."""
    given = detail["input"]
    if kind in _WORDS:
        return _WORDS[kind](context)
    if kind == "literal_error":
        return _choice(str(context["expected"]), given)
    if kind.startswith("int_"):
        return "must be a whole number", "Remove the quotes." if _is_number(given) else "Write a whole number, like 4."
    if kind.startswith("float_"):
        return "must be a number", "Remove the quotes." if _is_number(given) else "Write a number, like 0.5."
    if kind.startswith("bool_"):
        return "must be true or false", "Write true or false, without quotes."
    if kind.startswith(("string_", "path_")):
        simple = isinstance(given, bool | int | float)
        return "must be text", f'Put it in quotes: "{given}".' if simple else "Write one text."
    if kind in ("list_type", "tuple_type"):
        return "must be a list", "Write [a, b]."
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return "must be a group of keys", "Write its keys, or leave it out."
    return detail["msg"][:1].lower() + detail["msg"][1:], ""


def _choice(expected: str, given: object) -> tuple[str, str]:
    known = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    rule = f"must be {known[0]}" if len(known) == 1 else f"must be one of {names(known)}"
    if given in known:
        return rule, "Remove the quotes."
    meant = suggest(given, known) if isinstance(given, str) else None
    return rule, f"Did you mean {meant!r}?" if meant else f"Write {known[0]}." if len(known) == 1 else "Choose one."


def _is_number(given: object) -> bool:
    try:
        return isinstance(given, str) and float(given) is not None
    except ValueError:
        return False
