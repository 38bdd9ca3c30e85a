"""A delivery: what may go out goes out whole and checked, and nothing else."""

import csv
import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from qcgen.core.errors import BlockedError, IntegrityError, PausedError, SpecError
from qcgen.core.review import Answer, Choice, Kind, Task, TaskDraft
from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity
from qcgen.generate.write import slug
from qcgen.pipeline.deliver import Delivery, deliver
from qcgen.report.csvout import csv_bytes
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import make_job, run_toy


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, its gates set green: the toy's own pictures would not pass them."""
    folder = tmp_path_factory.mktemp("night")
    store = open_store(f"sqlite:///{folder / 'toy.db'}")
    run = run_toy(make_job(folder / "out", copies=2), store)
    green(store, run)
    store.close()
    return folder


def green(store: SqlStore, run: RunInfo, *, gates: tuple[Finding, ...] = (), status: str = "complete") -> None:
    store.finish_run(run.run_id, status=status, seconds=1.0, seconds_by_stage={}, gates=gates, report=None)


@pytest.fixture
def store(night: Path, tmp_path: Path) -> Iterator[SqlStore]:
    shutil.copy(night / "toy.db", tmp_path / "toy.db")
    opened = open_store(f"sqlite:///{tmp_path / 'toy.db'}")
    yield opened
    opened.close()


def send(store: SqlStore, to: Path, *, only_accepted: bool = False) -> Delivery:
    return deliver(store.runs()[0], store, to, only_accepted=only_accepted, make_csv=csv_bytes, say=print)


def rows(store: SqlStore, outcome: Outcome = Outcome.ACCEPT) -> list[Row]:
    return [row for row in store.rows(store.runs()[0].run_id) if row.outcome is outcome]


def ask(store: SqlStore, row: Row, kind: Kind, code: str = "blur") -> Task:
    run_id = store.runs()[0].run_id
    draft = TaskDraft(row.image_id, kind, "", 1.0, 1.0, code, str(row.relpath), str(row.file_sha256))
    store.review.add_tasks(run_id, [draft])
    found = store.review.tasks(run_id, limit=5000)
    return next(one for one in found if (one.image_id, one.kind) == (row.image_id, kind))


def say(store: SqlStore, row: Row, choice: Choice, *, who: str = "ada", kind: Kind = Kind.FLAGGED) -> None:
    task = ask(store, row, kind)
    code = "blur" if choice is Choice.REJECT else ""
    store.review.decide(who, [Answer(task.id, task.revision, task.file_sha256, choice, code)])


def flag(store: SqlStore, row: Row, kind: str) -> None:
    """Make the verdict on an accepted picture a flag by this detector."""
    with store.database.write() as connection:
        place = "(SELECT id FROM attempt WHERE image_id = :image)"
        values = {"image": row.image_id, "kind": kind}
        connection.execute(text(f"DELETE FROM finding WHERE attempt_id = {place}"), values)
        connection.execute(text(f"UPDATE verdict SET outcome = 'review' WHERE attempt_id = {place}"), values)
        connection.execute(
            text(
                "INSERT INTO finding SELECT attempt_id, number, 0, :kind, 'warn', 'm', NULL, NULL, '{}' FROM verdict "
                f"WHERE attempt_id = {place}"
            ),
            values,
        )


def manifest(folder: Path, name: str = "manifest.csv") -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_accepted_pictures_go_out_by_sku_with_manifest_and_sums(store: SqlStore, night: Path, tmp_path: Path) -> None:
    made = send(store, tmp_path / "delivery")
    told = manifest(made.path)
    assert [one["image_id"] for one in told] == [row.image_id for row in rows(store)]
    for one, row in zip(told, rows(store), strict=True):
        assert one["path"].split("/")[0] == slug(row.sku)
        assert (made.path / one["path"]).read_bytes() == (night / "out" / str(row.relpath)).read_bytes()
        assert hashlib.sha256((made.path / one["path"]).read_bytes()).hexdigest() == one["sha256"] == row.file_sha256
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=made.path, check=True)
    assert hashlib.sha256((made.path / "SHA256SUMS").read_bytes()).hexdigest() == made.sums_sha256
    left = manifest(made.path, "left_out.csv")
    assert len(left) == made.left_out > 0
    assert {one["reason"] for one in left} == {"rejected by the checks"}
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    with pytest.raises(SpecError, match="must not exist yet"):
        send(store, made.path)


def test_people_have_the_last_word_and_seeds_stay_at_home(store: SqlStore, tmp_path: Path) -> None:
    refused, wanted_again, flagged, minor = rows(store)[:4]
    flag(store, flagged, "colour_match")
    flag(store, minor, "noise")
    say(store, refused, Choice.REJECT)
    say(store, wanted_again, Choice.REGENERATE)
    say(store, flagged, Choice.ACCEPT)
    made = send(store, tmp_path / "delivery")
    sent = {one["image_id"]: one["accepted_by"] for one in manifest(made.path)}
    assert sent[flagged.image_id] == "people"
    assert not sent.keys() & {refused.image_id, wanted_again.image_id, minor.image_id}
    why = {one["image_id"]: one["reason"] for one in manifest(made.path, "left_out.csv")}
    assert why[refused.image_id] == why[wanted_again.image_id] == "refused by people"
    assert why[minor.image_id] == "undecided"
    seeds = [one for one in store.review.tasks(None, limit=5000) if one.kind is Kind.SEED]
    assert seeds
    sums = (made.path / "SHA256SUMS").read_text()
    assert not any(one.file_sha256 in sums or one.image_id in sent for one in seeds)


