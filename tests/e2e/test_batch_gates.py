"""Gates on whole batches and the sample that people look at, from the command line."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

Qcgen = Callable[..., tuple[int, str, str]]
ROWS = [(f"{product}-{colour}", product, colour) for product in ("dress", "hat") for colour in ("red", "blue", "green")]


def gates(summary: dict[str, list[dict[str, object]]]) -> dict[str, dict[str, object]]:
    return {str(gate["kind"]): gate for gate in summary["gates"]}


@pytest.fixture
def write(write_job: Callable[..., Path]) -> Callable[[int, dict[str, object]], Path]:
    def job(seed: int, gate: dict[str, object]) -> Path:
        path = write_job(ROWS, images_per_item=12)
        made = json.loads(path.read_text())
        made["items"]["seed"] = seed
        made["output"]["dir"] = f"out/{seed}"
        made["qc"]["gate"] |= gate
        path.write_text(json.dumps(made, indent=1))
        return path

    return job


def test_a_second_night_is_compared_with_the_first_and_a_sample_is_looked_at(
    write: Callable[[int, dict[str, object]], Path], qcgen: Qcgen, workplace: Path
) -> None:
    sampling = {"sampling": {"n": 5, "accept": 0}}
    code, out, err = qcgen("run", write(1, sampling), "--json")
    assert code == 0, err
    first = gates(json.loads(out))
    assert "no earlier run" in str(first["gate_collapse"]["message"])
    assert "no calibration" in str(first["gate_drift"]["message"])
    assert "0 of 25 earlier runs" in str(first["gate_trend"]["message"])
    assert list((workplace / "out" / "1" / "embeddings").glob("*.npz"))

    code, out, err = qcgen("run", write(2, sampling), "--json")
    assert code == 0, err
    run = json.loads(out)
    second = gates(run)
    assert second["gate_collapse"]["threshold"] is not None
    assert second["gate_collapse"]["severity"] == "info"
    assert second["gate_embeddings"]["threshold"] == 0.01
    assert "0 of the 5 accepted pictures" in str(second["gate_sampling"]["message"])

    assert qcgen("runs", "sample", run["run_id"], "--to", "sample.csv")[0] == 0
    with (workplace / "sample.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert (workplace / "out" / "2" / rows[0]["relpath"]).is_file()
    code, _, err = qcgen("runs", "sample", run["run_id"], "--to", "sample.csv")
    assert (code, "must be a new file" in err) == (2, True)
    for words, expected, told in ((["accept"] * 5, 0, "accepted."), (["accept"] * 4 + ["reject"], 1, "not accepted")):
        with (workplace / "decided.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image_id", "decision"))
            writer.writerows((row["image_id"], word) for row, word in zip(rows, words, strict=True))
        arguments = ("--policy", "plain.json", "--decisions", "decided.csv", "--json")
        code, out, err = qcgen("judge", run["run_id"], *arguments)
        assert code == expected, err
        assert told in str(gates(json.loads(out))["gate_sampling"]["message"])


def test_two_calibrations_of_one_run_share_its_embeddings(
    write: Callable[[int, dict[str, object]], Path], qcgen: Qcgen, workplace: Path
) -> None:
    plain = json.loads((workplace / "plain.json").read_text())
    (workplace / "loose.json").write_text(json.dumps(plain | {"alpha": 0.1}))
    assert qcgen("run", write(1, {}), "--limit", "24")[0] == 0
    for name in ("a", "b"):
        target = f"calibrations/{name}.json"
        code, _, err = qcgen("calibrate", "toy-catalogue", "--profile", "loose.json", "--out", target)
        assert code == 0, err
    folder = workplace / "calibrations"
    kept = [json.loads((folder / f"{name}.json").read_text())["embeddings"] for name in ("a", "b")]
    assert kept[0] == kept[1]
    assert [path.name for path in folder.glob("*.npz")] == [kept[0]["file"]] == ["a.embeddings.npz"]


def test_decisions_with_mistakes_are_all_told(
    write: Callable[[int, dict[str, object]], Path], qcgen: Qcgen, workplace: Path
) -> None:
    qcgen("run", write(1, {}), "--limit", "2")
    (workplace / "d.csv").write_text("image_id,decision,sampled_as\na,maybe,audit\nb,reject,luck\nc,,\n")
    code, _, err = qcgen("judge", "toy-catalogue", "--policy", "plain.json", "--decisions", "d.csv")
    assert code == 2
    assert "d.csv a: decision must be accept or reject (got 'maybe')" in err
    assert "d.csv b: sampled_as must be flagged, audit, gold or empty (got 'luck')" in err


def test_wrong_gate_keys_are_told_with_their_line(
    write: Callable[[int, dict[str, object]], Path], qcgen: Qcgen
) -> None:
    path = write(1, {"collapse": "stop", "sampling": {"n": 5}, "drfit": "off"})
    code, _, err = qcgen("plan", path)
    assert code == 2
    assert "qc.gate.collapse: must be one of off, warn, block (got 'stop')" in err
    assert "qc.gate.sampling: must hold aql alone, or n and accept (got n). {aql: 2.5} or {n: 80, accept: 5}." in err
    assert "Did you mean 'drift'?" in err
