"""The profiles that come with the package, and the one that the guide shows."""

import re
from pathlib import Path

import pytest

from qcgen.qc.policy import load_policy
from qcgen.qc.profile import Profile
from qcgen.qc.proof import examine
from qcgen.qc.registry import find_detectors


@pytest.mark.parametrize("name", ["apparel", "photos"])
def test_a_built_in_profile_is_calibrated_and_may_gate(name: str) -> None:
    policy = load_policy(name)
    gating = [rule for rule in policy.rules if rule.importance > 0]
    assert gating
    assert all(rule.reference is not None for rule in gating)
    assert not policy.stale


def test_the_guides_packshot_profile_may_gate_on_this_installations_tables(root: Path) -> None:
    guide = (root / "docs" / "qc-profiles.md").read_text(encoding="utf-8")
    found = re.search(r"```json\n(.*?)```", guide, re.DOTALL)
    assert found is not None
    profile = Profile.model_validate_json(found[1])
    known = find_detectors()
    assert set(profile.detectors) <= set(known)
    refused, warned = examine(
        {name: known[name].version for name, rule in profile.detectors.items() if rule.importance}
    )
    assert refused == []
    assert warned == []
