"""From measured curves to what passed: targets on every domain, and what each detector has shown."""

from collections.abc import Mapping, Sequence

from qcgen.core.qcbenchresult import (
    COPIES_BEYOND,
    COPIES_RECALL,
    DEVICES_APART,
    FALSE_PAIRS,
    SAME_VERDICT,
    DetectorOn,
    Devices,
    Domain,
    People,
    Standing,
    State,
    Verdict,
)
from qcgen.qc.targets import (
    LAYER_BOUND,
    LAYER_RATE,
    PEOPLE_AUROC,
    PEOPLE_RECALL,
    TARGETS,
    UNMEASURED,
    Target,
    target_of,
)

NO_DEVICE = "needs a GPU"
_SEEN = 0.6
"""A detector that is surely better than this sees something of a corruption: a missed target is worth a word."""
_GAIN = 0.1
"""Above what the same pictures gave while they were clean."""
_MOST_CLEAN = 2
"""Clean pictures flagged, as a multiple of alpha, that rule a pass out when the interval lies above it."""


def verdicts(
    domains: Sequence[Domain], people: People | None, devices: Devices | str = NO_DEVICE, *, alpha: float
) -> tuple[Verdict, ...]:
    """Every target on every domain, then the layer's, people's, and what cannot be measured here.

    Args:
        devices: or why they were not compared.
    """
    found = [
        _best(target, corruption, domain, alpha)
        for target in TARGETS
        for corruption in target.corruptions
        for domain in domains
        if target.applies(domain) and any(corruption in one.curves for one in domain.detectors.values())
    ]
    found += [one for domain in domains for one in _copies(domain)]
    found += [_layer(domain) for domain in domains]
    if people is not None:
        found.append(_people(people))
    found.append(_devices(devices))
    found += [Verdict(gate, what, "", "", None, why, "unmeasured") for gate, what, why in UNMEASURED]
    return tuple(found)


def standings(domains: Sequence[Domain], versions: Mapping[str, int], *, alpha: float) -> dict[str, Standing]:
    """What each detector passed and missed, by domain."""
    found = {}
    for name, version in versions.items():
        passed: dict[str, tuple[str, ...]] = {}
        missed: dict[str, tuple[str, ...]] = {}
        for domain in domains:
            one = domain.detectors.get(name)
            if one is None:
                continue
            states = {corruption: _state(name, corruption, one, domain, alpha) for corruption in one.curves}
            reached = tuple(key for key, state in states.items() if state == "pass")
            below = tuple(key for key, state in states.items() if state == "miss" and _sees(key, one, domain))
            passed |= {domain.name: reached} if reached else {}
            missed |= {domain.name: below} if below else {}
        found[name] = Standing(version, passed, missed)
    return found


def _state(name: str, corruption: str, one: DetectorOn, domain: Domain, alpha: float) -> State:
    target = target_of(corruption)
    at = _place(target, domain)
    if target is None or at is None or name in target.others or not target.applies(domain):
        return "unmeasured"
    curve = one.curves[corruption]
    recall = curve.recall[at]
    if target.recall is not None and recall is None:
        return "unmeasured"
    if one.clean.of and one.clean.low > _MOST_CLEAN * alpha:
        return "miss"
    reached = target.auroc is None or curve.auroc[at] >= target.auroc
    return "pass" if reached and (target.recall is None or (recall or 0.0) >= target.recall) else "miss"


def _sees(corruption: str, one: DetectorOn, domain: Domain) -> bool:
    at = _place(target_of(corruption), domain)
    curve = one.curves[corruption]
    return at is not None and curve.low[at] > _SEEN and curve.auroc[at] > one.bases + _GAIN


def _place(target: Target | None, domain: Domain) -> int | None:
    if target is None or target.severity not in domain.severities:
        return None
    return domain.severities.index(target.severity)


def _best(target: Target, corruption: str, domain: Domain, alpha: float) -> Verdict:
    what, wanted = f"{target.what}: {corruption.replace('_', ' ')}", _wanted(target)
    at = _place(target, domain)
    able = {
        name: one for name, one in domain.detectors.items() if corruption in one.curves and name not in target.others
    }
    if not able:
        return Verdict(target.gate, what, domain.name, wanted, None, "no detector of it was measured", "unmeasured")
    if at is None:
        return Verdict(target.gate, what, domain.name, wanted, None, "its severity was left out", "unmeasured")
    states = {name: _state(name, corruption, one, domain, alpha) for name, one in able.items()}
    order: dict[State, int] = {"pass": 0, "miss": 1, "unmeasured": 2}

    def rank(name: str) -> tuple[float, ...]:
        curve = able[name].curves[corruption]
        recall = curve.recall[at] or 0.0
        first = -recall if target.auroc is None else -curve.auroc[at]
        return float(order[states[name]]), first, -recall

    name = min(able, key=rank)
    curve = able[name].curves[corruption]
    recall = curve.recall[at]
    got = f"AUROC {curve.auroc[at]:.3f} ({curve.low[at]:.3f} to {curve.high[at]:.3f})"
    got += ", no limit" if recall is None else f", recall {recall:.2f}"
    return Verdict(target.gate, what, domain.name, wanted, name, f"{got}, n {curve.n}", states[name])


