"""The committed sample report is what the present code, job and models give."""

import csv
import hashlib
import json
from importlib.resources import files
from pathlib import Path

import pytest

from qcgen.core.expand import expand
from qcgen.core.spec import load_job
from qcgen.generate.write import place
from qcgen.models.find import picture_px, resolve_model
from qcgen.qc.policy import load_policy
from qcgen.report.columns import FLAGS, IMAGES
from qcgen.report.viewlist import load_views

REMAKE = "The sample is out of date. Cure: make sample"


@pytest.fixture(scope="module")
def sample(root: Path) -> Path:
    return root / "reports" / "sample"


def test_the_sample_is_whole(sample: Path) -> None:
    lines = (sample / "SHA256SUMS").read_text().splitlines()
    told = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {path.relative_to(sample).as_posix(): path for path in sample.rglob("*") if path.is_file()}
    assert told.keys() | {"SHA256SUMS"} == found.keys()
    assert {name: hashlib.sha256(found[name].read_bytes()).hexdigest() for name in told} == told


def test_the_sample_comes_from_the_present_model_and_policy(root: Path, sample: Path) -> None:
    told = json.loads((sample / "run.json").read_text())
    job = load_job(root / "jobs" / "demo.yaml")
    assert told["model_digest"] == resolve_model(job.model).digest, REMAKE
    assert told["policy_sha256"] == load_policy(job.qc.profile).sha256, REMAKE
    assert (told["status"], told["failed"], told["missing"]) == ("complete", 0, 0)


def test_the_rows_of_the_sample_are_the_items_of_the_demo(root: Path, sample: Path) -> None:
    path = root / "jobs" / "demo.yaml"
    job, ref = load_job(path), resolve_model(load_job(path).model)
    expansion = expand(job, path, model_digest=ref.digest, size_px=picture_px(ref))
    with (sample / "images.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    detectors = [name.removeprefix("m_") for name in (reader.fieldnames or ())[len(IMAGES.columns) :]]
    assert tuple(reader.fieldnames or ())[: len(IMAGES.columns)] == IMAGES.columns, REMAKE
    assert sorted(detectors) == sorted(load_policy(job.qc.profile).names()), REMAKE
    first = [row for row in rows if row["attempt"] == "1"]
    items = [expansion.item(index) for index in range(len(expansion))]
    told = [(row["image_id"], row["sku"], row["prompt"], row["seed"], row["relpath"]) for row in first]
    wanted = [(item.id, item.sku, item.prompt, str(item.seed), place(item, job.output.format)) for item in items]
    assert told == wanted, REMAKE


def test_the_pages_of_the_sample_have_the_present_sections_style_and_script(sample: Path) -> None:
    index, grid = ((sample / name).read_text(encoding="utf-8") for name in ("index.html", "grid.html"))
    templates = files("qcgen.report") / "templates"
    assert templates.joinpath("style.css").read_text(encoding="utf-8") in index, REMAKE
    for name in ("style.css", "grid.css", "grid.js", "griddetail.js"):
        assert templates.joinpath(name).read_text(encoding="utf-8") in grid, REMAKE
    places = [index.find(f'id="{view.name}"') for view in load_views()]
    assert -1 not in places, REMAKE
    assert places == sorted(places), REMAKE
    with (sample / "flags.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == FLAGS.columns, REMAKE


def test_the_sample_names_no_folder_of_the_machine_that_made_it(root: Path, sample: Path) -> None:
    for path in sample.rglob("*"):
        if path.suffix in {".html", ".json", ".csv", ".js"}:
            assert str(root) not in path.read_text(encoding="utf-8")
