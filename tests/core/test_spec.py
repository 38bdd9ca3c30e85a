"""Job files: every mistake at once, with file, line, key, rule, value and cure; hostile files are refused quickly."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from qcgen.core.errors import SpecError
from qcgen.core.expand import describe_changes
from qcgen.core.spec import canonical_json, load_job, load_yaml
from qcgen.core.trainspec import ClipTraining, TrainSpec
from qcgen.core.yamlpos import MAX_DEPTH, parse_yaml

GOOD = """\
version: 1
name: nightly
model: embedded:apparel
purpose: commercial
items:
  matrix: {product: [dress, shirt], colour: [red, "no"]}
  prompt: "a photo of a {colour} {product}"
output: {dir: out/nightly}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    """The messages for a job file, without the folder's name."""
    path = write(folder, text)
    with pytest.raises(SpecError) as caught:
        load_job(path)
    assert caught.value.exit_code == 2
    assert "Traceback" not in str(caught.value)
    return [problem.replace(str(path), "job.yaml") for problem in caught.value.problems]


def test_a_good_job_is_read_with_its_defaults(tmp_path: Path) -> None:
    job = load_job(write(tmp_path, GOOD))
    assert job.items.matrix == {"product": ("dress", "shirt"), "colour": ("red", "no")}
    assert job.engine.shard_size == 64


def test_five_mistakes_list_five(tmp_path: Path) -> None:
    text = GOOD.replace("commercial", "comercial").replace("version: 1", "version: 2") + (
        "engine: {batch_size: 5000, exact: yes}\nzeal: 3\n"
    )
    assert mistakes(tmp_path, text) == [
        "job.yaml:1 version: must be 1 (got 2). Write 1.",
        "job.yaml:4 purpose: must be one of commercial, research (got 'comercial'). Did you mean 'commercial'?",
        "job.yaml:9 engine.exact: must be true or false (got 'yes'). Write true or false, without quotes.",
        "job.yaml:9 engine.batch_size: must be auto or 1..1024 (got 5000). Change it accordingly.",
        "job.yaml:10 zeal: is not a known key (got 3). Remove it; known here: version, name, model, purpose, items, "
        "output, engine, qc, review, governance, report.",
    ]


def test_a_rule_between_keys_is_checked_although_single_keys_are_wrong(tmp_path: Path) -> None:
    text = GOOD.replace('  matrix: {product: [dress, shirt], colour: [red, "no"]}\n', "  seed: -1\n")
    assert mistakes(tmp_path, text) == [
        "job.yaml:5 items: exactly one of table, rows, matrix (got none). Keep one of them.",
        "job.yaml:6 items.seed: must be at least 0 (got -1). Nearest: 0.",
    ]


def test_a_misspelt_required_key_is_one_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, GOOD.replace("purpose:", "porpose:")) == [
        "job.yaml:4 porpose: is not a known key (got 'commercial'). Did you mean 'purpose'?"
    ]


def test_the_value_under_a_misspelt_key_is_checked_too(tmp_path: Path) -> None:
    text = GOOD.replace("purpose: commercial", "porpose: art").replace("output: {dir", "otput: {dri")
    assert mistakes(tmp_path, text) == [
        "job.yaml:4 porpose: is not a known key (got 'art'). Did you mean 'purpose'? "
        "There it must be one of commercial, research.",
        """job.yaml:8 otput: is not a known key (got {"dri": "out/nightly"}). Did you mean 'output'?""",
        "job.yaml:8 otput.dri: is not a known key (got 'out/nightly'). Did you mean 'dir'?",
    ]


