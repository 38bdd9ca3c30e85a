"""Files in, frozen specs out; all mistakes of a file in one SpecError as `file:line key: rule (got X). Cure.`"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from qcgen.core.errors import SpecError
from qcgen.core.explain import explain
from qcgen.core.job import JobSpec
from qcgen.core.jsonpos import read_json
from qcgen.core.wording import Problems
from qcgen.core.yamlpos import Document, read_yaml

T = TypeVar("T")


def load_yaml(path: Path, kind: type[T] | TypeAdapter[T]) -> T:
    """Read a YAML file as `kind`: a pydantic class, or `TypeAdapter(TrainSpec)` for a union told apart by a key.

    Raises:
        SpecError: with all mistakes; nothing but this is raised for whatever the file contains.
    """
    document = read_yaml(path)
    adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    try:
        # As JSON: pydantic's strict mode then takes lists for tuples and texts for paths, but never "4" for 4.
        spec = adapter.validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        raise SpecError([*document.problems, *explain(document, adapter, error)]) from None
    if document.problems:
        raise SpecError(document.problems)
    return spec


Also = Callable[[Document, Problems], None]


def load_json(path: Path, kind: type[T], also: Also = lambda document, problems: None) -> T:
    """Read a JSON file as `kind`, a pydantic class.

    Args:
        also: adds mistakes that the class cannot know; they are listed with the others.

    Raises:
        SpecError: with all mistakes, keys given twice among them; of one kind the first 20, as everywhere.
    """
    read, adapter = read_json(path), TypeAdapter(kind)
    explained: list[str] = []
    try:
        made = adapter.validate_json(read.text)
        if not read.repeats and not _lines(also, Document(read.name, read.value, {})):
            return made
    except ValidationError as error:
        explained = explain(read.document(), adapter, error, strict=False)
    document = read.document()
    raise SpecError([*document.problems, *explained, *_lines(also, document)])


def _lines(also: Also, document: Document) -> list[str]:
    problems = Problems()
    also(document, problems)
    return problems.lines()


def load_job(path: Path) -> JobSpec:
    """Read a generation job."""
    return load_yaml(path, JobSpec)


def canonical_json(job: JobSpec) -> str:
    """The whole job, defaults included, as one line of JSON; the same job gives the same text in whatever layout.

    Keys have the order of the spec's classes. A matrix's axes keep theirs: it is the order of the items.
    """
    tree = job.model_dump(mode="json")
    if tree["items"]["rows"] is not None:
        tree["items"]["rows"] = [dict(sorted(row.items())) for row in tree["items"]["rows"]]
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
