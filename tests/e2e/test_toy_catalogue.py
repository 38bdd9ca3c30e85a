"""From a CSV to a report and back, with the toy student."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from qcgen.models.find import ASSETS

Qcgen = Callable[..., tuple[int, str, str]]
PROMISED = {
    "run_id", "status", "planned", "generated", "failed", "accepted", "flagged", "rejected", "retried", "model",
    "model_digest", "spec_sha256", "seconds", "images_per_second", "seconds_by_stage", "report",
}  # fmt: skip

COLOURS = ("red", "blue", "green", "black", "white")
PRODUCTS = ("dress", "shirt", "hat", "skirt")
ROWS = [(f"{product}-{colour}", product, colour) for product in PRODUCTS for colour in COLOURS]


@pytest.fixture
def job(write_job: Callable[..., Path]) -> Path:
    return write_job(ROWS)


def test_twenty_rows_of_four_make_eighty_pictures_with_rows_and_a_report(
    job: Path, qcgen: Qcgen, workplace: Path
) -> None:
    code, out, err = qcgen("run", job, "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert summary.keys() >= PROMISED
    assert (summary["status"], summary["planned"], summary["generated"], summary["failed"]) == ("complete", 80, 80, 0)
    assert summary["accepted"] + summary["flagged"] + summary["rejected"] == 80
    report = Path(summary["report"])
    assert report == workplace / "reports" / summary["run_id"] / "index.html"
    with (report.parent / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["sku"] for row in rows} == {sku for sku, _, _ in ROWS}
    for row in rows:
        with PIL.Image.open(workplace / "out" / "toy" / row["relpath"]) as picture:
            assert picture.size == (64, 64)
    assert {"m_blank", "m_clip_similarity", "m_colour_match"} <= rows[0].keys()


def test_a_report_written_again_says_the_same_in_the_same_bytes(job: Path, qcgen: Qcgen) -> None:
    report = Path(json.loads(qcgen("run", job, "--json")[1])["report"])
    first = _contents(report.parent)
    assert qcgen("report")[0] == 0
    assert _contents(report.parent) == first
    told = json.loads(first["run.json"])
    shown = json.loads(qcgen("runs", "show", told["run_id"], "--json")[1])
    assert all(told[key] == shown[key] for key in ("seconds", "started_at", "ended_at", "generated"))


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_start_generates_nothing_and_says_so(job: Path, qcgen: Qcgen, workplace: Path) -> None:
    first = json.loads(qcgen("run", job, "--json")[1])
    before = {path: path.stat().st_mtime_ns for path in (workplace / "out").rglob("*.png")}
    code, out, err = qcgen("run", job)
    assert code == 0, err
    assert "Nothing to generate" in out
    assert {path: path.stat().st_mtime_ns for path in (workplace / "out").rglob("*.png")} == before
    second = json.loads(qcgen("run", job, "--json")[1])
    assert second["generated_now"] == 0
    assert (second["run_id"], second["accepted"]) == (first["run_id"], first["accepted"])


def test_a_changed_job_is_refused_with_the_field_that_changed(job: Path, qcgen: Qcgen) -> None:
    qcgen("run", job, "--limit", "4")
    job.write_text(job.read_text().replace('"seed": 7', '"seed": 8'))
    code, _, err = qcgen("run", job, "--limit", "4")
    assert code == 2
    assert "items.seed: 7 -> 8" in err


def test_runs_are_listed_and_shown_by_job_name(job: Path, qcgen: Qcgen) -> None:
    run = json.loads(qcgen("run", job, "--limit", "4", "--json")[1])
    assert json.loads(qcgen("runs", "list", "--json")[1])["runs"][0]["run_id"] == run["run_id"]
    code, out, _ = qcgen("runs", "show", "toy-catalogue", "--json")
    assert code == 0
    shown = json.loads(out)
    assert shown == {name: value for name, value in run.items() if name != "generated_now"}


def test_limit_and_out_are_followed(job: Path, qcgen: Qcgen, workplace: Path) -> None:
    summary = json.loads(qcgen("run", job, "--limit", "6", "--out", "elsewhere", "--json")[1])
    assert summary["planned"] == 6
    assert len(list((workplace / "elsewhere").rglob("*.png"))) >= 6
    assert not (workplace / "out").exists()


def test_a_changed_job_in_the_same_folder_is_one_mistake_that_says_what_changed(job: Path, qcgen: Qcgen) -> None:
    qcgen("run", job, "--limit", "4", "--json")
    code, out, err = qcgen("run", job, "--limit", "8", "--json")
    (problem,) = json.loads(out)["problems"]
    assert (code, "2 mistakes" in err) == (2, False)
    assert problem.startswith("output.dir: ")
    assert "the job has changed since (planned: 4 -> 8). Cure: another output.dir" in problem


def test_judging_by_a_stricter_policy_rejects_and_turns_the_gate_red(job: Path, qcgen: Qcgen, workplace: Path) -> None:
    before = json.loads(qcgen("run", job, "--limit", "8", "--json")[1])
    assert before["accepted"] > 0
    strict = json.loads((workplace / "plain.json").read_text())
    strict["detectors"]["blank"]["ceiling"] = -9.0  # no picture's luma has a variance of a billion
    (workplace / "strict.json").write_text(json.dumps(strict))
    code, out, err = qcgen("judge", "toy-catalogue", "--policy", "strict.json", "--json")
    after = json.loads(out)
    assert (code, after["rejected"], after["accepted"]) == (1, 8, 0), err
    assert after["policy_sha256"] != before["policy_sha256"]


def test_a_run_is_judged_again_without_the_teacher_that_its_scores_came_from(
    job: Path, qcgen: Qcgen, workplace: Path
) -> None:
    teacher = workplace / "teacher"
    shutil.copytree(ASSETS / "teacher-apparel", teacher)
    (workplace / "apparel").symlink_to(ASSETS / "apparel")  # whose autoencoder it shares
    plain = workplace / "plain.json"
    plain.write_text(json.dumps(json.loads(plain.read_text()) | {"teacher": "teacher"}))
    before = json.loads(qcgen("run", job, "--limit", "4", "--json")[1])
    shutil.rmtree(teacher)
    code, out, err = qcgen("judge", "toy-catalogue", "--policy", "plain.json", "--json")
    assert code == 0, err
    assert json.loads(out)["policy_sha256"] == before["policy_sha256"]
    code, _, err = qcgen("run", job, "--limit", "4")
    assert (code, "teacher" in err) == (3, True)


def test_scoring_the_pictures_of_a_run_gives_the_numbers_of_the_run(
    job: Path, qcgen: Qcgen, workplace: Path, tiny_clip: Path
) -> None:
    summary = json.loads(qcgen("run", job, "--limit", "8", "--json")[1])
    images = Path(summary["report"]).parent / "images.csv"
    with images.open(newline="") as file:
        stored = {row["relpath"]: row for row in csv.DictReader(file)}
    with (workplace / "prompts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "prompt"))
        writer.writerows((relpath, row["prompt"]) for relpath, row in stored.items())
    arguments = ("--profile", "plain.json", "--prompts", "prompts.csv", "--clip", tiny_clip, "--json")
    code, out, err = qcgen("score", "out/toy/images", *arguments)
    assert code == 0, err
    for picture in json.loads(out)["pictures"]:
        row = stored[Path(picture["file"]).relative_to("out/toy").as_posix()]
        measured = {one["detector"]: one["value"] for one in picture["measures"] if "value" in one}
        assert picture["sha256"] == row["file_sha256"]
        # Lossless files: the same codes. 1e-4 covers sums in another order and the digits that the CSV keeps.
        assert measured["blank"] == pytest.approx(float(row["m_blank"]), abs=1e-4)
        assert measured["clip_similarity"] == pytest.approx(float(row["m_clip_similarity"]), abs=1e-4)


def test_the_report_is_written_again_on_request(job: Path, qcgen: Qcgen) -> None:
    report = Path(json.loads(qcgen("run", job, "--limit", "4", "--json")[1])["report"])
    report.unlink()
    code, out, err = qcgen("report", "toy-catalogue", "--format", "html")
    assert (code, out.strip()) == (0, str(report)), err
    assert report.is_file()
    assert not (report.parent / "images.csv").exists()


def test_the_database_is_checked_backed_up_and_restored(job: Path, qcgen: Qcgen, workplace: Path) -> None:
    qcgen("run", job, "--limit", "4")
    assert qcgen("db", "check")[0] == 0
    assert qcgen("db", "backup", "copy.db")[0] == 0
    (workplace / "qcgen.db").unlink()
    assert qcgen("db", "restore", "copy.db")[0] == 0
    assert len(json.loads(qcgen("runs", "list", "--json")[1])["runs"]) == 1


def test_a_plan_loads_nothing_and_writes_nothing(job: Path, qcgen: Qcgen, workplace: Path) -> None:
    before = sorted(workplace.rglob("*"))
    code, out, err = qcgen("plan", job, "--json")
    plan = json.loads(out)
    assert (code, plan["items"], plan["unique_prompts"]) == (0, 80, 20), err
    assert sorted(workplace.rglob("*")) == before
