"""A job with all its mistakes at once: those of its YAML, of what it names, and of its table."""

from collections.abc import Callable, Mapping
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.job import ItemsSpec, JobSpec
from qcgen.core.yamlpos import Document, Place, Tree, dotted

_OF_THE_TABLE = ("table", "rows", "matrix", "prompt", "duplicates")


def read_job(path: Path) -> JobSpec:
    """Read a job and look up what it names; its table is read only if there is something else to complain about.

    Raises:
        SpecError: with every mistake.
        PrerequisiteError: something named is missing, and that is all.
    """
    from qcgen.core.spec import load_job
    from qcgen.core.yamlpos import read_yaml

    job: JobSpec | None = None
    problems: list[str] = []
    try:
        job = load_job(path)
    except SpecError as error:
        problems += error.problems
    try:
        document = read_yaml(path)
    except SpecError:
        raise SpecError(problems) from None
    missing: list[str] = []
    for place, check in _checks().items():
        value = _at(document.value, place)
        if isinstance(value, str):
            try:
                check(value)
            except SpecError as error:
                problems += [_located(document, place, one) for one in error.problems]
            except PrerequisiteError as error:
                missing.append(_located(document, place, str(error)))
    if problems or missing:
        problems += _of_the_table(document, path)
    if problems:
        raise SpecError([*problems, *missing])
    if missing:
        raise PrerequisiteError("\n".join(missing))
    assert job is not None
    return job


def _checks() -> Mapping[Place, Callable[[str], object]]:
    """What refuses an unknown name; none of it loads weights."""
    from qcgen.models.find import picture_px, resolve_model
    from qcgen.qc.profile import find_profile, read_profile

    return {
        ("model",): lambda name: picture_px(resolve_model(name)),
        ("qc", "profile"): lambda name: read_profile(find_profile(name)),
        ("qc", "clip", "model"): resolve_model,
    }


def _of_the_table(document: Document, path: Path) -> list[str]:
    """Mistakes in the items, as far as the YAML names a table that can be looked at."""
    from pydantic import ValidationError

    from qcgen.core.expand import expand

    items = document.value.get("items")
    if not isinstance(items, dict):
        return []
    try:
        spec = ItemsSpec.model_validate({name: items[name] for name in _OF_THE_TABLE if name in items})
    except ValidationError:
        return []
    job = JobSpec.model_validate(
        {"version": 1, "name": "x", "model": "x", "purpose": "research", "items": spec, "output": {"dir": "x"}}
    )
    try:
        expand(job, path, model_digest="", size_px=8)
    except SpecError as error:
        return list(error.problems)
    return []


def _at(tree: Tree, place: Place) -> Tree:
    for step in place:
        tree = tree.get(step) if isinstance(tree, dict) and isinstance(step, str) else None
    return tree


def _located(document: Document, place: Place, problem: str) -> str:
    return f"{document.where(place)}: {problem.removeprefix(dotted(place) + ': ')}"
