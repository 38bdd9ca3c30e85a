"""From decisions to a proposal, and from an accepted proposal to the next version of a policy."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from qcgen.cli.main import main
from qcgen.core.errors import SpecError
from qcgen.core.types import Measure, Outcome, Score
from qcgen.pipeline.decisions import Decision, parse_decisions
from qcgen.pipeline.learn import (
    Proposal,
    Seen,
    accept_proposal,
    describe_proposal,
    propose,
    read_proposal,
)
from qcgen.qc.calibrate import calibrate
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy, load_policy
from qcgen.qc.profile import Profile, write_calibration
from qcgen.qc.registry import find_detectors
from qcgen.store.sql import open_store

PRODUCTS = ("coat", "dress", "hat", "shirt")
NAMES = ("noise", "blur")
PROFILE = Profile.model_validate(
    {
        "version": 1,
        "name": "shop",
        "alpha": 0.1,
        "near_duplicate_bits": 0,
        "calibration": "shop.calibration.json",
        "detectors": {"noise": {}, "blur": {}, "clipping": {"importance": 0}},
    }
)


def draw(n: int, rng: np.random.Generator, *, bad: float) -> tuple[list[tuple[Measure, ...]], list[bool]]:
    """People mind noise and do not mind blur, which varies as much."""
    versions = {name: detector.version for name, detector in find_detectors().items()}
    faulty = (rng.random(n) < bad).tolist()
    rows = [
        (
            Score("noise", versions["noise"], float(rng.normal(2 + 1.2 * fault, 0.4))),
            Score("blur", versions["blur"], float(rng.normal(0.3, 0.05))),
        )
        for fault in faulty
    ]
    return list(rows), faulty


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rows, _ = draw(300, np.random.default_rng(0), bad=0)
    write_calibration(calibrate(rows, PROFILE, source="good"), folder / "shop.calibration.json")
    (folder / "shop.json").write_text(PROFILE.model_dump_json(), encoding="utf-8")
    return folder


def look(policy: Policy, n: int, *, audit: float, seed: int = 1) -> list[Seen]:
    """All flagged pictures and a share of the passed ones are decided, as people would."""
    rng = np.random.default_rng(seed)
    rows, faulty = draw(n, rng, bad=0.15)
    found = []
    for place, (row, fault) in enumerate(zip(rows, faulty, strict=True)):
        flagged = judge(row, policy).outcome is Outcome.REVIEW
        decided = flagged or rng.random() < audit
        word = ("reject" if fault else "accept") if decided else None
        product = PRODUCTS[place % 4]
        found.append(Seen(row, {"product": product}, product, flagged, word, "r"))
    return found


@pytest.fixture(scope="module")
def proposal(shop: Path) -> Proposal:
    policy = load_policy(str(shop / "shop.json"))
    seen = look(policy, 500, audit=0.3)
    return propose(seen, PROFILE, policy, name=str(shop / "shop.json"), encoder="e", model="m")


def test_what_people_mind_gets_the_importance(proposal: Proposal) -> None:
    assert proposal.importances["noise"] == (1.0, 1.0)
    assert proposal.importances["blur"][1] < 0.3
    assert proposal.new_profile.detectors["clipping"].importance == 0
    assert (proposal.new_profile.revision, proposal.new_profile.parent) == (2, proposal.parent)
    assert (proposal.new_calibration.model_digest, proposal.new_calibration.encoder_digest) == ("m", "e")
    text = describe_proposal(proposal)
    assert "noise: importance 1 -> 1" in text
    assert "on products not fitted on" in text


def test_predictions_hold_the_truth_of_fresh_pictures_in_their_intervals(proposal: Proposal, shop: Path) -> None:
    fresh = look(load_policy(str(shop / "shop.json")), 800, audit=1.0, seed=7)
    flagged = np.array([one.flagged for one in fresh])
    bad = np.array([one.decision == "reject" for one in fresh])
    now = proposal.predicted["current"]
    # The fresh shares have errors of their own: two standard errors at n 800.
    for what, truth in (("queue", flagged.mean()), ("escapes", bad[~flagged].mean())):
        error = 2 * (truth * (1 - truth) / 800) ** 0.5
        assert now[what]["low"] - error <= truth <= now[what]["high"] + error, what
    assert proposal.predicted["proposed"]["escapes"]["value"] <= now["escapes"]["high"]


def test_too_few_decisions_are_refused(shop: Path) -> None:
    policy = load_policy(str(shop / "shop.json"))
    seen = [one for one in look(policy, 60, audit=0.0) if one.product == "hat"]
    with pytest.raises(SpecError) as raised:
        propose(seen, PROFILE, policy, name="shop", encoder=None, model=None)
    assert len(raised.value.problems) == 3


def test_an_accepted_proposal_is_a_new_version_in_the_audit_trail(
    proposal: Proposal, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'q.db'}"
    open_store(url).close()
    file = tmp_path / "proposal.json"
    file.write_text(proposal.model_dump_json(), encoding="utf-8")
    arguments = ["learn", "accept", str(file), "--by-whom", "J. Doe", "--to", str(tmp_path / "new"), "--db", url]
    assert main(arguments) == 0, capsys.readouterr().err
    policy = load_policy(str(tmp_path / "new" / "shop.2.json"))
    assert {rule.detector: rule.importance for rule in policy.rules}["noise"] == 1.0
    with sqlite3.connect(tmp_path / "q.db") as connection:
        action, subject, body = connection.execute("select action, object, body from audit_event").fetchall()[-1]
    connection.close()
    assert (action, subject) == ("policy.accept", "policy:shop")
    assert policy.sha256 in body
    assert proposal.parent in body
    assert "J. Doe" in body
    assert main(arguments) == 2
    assert "versions are kept" in capsys.readouterr().err


def test_a_proposal_for_a_policy_that_has_changed_is_refused(proposal: Proposal, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(
        PROFILE.model_copy(update={"calibration": None}).model_dump_json(), encoding="utf-8"
    )
    with pytest.raises(SpecError, match="has changed since"):
        accept_proposal(proposal, load_policy(str(tmp_path / "other.json")), tmp_path)
    (tmp_path / "no.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SpecError, match="is no proposal"):
        read_proposal(tmp_path / "no.json")


def test_empty_decisions_are_left_out_and_columns_are_asked_for() -> None:
    columns = {"image_id": ["a", "b"], "decision": ["accept", ""], "sampled_as": ["audit", "audit"]}
    assert parse_decisions("d.csv", columns) == [Decision("a", "accept", "", "audit")]
    with pytest.raises(SpecError, match="lacks the column decision"):
        parse_decisions("d.csv", {"image_id": ["a"]})