def test_a_key_of_another_group_is_sent_there(tmp_path: Path) -> None:
    assert mistakes(tmp_path, GOOD + "images_per_item: 4\n") == [
        "job.yaml:9 images_per_item: is not a known key (got 4). It belongs at items.images_per_item."
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: nightly", "name: Nightly Run", "job.yaml:2 name: must be 1 to 63 small letters"),
        ("name: nightly", "name: 5", 'job.yaml:2 name: must be text (got 5). Put it in quotes: "5".'),
        ("version: 1", 'version: "1"', "job.yaml:1 version: must be 1 (got '1'). Remove the quotes."),
        ("purpose: commercial\n", "", "purpose: is required and missing. Add it: one of commercial, research."),
        (
            "dir: out/nightly",
            "dir: o, format: gif",
            "job.yaml:8 output.format: must be one of png, jpeg, webp (got 'gif')",
        ),
        ("[dress, shirt]", "dress", "job.yaml:6 items.matrix.product: must be a list (got 'dress')."),
        ("[dress, shirt]", "[dress, 42]", 'items.matrix.product[1]: must be text (got 42). Put it in quotes: "42".'),
        ("items:", "items: 3\nqc:", "job.yaml:5 items: must be a group of keys (got 3)."),
        ("purpose: commercial", "purpose:", "job.yaml:4 purpose: must be one of commercial, research (got nothing)"),
    ],
)
def test_each_mistake_has_line_key_rule_value_and_cure(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert any(message in line for line in mistakes(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("qc: {gate: {flag_rate: 2}}", "qc.gate.flag_rate: must be spc or at most 1 (got 2)"),
        ("qc: {gate: {flag_rate: abc}}", "qc.gate.flag_rate: must be spc or a number (got 'abc')"),
        ("qc: {retry: {max_attempts: 11}}", "qc.retry.max_attempts: must be at most 10 (got 11). Nearest: 10."),
        ("qc: {gate: {aql: .nan}}", "job.yaml:9: must be a finite number (got '.nan')"),
        ("review: {audit_sample: 1.5}", "review.audit_sample: must be a whole number or auto (got 1.5)"),
        ("review: {double: '0.1'}", "review.double: must be a number (got '0.1'). Remove the quotes."),
        ("name: again", "job.yaml:9 name: is given twice (first on line 2). Keep one of them."),
        ("review: &a {double: 0.1}", "job.yaml:9: anchors are not allowed (got '&a')"),
        ("review: !!python/object:os.system {}", "job.yaml:9: tags are not allowed"),
        ("3: x", "job.yaml:9: a key must be text (got 3). Put it in quotes."),
        ('qc: {profile: "a\\u0000b"}', "control characters are not allowed"),
        ('qc: {profile: "\\ud800"}', "control characters are not allowed"),
        ("review: {audit_sample: 99999999999999999999}", "must be a number below 2^63"),
        (f"review: {{audit_sample: {'9' * 5000}}}", "job.yaml:9: must be a finite number"),
        ("[a]: x", "job.yaml:9: a key must be one word"),
        ("---\nversion: 1", "a second document begins here"),
        ("review: {double: 0.1", "job.yaml:10: is not valid YAML"),
        ("\tx: 1", "is not valid YAML"),
        ("a: b: c", "job.yaml:9: is not valid YAML: a colon stands where none can."),
    ],
)
def test_each_breach_of_yaml_or_range_is_told(tmp_path: Path, extra: str, message: str) -> None:
    found = mistakes(tmp_path, GOOD + extra + "\n")
    assert any(message in line for line in found), found


def test_a_repeated_key_hides_no_other_mistake(tmp_path: Path) -> None:
    found = mistakes(tmp_path, GOOD.replace("commercial", "art") + "name: again\n")
    assert len(found) == 2


def test_a_stand_in_for_a_refused_value_gives_no_second_mistake(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, GOOD.replace("name: nightly", "name: .inf"))) == 1


def test_no_message_speaks_pydantic(tmp_path: Path) -> None:
    text = (
        "version: [1]\nname: {}\nmodel: 3\npurpose: 1\nitems: {rows: {a: 1}, seed: x, images_per_item: 0, prompt: ''}\n"
    )
    found = mistakes(
        tmp_path, text + "output: []\nengine: {batch_size: x, shard_size: 1.5}\nqc: 1\nreport: {formats: [pdf]}\n"
    )
    assert len(found) == 13
    for jargon in ("Input should", "valid integer", "Extra inputs", "Field required", "Value error", "pydantic"):
        assert jargon not in "\n".join(found)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases are not allowed"),
        ("x: " + "[" * 900, "must be nested at most 50 deep"),
        ("x: " + "{a: " * 900, "must be nested at most 50 deep"),
        ("[" * 900 + "]" * 900, "must be nested at most 50 deep"),
        ("", "must be keys with values"),
        ("- a\n- b\n", "must be keys with values"),
        ("just text", "must be keys with values"),
        ("%YAML 1.1\n---\nversion: 1\n", "directives"),
        ("*a : 1\n", "aliases are not allowed"),
    ],
)
def test_hostile_files_are_refused_within_a_second(tmp_path: Path, text: str, message: str) -> None:
    started = time.process_time()  # of the processor: a busy machine is not our slowness
    found = mistakes(tmp_path, text)
    assert time.process_time() - started < 1
    assert any(message in line for line in found), found


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a: \xe9", b"a: \x00b", b"\x89PNG\r\n", bytes(range(256))])
def test_a_file_that_is_no_text_is_one_message(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        load_job(path)
    assert len(caught.value.problems) == 1


def test_a_missing_file_a_folder_and_a_huge_file_are_one_message_each(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * 1_000_001)
    for path, words in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "cannot be read"),
        (huge, "at most 1,000,000 bytes"),
    ):
        with pytest.raises(SpecError, match=words):
            load_job(path)


