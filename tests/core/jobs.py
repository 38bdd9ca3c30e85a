"""Small jobs and tables to expand."""

from pathlib import Path

import pytest

from qcgen.core.errors import SpecError
from qcgen.core.expand import Expansion, expand
from qcgen.core.job import JobSpec

DIGEST = "d" * 64
PROMPT = "a photo of a {colour} {product}"
CSV = "sku,product,colour\nA1,dress,red\nA2,shirt,blue\nA3,dress,red\n"


def make_job(**items: object) -> JobSpec:
    items.setdefault("prompt", PROMPT)
    return JobSpec.model_validate(
        {"version": 1, "name": "j", "model": "m", "purpose": "research", "items": items, "output": {"dir": "out"}}
    )


def expand_in(folder: Path, **items: object) -> Expansion:
    return expand(make_job(**items), folder / "job.yaml", model_digest=DIGEST, size_px=128)


def expand_csv(folder: Path, text: str | bytes, **items: object) -> Expansion:
    data = text.encode() if isinstance(text, str) else text
    (folder / "items.csv").write_bytes(data)
    return expand_in(folder, table="items.csv", **items)


def mistakes(folder: Path, text: str | bytes, **items: object) -> list[str]:
    before = {path.name for path in folder.iterdir()} | {"items.csv"}
    with pytest.raises(SpecError) as caught:
        expand_csv(folder, text, **items)
    assert {path.name for path in folder.iterdir()} == before, "something was written"
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]