def test_what_people_must_decide_first_holds_a_delivery_back_or_is_left_out(store: SqlStore, tmp_path: Path) -> None:
    split, critical = rows(store)[:2]
    flag(store, critical, "colour_match")
    say(store, split, Choice.ACCEPT, kind=Kind.AUDIT)
    say(store, split, Choice.REJECT, who="bob", kind=Kind.DOUBLE)
    with pytest.raises(BlockedError, match=r"1 picture on which people disagree and 1 flagged picture with a critical"):
        send(store, tmp_path / "delivery")
    assert not (tmp_path / "delivery").exists()
    made = send(store, tmp_path / "delivery", only_accepted=True)
    assert not {split.image_id, critical.image_id} & {one["image_id"] for one in manifest(made.path)}


def test_a_red_gate_or_an_unfinished_run_holds_everything_back(store: SqlStore, tmp_path: Path) -> None:
    red = Finding("gate_aql", Severity.BLOCK, "too many rejects")
    green(store, store.runs()[0], gates=(red,))
    with pytest.raises(BlockedError, match="too many rejects"):
        send(store, tmp_path / "delivery", only_accepted=True)
    green(store, store.runs()[0], status="interrupted")
    with pytest.raises(BlockedError, match="is interrupted"):
        send(store, tmp_path / "delivery", only_accepted=True)


def test_a_sample_that_turned_out_bad_since_the_last_judgement_is_a_red_gate(store: SqlStore, tmp_path: Path) -> None:
    run = store.runs()[0]
    spec = run.spec_json.replace('"sampling":null', '"sampling":{"aql":null,"n":5,"accept":0}')
    assert spec != run.spec_json
    sampled = replace(run, spec_json=spec)
    for row in rows(store):
        say(store, row, Choice.REJECT)
    with pytest.raises(BlockedError, match="the batch is not accepted"):
        deliver(sampled, store, tmp_path / "d", only_accepted=True, make_csv=csv_bytes, say=print)


def test_an_archive_has_the_same_content_and_the_same_bytes_again(store: SqlStore, tmp_path: Path) -> None:
    folder = send(store, tmp_path / "delivery")
    one, two = send(store, tmp_path / "one.zip"), send(store, tmp_path / "two.zip")
    assert one.path.read_bytes() == two.path.read_bytes()
    with zipfile.ZipFile(one.path) as archive:
        assert archive.testzip() is None
        names = sorted(path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file())
        assert sorted(archive.namelist()) == names
        assert all(archive.read(name) == (folder.path / name).read_bytes() for name in names)


@pytest.mark.parametrize("name", ["night.tar", "night.tar.gz", "night.ZIP"])
def test_an_archive_of_another_kind_is_refused_and_becomes_no_folder(
    store: SqlStore, tmp_path: Path, name: str
) -> None:
    with pytest.raises(SpecError, match=r"must be a folder, or end in \.zip .* Cure: night\.zip\."):
        send(store, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_picture_that_changed_or_is_gone_stops_the_delivery(store: SqlStore, night: Path, tmp_path: Path) -> None:
    shutil.copytree(night / "out", tmp_path / "out")
    run = replace(store.runs()[0], out_dir=str(tmp_path / "out"))
    path = tmp_path / "out" / str(rows(store)[3].relpath)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    for told in ("is not the picture that was recorded", "cannot be read"):
        for name in ("delivery", "delivery.zip"):
            with pytest.raises(IntegrityError, match=told):
                deliver(run, store, tmp_path / name, only_accepted=True, make_csv=csv_bytes, say=print)
            assert not (tmp_path / name).exists()
        path.unlink(missing_ok=True)
    # Mended, it goes on in what is left of the first try.
    shutil.copy(night / "out" / str(rows(store)[3].relpath), path)
    stray = tmp_path / ".delivery.part" / "content" / "stray.png"
    assert stray.parent.is_dir()
    stray.write_bytes(b"not ours")
    made = deliver(run, store, tmp_path / "delivery", only_accepted=True, make_csv=csv_bytes, say=print)
    assert not (made.path / "stray.png").exists()
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=made.path, check=True)


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "CON", "a\0b", "..", "ü" * 300, "=cmd|' /C calc'!A0"])
def test_hostile_skus_stay_inside_the_delivery(store: SqlStore, tmp_path: Path, name: str) -> None:
    with store.database.write() as connection:
        connection.execute(text("UPDATE item SET sku = :name"), {"name": name})
    made = send(store, tmp_path / "in" / "delivery")
    told = manifest(made.path)
    assert {one["path"].split("/")[0] for one in told} == {slug(name)}
    assert all((made.path / one["path"]).resolve().is_relative_to(made.path.resolve()) for one in told)
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["delivery"]
    assert all(not one["sku"].startswith("=") for one in told)


@pytest.mark.parametrize("name", ["delivery", "delivery.zip"])
def test_a_full_disk_leaves_no_delivery_and_room_lets_it_go_on(store: SqlStore, tmp_path: Path, name: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(PausedError, match="no space left"):
            send(store, disk / name)
        assert not (disk / name).exists()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert send(store, disk / name).files == len(rows(store))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