def _wanted(target: Target) -> str:
    parts = [f"AUROC >= {target.auroc:.2f}"] if target.auroc is not None else []
    parts += [f"recall >= {target.recall:.2f}"] if target.recall is not None else []
    return f"severity {target.severity}: {', '.join(parts)}"


def _layer(domain: Domain) -> Verdict:
    wanted = f"flagged <= {LAYER_RATE:.0%}, upper bound <= {LAYER_BOUND:.0%}"
    layer = next((one for one in domain.layers if one.calibration == domain.name), None)
    if layer is None or layer.all is None:
        why = "no calibration of its own" if layer is None else layer.why or ""
        return Verdict("layer", "clean pictures flagged", domain.name, wanted, None, why, "unmeasured")
    rate = layer.all.rate or 0.0
    got = f"{rate:.1%} ({layer.all.low:.1%} to {layer.all.high:.1%}), n {layer.all.of}"
    state: State = "pass" if rate <= LAYER_RATE and layer.all.high <= LAYER_BOUND else "miss"
    if state == "miss" and layer.all.low <= LAYER_RATE:
        # Too few pictures to tell 2 % from 3 %: neither kept nor broken.
        state = "unmeasured"
        got += ": too few to tell"
    return Verdict("layer", "clean pictures flagged", domain.name, wanted, None, got, state)


def _copies(domain: Domain) -> list[Verdict]:
    """The copies that are found least, and the pairs that are none."""
    if domain.copies is None:
        return []
    asked = [one for one in domain.copies.found.items() if one[0] not in COPIES_BEYOND]
    name, least = min(asked, key=lambda one: one[1].rate or 0.0)
    pairs = domain.copies.pairs
    share, false = least.rate or 0.0, pairs.rate or 0.0
    interval = f"{least.low:.3f} to {least.high:.3f}"
    return [
        Verdict(
            "A18", "copies found", domain.name, f"recall >= {COPIES_RECALL:g}", "duplicates",
            f"{share:.3f} ({interval}) of {least.of}, least for {name}",
            "pass" if share >= COPIES_RECALL else "miss",
        ),
        Verdict(
            "A18", "false pairs", domain.name, f"<= {1000 * FALSE_PAIRS:g} in 1,000", "duplicates",
            f"{1000 * false:.2f} in 1,000 (up to {1000 * pairs.high:.2f}) of {pairs.of} pairs",
            "pass" if false <= FALSE_PAIRS else "miss",
        ),
    ]  # fmt: skip


def _devices(devices: Devices | str) -> Verdict:
    gate, what = "determinism", "CPU against GPU"
    wanted = f"within {DEVICES_APART:g}, same verdict on >= {SAME_VERDICT:.1%}"
    if isinstance(devices, str):
        return Verdict(gate, what, "", wanted, None, devices, "unmeasured")
    name, apart = max(devices.apart.items(), key=lambda one: float("inf") if one[1] is None else one[1])
    same = 1 - (devices.verdicts.rate or 0.0)
    got = f"{'no value on one' if apart is None else f'{apart:.1e} apart'}, same verdict on {same:.2%}"
    reached = apart is not None and apart <= DEVICES_APART and same >= SAME_VERDICT
    return Verdict(gate, what, devices.device, wanted, name, got, "pass" if reached else "miss")


def _people(people: People) -> Verdict:
    wanted = f"AUROC >= {PEOPLE_AUROC:.2f}, recall at a fifth reviewed >= {PEOPLE_RECALL:.2f}"
    name, best = max((("joint p", people.joint), ("learned", people.learned)), key=lambda pair: pair[1].auroc)
    got = f"AUROC {best.auroc:.3f} ({best.low:.3f} to {best.high:.3f}), recall {best.recall_at_fifth:.2f}"
    reached = best.auroc >= PEOPLE_AUROC and best.recall_at_fifth >= PEOPLE_RECALL
    return Verdict(
        "people", "against people's rejects", people.domain, wanted, name, got, "pass" if reached else "miss"
    )
