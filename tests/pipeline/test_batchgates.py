"""Each gate on a whole batch: what it says, when it alarms, what the job makes of that."""

from collections import Counter
from dataclasses import replace

import numpy as np
import torch

from qcgen.core.job import GateSpec, ReviewSpec, SamplingSpec
from qcgen.core.types import Finding, RunInfo, Severity
from qcgen.pipeline.batchgates import COLLAPSE, DRIFT, EMBEDDINGS, SAMPLING, TREND, UNSCORED, Survey, judge_batch
from qcgen.qc.embeddings import Embeddings
from qcgen.qc.policy import Policy, Rule

RUN = RunInfo(
    "run", "n", "complete", "research", "j", "s", "{}", "m", "d", "p", 200, "o", "t", None, 1.0, {}, {}, (), None
)
REFERENCE = tuple(i / 500 for i in range(500))
POLICY = Policy(
    "test", 0.02, 0, (Rule("blur", 1, "ratio", False, 1.0, None, None, False, REFERENCE),), (0.5,), "0" * 64
)


def embedded(modes: int, n: int, prefix: str, seed: int, prompt: str = "p") -> Embeddings:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, 16))
    rows = centres[rng.integers(modes, size=n)] + 0.3 * rng.normal(size=(n, 16))
    vectors = torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True)).float()
    return Embeddings(tuple(f"{prefix}{i}" for i in range(n)), (prompt,) * n, vectors)


def judge_all(
    *,
    values: list[float] | None = None,
    own: Embeddings | None = None,
    reference: Embeddings | None = None,
    gate: GateSpec | None = None,
    history: list[RunInfo] | None = None,
    passed: int = 200,
    decisions: dict[str, str] | None = None,
    unscored: dict[str, Counter[str]] | None = None,
    policy: Policy = POLICY,
) -> dict[str, Finding]:
    ids = [f"b{i}" for i in range(200)]
    lot = dict.fromkeys(ids[:passed], "dress")
    seen = Survey({"blur": values or [i / 200 for i in range(200)]}, ids, lot, decisions or {}, unscored or {})
    found = judge_batch(
        RUN,
        seen,
        policy,
        gate or GateSpec(),
        history or [],
        review=ReviewSpec(),
        own=lambda: own,
        reference=lambda: reference,
    )
    return {one.kind: one for one in found}


def test_a_batch_like_its_reference_passes_every_gate() -> None:
    found = judge_all(own=embedded(40, 200, "b", 1), reference=embedded(40, 800, "r", 2))
    assert set(found) == {DRIFT, COLLAPSE, EMBEDDINGS, TREND}
    assert {one.severity for one in found.values()} == {Severity.INFO}
    assert found[COLLAPSE].value is not None
    assert "count as" in found[COLLAPSE].message


def test_a_collapsed_batch_warns_or_blocks_as_the_job_says() -> None:
    few, many = embedded(8, 200, "b", 1), embedded(40, 800, "r", 2)
    found = judge_all(own=few, reference=many)
    assert found[COLLAPSE].severity is Severity.WARN
    assert found[EMBEDDINGS].severity is Severity.WARN
    assert judge_all(own=few, reference=many, gate=GateSpec(collapse="block"))[COLLAPSE].severity is Severity.BLOCK


def test_moved_scores_are_named() -> None:
    found = judge_all(values=[0.2 + i / 200 for i in range(200)])[DRIFT]
    assert found.severity is Severity.WARN
    assert "moved: blur (D 0.2" in found.message


def test_what_cannot_be_compared_is_told_and_does_not_alarm() -> None:
    assert "kept no embeddings" in judge_all()[COLLAPSE].message
    assert "no earlier run" in judge_all(own=embedded(40, 200, "b", 1))[EMBEDDINGS].message
    other = judge_all(own=embedded(40, 200, "b", 1), reference=embedded(40, 800, "r", 2, prompt="another"))[COLLAPSE]
    assert "only 0 of 200 pictures have prompts that the reference knows" in other.message
    assert other.threshold is None


def test_too_few_pictures_or_scores_are_told_as_such() -> None:
    few = judge_all(own=embedded(40, 16, "b", 1), reference=embedded(40, 800, "r", 2))[COLLAPSE]
    assert few.message == "Not checked: 16 pictures are too few, 50 are needed."
    assert "fewer than 20 scores" in judge_all(values=[0.5] * 3)[DRIFT].message


def test_a_check_that_had_no_value_is_named_with_the_reason() -> None:
    why = {"blur": Counter(too_small=4)}
    told = judge_all(values=[0.5] * 196, unscored=why)[UNSCORED]
    assert (told.severity, told.threshold) == (Severity.INFO, None)
    passes = "What only these find passes unseen where nobody looks."
    assert told.message == f"Not checked: of 200 pictures, blur has no value for 4 (too small). {passes}"
    rules = tuple(replace(rule, required=True) for rule in POLICY.rules)
    strict = judge_all(values=[0.5] * 196, unscored=why, policy=replace(POLICY, rules=rules))[UNSCORED]
    assert strict.message.endswith("blur has no value for 4 (too small, required: a person looks).")
    other = judge_all(values=[0.5] * 150, unscored=why)[UNSCORED].message
    assert "no value for 50 (too small, not measured by this run)" in other
    assert UNSCORED not in judge_all(unscored={"noise": Counter(too_small=4)})


def test_gates_that_are_off_say_nothing() -> None:
    assert judge_all(gate=GateSpec(collapse="off", drift="off", trend="off")) == {}


def nights(values: list[float], *, digest: str = "d") -> list[RunInfo]:
    """Newest first."""
    kept = [Finding(TREND, Severity.INFO, "m", None, None, {"blur": repr(value)}) for value in values]
    return [replace(RUN, model_digest=digest, gates=(one,)) for one in reversed(kept)]


def test_a_slow_decay_of_the_median_alarms_after_a_baseline_of_25_nights() -> None:
    steady = [0.5 + 0.01 * (-1) ** night for night in range(25)]
    learning = judge_all(history=nights(steady[:-1]))[TREND]
    assert "24 of 25 earlier runs" in learning.message
    assert float(learning.evidence["blur"]) == 0.4975
    assert judge_all(history=nights(steady))[TREND].severity is Severity.INFO
    decayed = judge_all(history=nights([*steady, *[0.52] * 12]), values=[0.52] * 200)[TREND]
    assert decayed.severity is Severity.WARN
    assert "beyond it: blur" in decayed.message


def test_nights_of_another_model_are_no_baseline() -> None:
    assert "0 of 25" in judge_all(history=nights([0.5] * 40, digest="another"))[TREND].message


def test_the_sample_is_accepted_refused_or_waits() -> None:
    gate = GateSpec(sampling=SamplingSpec(aql=2.5))
    waiting = judge_all(gate=gate)[SAMPLING]
    assert (waiting.severity, waiting.threshold) == (Severity.INFO, None)
    assert waiting.evidence == {"n": "50", "accept": "3", "looked_at": "0"}
    good = {f"b{i}": "accept" for i in range(200)}
    assert "accepted." in judge_all(gate=gate, decisions=good)[SAMPLING].message
    bad = {f"b{i}": "reject" for i in range(200)}
    refused = judge_all(gate=gate, decisions=bad)[SAMPLING]
    assert refused.severity is Severity.BLOCK
    assert "not accepted" in refused.message


def test_a_free_plan_is_followed_and_never_asks_for_more_than_there_are() -> None:
    gate = GateSpec(sampling=SamplingSpec(n=300, accept=1))
    assert judge_all(gate=gate, passed=20)[SAMPLING].evidence["n"] == "20"
