"""The whole layer on clean pictures: how often the joint test flags what it should let pass."""

from collections import Counter
from collections.abc import Sequence

from qcgen.core.errors import SpecError
from qcgen.core.qcbenchresult import Flagged, Layer
from qcgen.pipeline.qcdomains import Picture
from qcgen.pipeline.qcscores import Measures, profile_of
from qcgen.qc.calibrate import calibrate
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy, build_policy
from qcgen.qc.separation import exact_interval


def flagged(flags: Sequence[bool]) -> Flagged:
    """A share with its exact interval."""
    low, high = exact_interval(sum(flags), len(flags)) if flags else (0.0, 1.0)
    return Flagged(sum(flags), len(flags), low, high)


def calibrated(measures: Sequence[Measures], names: Sequence[str], *, alpha: float) -> Policy | str:
    """The layer calibrated on a domain, or why that cannot be done."""
    profile = profile_of(names, alpha)
    try:
        made = calibrate(measures, profile, source="bench")
    except SpecError as error:
        return str(error).split(" Cure:")[0].removeprefix("calibrate: ")
    return build_policy(profile, made, sha256="")


def layer(calibration: str, policy: Policy | str, pictures: Sequence[Picture], measures: Sequence[Measures]) -> Layer:
    """Judge clean pictures by a policy; a score that is missing asks for a person but is no flag."""
    if isinstance(policy, str):
        return Layer(calibration, None, {}, {}, policy)
    found = [_reasons(row, policy) for row in measures]
    flags = [bool(reasons) for reasons in found]
    by_group: dict[str, list[bool]] = {}
    for picture, flag in zip(pictures, flags, strict=True):
        by_group.setdefault(picture.group, []).append(flag)
    groups = {group: flagged(one) for group, one in sorted(by_group.items()) if len(by_group) > 1}
    reasons = Counter(reason for one in found for reason in one)
    return Layer(calibration, flagged(flags), groups, dict(reasons.most_common()))


def _reasons(row: Measures, policy: Policy) -> set[str]:
    return {finding.kind for finding in judge(row, policy).reasons} - {"missing_score"}