def test_depth_up_to_the_limit_is_read() -> None:
    levels = MAX_DEPTH - 1  # the mapping around it is the first level
    assert parse_yaml("x: " + "[" * levels + "]" * levels, "x").value
    with pytest.raises(SpecError, match="nested"):
        parse_yaml("x: " + "[" * (levels + 1) + "]" * (levels + 1), "x")


@settings(deadline=None)  # other processes may hold the machine
@given(st.text(max_size=300))
def test_any_text_is_a_job_or_a_spec_error(text: str) -> None:
    problems: tuple[str, ...] = ()
    try:
        document = parse_yaml(text, "any.yaml")
        json.dumps(document.value)
    except SpecError as error:
        problems = error.problems
    assert all(problem.startswith("any.yaml") and "\n" not in problem for problem in problems)


scalars = st.none() | st.booleans() | st.integers(-5, 5000) | st.floats(-2, 2) | st.text("ab {}\"'x", max_size=5)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
)
KEYS = st.sampled_from(["version", "name", "items", "output", "engine", "qc", "review", "governance", "report", "seed"])


@settings(deadline=None)  # other processes may hold the machine
@given(st.dictionaries(KEYS, trees, max_size=5))
def test_any_values_under_known_keys_give_placed_messages(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(json.dumps(tree), encoding="utf-8")  # JSON is YAML
    with pytest.raises(SpecError) as caught:
        load_job(path)
    assert all(problem.startswith(f"{path}:1") for problem in caught.value.problems)


def test_a_union_is_told_apart_by_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    adapter = TypeAdapter(TrainSpec)
    head = "version: 1\nname: c\nout: o\ndata: {path: d}\noptim: {lr: 0.1, batch: 1, steps: 1}\n"
    path.write_text(head + "kind: clip\n", encoding="utf-8")
    assert isinstance(load_yaml(path, adapter), ClipTraining)
    kinds = "one of artifact_head, autoencoder, classifier, clip, pixel_teacher, stock_decoder, teacher"
    for kind, messages in (
        (
            "kind: clpi\n",
            [f"6 kind: must be {kinds} (got 'clpi'). Did you mean 'clip'?"],
        ),
        ("", [f"1 kind: is required and missing. Add it: {kinds}."]),
        ("kind: clip\nclip: x\n", ["7 clip: is not a known key (got 'x'). Remove it; known here: version, name, out"]),
        ("kind: teacher\n", ["1 clip: is required and missing.", "1 autoencoder: is required and missing."]),
    ):
        path.write_text(head + kind, encoding="utf-8")
        with pytest.raises(SpecError) as caught:
            load_yaml(path, adapter)
        found = [problem.removeprefix(f"{path}:") for problem in caught.value.problems]
        assert len(found) == len(messages)
        assert all(line.startswith(message) for line, message in zip(found, messages, strict=True)), found


def test_layout_does_not_change_the_digest_but_values_do(tmp_path: Path) -> None:
    job = load_job(write(tmp_path, GOOD))
    other = "# a comment\n" + GOOD.replace("output: {dir: out/nightly}", "output:\n  dir: 'out/nightly'\n  format: png")
    assert canonical_json(load_job(write(tmp_path, other))) == canonical_json(job)
    changed = load_job(write(tmp_path, GOOD + "engine: {shard_size: 32}\nreport: {formats: [html]}\n"))
    assert canonical_json(changed) != canonical_json(job)
    assert describe_changes(canonical_json(job), canonical_json(changed)) == [
        "engine.shard_size: 64 -> 32",
        'report.formats: ["html", "csv"] -> ["html"]',
    ]
    assert describe_changes(canonical_json(job), canonical_json(job)) == []


def test_the_order_of_axes_is_a_change(tmp_path: Path) -> None:
    job = load_job(write(tmp_path, GOOD))
    swapped = GOOD.replace(
        'product: [dress, shirt], colour: [red, "no"]', 'colour: [red, "no"], product: [dress, shirt]'
    )
    other = load_job(write(tmp_path, swapped))
    assert describe_changes(canonical_json(job), canonical_json(other)) == [
        "items.matrix: order product, colour -> colour, product"
    ]
