"""The job that `make demo` runs, and what the README shows."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from qcgen.core.expand import expand
from qcgen.core.spec import load_job
from qcgen.models.find import embedded_models
from qcgen.qc.protocol import Batch, Detector

Qcgen = Callable[..., tuple[int, str, str]]


def test_the_demo_makes_at_least_240_pictures_of_known_garments_and_colours(root: Path, shared_data: Path) -> None:
    path = root / "jobs" / "demo.yaml"
    job = load_job(path)
    expansion = expand(job, path, model_digest="0" * 64, size_px=128)
    assert len(expansion) >= 240
    captions = known_captions(shared_data / "clothing128" / "clothing128.npz")
    words = {(item.fields["product"], item.fields["colour"]) for item in map(expansion.item, range(len(expansion)))}
    assert words <= captions


def test_the_demo_runs_on_the_embedded_student(root: Path, qcgen: Qcgen, workplace: Path) -> None:
    if not {"apparel", "clip-apparel"} <= set(embedded_models()):
        pytest.skip("the embedded models are not in this tree")
    code, out, err = qcgen("run", root / "jobs" / "demo.yaml", "--limit", "12", "--json")
    assert code in (0, 1), err  # 1: twelve pictures are too few to expect a green gate of
    summary = json.loads(out)
    assert (summary["status"], summary["generated"], summary["failed"]) == ("complete", 12, 0)
    assert Path(summary["report"]).is_file()
    assert len(list((workplace / "out").rglob("*.png"))) >= 12


def test_the_job_in_the_readme_is_a_valid_job(root: Path, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(blocks(root, "yaml")[0])
    assert load_job(tmp_path / "job.yaml").items.images_per_item == 4


def test_the_imports_in_the_readme_exist(root: Path) -> None:
    exec(blocks(root, "python")[0], {})


def test_the_detector_in_the_readme_scores_a_picture(root: Path) -> None:
    names: dict[str, type[Detector]] = {}
    exec(blocks(root, "python")[1], names)
    white, black = torch.full((3, 8, 8), 255, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=torch.uint8)
    scores = names["Brightness"]().score(Batch(torch.stack([white, black]), ["", ""], [{}, {}]))
    # 1e-3 codes: the luma weights 0.299 + 0.587 + 0.114 in float32.
    assert scores.values.tolist() == pytest.approx([255, 0], abs=1e-3)
    assert scores.reasons == (None, None)


def blocks(root: Path, language: str) -> Sequence[str]:
    """The fenced blocks of one language in the README."""
    return re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(), flags=re.DOTALL)


def known_captions(path: Path) -> set[tuple[str, str]]:
    """Garment and colour pairs that the models were trained on."""
    import numpy as np

    from qcgen.data.imageset import product_in

    with np.load(path, allow_pickle=False) as packed:
        pairs = zip(packed["caption"], packed["colour"], strict=True)
        return {(product_in(str(caption), str(colour)), str(colour)) for caption, colour in pairs}
