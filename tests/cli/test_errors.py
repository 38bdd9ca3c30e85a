"""Every kind of mistake gives its exit code, its words and, with --json, one object on stdout."""

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qcgen.cli.errors import report_error
from qcgen.cli.main import main
from qcgen.core.errors import IntegrityError, PausedError, PrerequisiteError, SpecError

JOB = """\
version: 1
name: nightly
model: {model}
purpose: research
items:
  matrix: {{product: [dress], colour: [red]}}
  prompt: "a photo of a {{colour}} {{product}}"
output: {{dir: out}}
{more}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)

    def write_job(*, model: str = "toy:64", more: str = "") -> str:
        (tmp_path / "job.yaml").write_text(JOB.format(model=model, more=more))
        return "job.yaml"

    return write_job


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SpecError(["one", "two"]), 2),
        (PrerequisiteError("a driver"), 3),
        (ModuleNotFoundError("No module named 'psycopg'", name="psycopg"), 3),
        (IntegrityError("bytes"), 4),
        (PausedError("stopped"), 5),
        (KeyboardInterrupt(), 5),
        (OSError(errno.ENOSPC, "No space left on device", "out/x.png"), 5),
        (OSError(errno.EFBIG, "File too large", "out/x.png"), 5),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "out"), 2),
        (OSError(errno.EROFS, "Read-only file system", b"out/\xff.csv"), 2),
        (ZeroDivisionError("a fault of ours"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_error_has_its_code_and_leaves_one_object_on_stdout(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error, as_json=True) == code
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["exit_code"] == code
    assert told["problems"]
    assert all(problem in err for problem in told["problems"])
    assert "Traceback" not in err


def test_an_unexpected_error_says_where_its_story_is(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ZeroDivisionError("a fault of ours")
    except ZeroDivisionError as error:
        report_error(error, as_json=False)
    out, err = capsys.readouterr()
    log = Path(err.split()[-1])
    assert out == ""
    assert "test_errors.py" in log.read_text()
    log.unlink()


def test_five_mistakes_are_five_lines(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        "engine: {batch_size: 0, dtype: half}\nqc: {retry: {max_attempts: 0}}\nreport: {formats: [pdf]}\ncolour: blue"
    )
    job = write(more=more)
    assert main(["run", job]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("job.yaml:")]
    assert out == ""
    assert len(lines) == 5, err
    for key in ("engine.batch_size", "engine.dtype", "qc.retry.max_attempts", "report.formats", "colour"):
        assert any(key in line and "got" in line for line in lines), (key, err)
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


@pytest.mark.parametrize(
    ("model", "code"),
    [("embedded:nothing", 2), ("some/missing/folder", 3)],
)
def test_a_missing_model_is_told_before_anything_is_written(
    model: str, code: int, write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write(model=model)
    assert main(["run", job, "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == code
    assert "Cure" in told["problems"][0]
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "missing.yaml"],
        ["run", "missing.yaml", "--colour", "red"],
        ["nothing"],
        ["run"],
        ["runs", "show", "nightly", "--db", "sqlite:///missing.db"],
        ["runs", "list", "--db", "mysql://host/name"],
        ["plan", "job.yaml", "--calibrate", "soon"],
        ["report", "--format", "pdf"],
        ["judge", "nightly", "--policy", "nothing"],
        ["score", "missing-folder"],
        ["models", "show", "embedded:nothing"],
        ["train", "missing.yaml"],
        ["db", "check"],
    ],
    ids=" ".join,
)
def test_a_mistake_on_the_command_line_exits_2_with_words_and_one_object(
    arguments: list[str], write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    assert main([*arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 2
    assert err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


def test_an_unknown_run_names_those_that_exist(write: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert main(["db", "upgrade"]) == 0
    assert main(["runs", "show", "nightly"]) == 2
    assert "none yet" in capsys.readouterr().err


def test_a_commercial_job_on_a_model_of_unknown_descent_is_stopped(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "qcgen_student.json").write_text('{"t_init": 700, "size_px": 64}')
    job = write(model="model")
    text = Path(job).read_text().replace("purpose: research", "purpose: commercial")
    Path(job).write_text(text)
    assert main(["run", job, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "blocked"
    assert not (tmp_path / "out").exists()
    assert main(["plan", job, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["blocked"] is True


def test_a_plan_says_when_the_output_folder_cannot_be_made(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write(model="embedded:apparel")
    assert main(["plan", job]) == 0
    (tmp_path / "out").write_text("a file")
    assert main(["plan", job]) == 2
    assert "output.dir: " in (told := capsys.readouterr().err)
    assert "Not a directory" in told


def test_unknown_names_and_mistakes_of_the_table_are_told_together_with_those_of_the_yaml(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write(model="embedded:aparel", more="qc: {profile: aparel}\nengine: {batch_size: 0}")
    text = (tmp_path / job).read_text().replace("{colour}", "{color}").replace("purpose", "purpse")
    (tmp_path / job).write_text(text)
    assert main(["plan", job]) == 2
    err = capsys.readouterr().err
    for place in ("purpse", "engine.batch_size", "model", "qc.profile", "items.prompt"):
        assert sum(f" {place}: " in line and line.startswith("job.yaml:") for line in err.splitlines()) == 1, (
            place,
            err,
        )


def test_a_pickle_is_refused_before_anything_is_written(
    write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unet = tmp_path / "model" / "unet"
    unet.mkdir(parents=True)
    (unet / "diffusion_pytorch_model.bin").write_bytes(b"")
    (tmp_path / "model" / "qcgen_student.json").write_text("{}")
    assert main(["run", write(model="model")]) == 2
    assert "is a pickle and is never loaded" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.yaml", "model"]


def test_a_report_that_cannot_be_written_is_told_before_the_first_picture(
    write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Python's own way to say that a package cannot be imported.
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    job = write(more="report: {formats: [html, parquet]}")
    assert main(["run", job]) == 3
    assert "report.formats parquet: needs the package pyarrow" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.png"))
