"""`qcgen bench qc`: every detector against every corruption, the layer on clean pictures, and people's marks."""

import datetime
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from qcgen.core.qcbenchresult import Curve, DetectorOn, Devices, Domain, Machine, People, QcBench
from qcgen.models.protocol import ImageTextEncoder
from qcgen.pipeline.qccopies import measure_copies, most_copied
from qcgen.pipeline.qcdevices import compare_devices
from qcgen.pipeline.qcdomains import Parts, Picture, Pictures, Sizes, Tell, split
from qcgen.pipeline.qclayer import calibrated, flagged, layer
from qcgen.pipeline.qcpeople import against_people
from qcgen.pipeline.qcscores import Measures, Scorer, badness, costs, is_slow, limit_of, pixel_detectors, sees
from qcgen.qc.corruption import Corruption, corrupt
from qcgen.qc.policy import Policy
from qcgen.qc.registry import find_corruptions, find_detectors
from qcgen.qc.separation import Values, auroc, separate
from qcgen.qc.settings import Settings as QcSettings
from qcgen.qc.standing import NO_DEVICE, standings, verdicts
from qcgen.qc.swaps import SWAPS, swap

ALPHA = 0.02
VERSION = 1
_SLOWLY = 200
"""Clean pictures of each part that slow detectors see."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured; `quick` leaves the layer's own calibration out."""

    sizes: Sizes
    severities: tuple[int, ...]
    seed: int
    quick: bool


FULL = Settings(Sizes(calibrate=400, clean=400, corrupt=60, side=256), (1, 2, 3, 4, 5), 0, False)
QUICK = Settings(Sizes(calibrate=100, clean=40, corrupt=20, side=128), (3, 4), 0, True)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A domain's parts with the measures of their clean pictures."""

    pictures: Pictures
    parts: Parts
    scorer: Scorer
    calibrate: list[Measures]
    clean: list[Measures]
    bases: list[Measures]

    def unspoiled(self, name: str) -> Values:
        return badness([*self.calibrate, *self.clean], name)


def for_the_layer(detectors: int, settings: Settings) -> int:
    """Pictures with which the joint test of so many detectors can flag at all, none for the small settings.

    Each of d detectors gives its least p to about one picture of the second half, and alpha of that half may share it:
    the half must hold d over alpha, and more, since the count is about Poisson. Three of its standard errors and two
    pictures more make a calibration without power rare; a third more did not (2 detectors, 200 in a half).
    """
    return 0 if settings.quick else 2 * math.ceil((detectors + 3 * math.sqrt(detectors) + 2) / ALPHA)


def bench(
    domains: Sequence[Pictures],
    names: Sequence[str],
    *,
    settings: Settings,
    encoder: ImageTextEncoder | None,
    asking: QcSettings | None,
    policies: Mapping[str, Policy | str],
    quality: Sequence[str],
    device: str = "cpu",
    tell: Tell,
) -> QcBench:
    """Measure detectors on domains.

    Args:
        names: the detectors; the layer and people's marks are for all of them together, those apart that are slow.
        policies: calibrated profiles to try on the clean pictures of every domain, or why one cannot be tried.
        encoder, asking: what some detectors ask, on domains where something was asked for.
        device: another one than the CPU is compared with it, on the first domain whose layer can be calibrated.
        quality: the detectors whose joint p is held against people's marks.
    """
    began = time.monotonic()
    steps = _Steps(tell, domains, settings)
    measured = [_measure_clean(one, Scorer(names, encoder, one.vocabulary, asking), settings, steps) for one in domains]
    quick = [name for name in names if not is_slow(name)]
    own = {one.pictures.name: calibrated(one.calibrate, quick, alpha=ALPHA) for one in measured if quick}
    found = [_domain(one, names, own, policies, settings, steps) for one in measured]
    people = _people(measured, quick, [name for name in quality if name in quick], settings)
    versions = {name: find_detectors()[name].version for name in names}
    devices = NO_DEVICE if device == "cpu" else _devices(measured, own, device)
    return QcBench(
        version=VERSION,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - began,
        seed=settings.seed,
        alpha=ALPHA,
        quick=settings.quick,
        machine=_machine(),
        domains=tuple(found),
        verdicts=verdicts(found, people, devices, alpha=ALPHA),
        standings=standings(found, versions, alpha=ALPHA),
        people=people,
        devices=devices if isinstance(devices, Devices) else None,
    )


def _devices(measured: Sequence[_Measured], own: Mapping[str, Policy | str], device: str) -> Devices | str:
    """The comparison, or why there is none."""
    reasons = []
    for one in measured:
        policy = own.get(one.pictures.name, "slow detectors are no part of it")
        if isinstance(policy, Policy):
            return compare_devices(one.parts.clean, policy, device=device)
        reasons.append(f"{one.pictures.name}: {policy}")
    return f"no layer could be calibrated ({'; '.join(reasons)})"


def _measure_clean(one: Pictures, scorer: Scorer, settings: Settings, steps: "_Steps") -> _Measured:
    least = settings.sizes
    sizes = replace(least, calibrate=max(least.calibrate, one.calibrate), clean=max(least.clean, one.clean))
    parts = split(one.pictures, sizes, seed=settings.seed)
    measured = [scorer.measure(part, slowly=_SLOWLY) for part in (parts.calibrate, parts.clean, parts.corrupt)]
    steps.did()
    return _Measured(one, parts, scorer, *measured)


def _domain(
    one: _Measured,
    names: Sequence[str],
    own: Mapping[str, Policy | str],
    policies: Mapping[str, Policy | str],
    settings: Settings,
    steps: "_Steps",
) -> Domain:
    limits = {name: limit_of(name, one.calibrate, ALPHA) for name in names}
    curves = _curves(one, names, limits, settings, steps)
    pixel = pixel_detectors(names, one.parts.clean[0])
    together, alone = costs(pixel, one.parts.clean) if pixel else (None, {})
    layers = [
        layer(name, policy, one.parts.clean, one.clean)
        for name, policy in own.items()
        if name == one.pictures.name or not isinstance(policy, str)
    ]
    layers += [
        layer(
            f"profile {name}",
            policy,
            (*one.parts.calibrate, *one.parts.clean, *one.parts.corrupt),
            [*one.calibrate, *one.clean, *one.bases],
        )
        for name, policy in policies.items()
    ]
    parts = one.parts
    copied = (*parts.clean, *parts.calibrate, *parts.corrupt)[: most_copied(settings.quick)]
    copies = measure_copies(copied)
    steps.did()
    shapes = {tuple(picture.image.shape) for part in (parts.calibrate, parts.clean) for picture in part}
    return Domain(
        name=one.pictures.name,
        about=one.pictures.about,
        sizes=tuple(f"{width}x{height}" for _, height, width in sorted(shapes)),
        calibrate=len(parts.calibrate),
        clean=len(parts.clean),
        corrupt=len(parts.corrupt),
        severities=settings.severities,
        detectors={name: _detector(one, name, limits[name], curves[name], alone.get(name)) for name in names},
        layers=tuple(layers),
        together_ms=together,
        packshots=one.pictures.packshots,
        asked=bool(one.pictures.vocabulary),
        copies=copies,
    )


def _detector(
    one: _Measured, name: str, limit: float | None, curves: Mapping[str, Curve], alone_ms: float | None
) -> DetectorOn:
    clean = badness(one.clean, name)
    sign = -1.0 if find_detectors()[name].higher_is_better else 1.0
    return DetectorOn(
        scored=float(np.isfinite(one.unspoiled(name)).mean()),
        limit=None if limit is None else sign * limit,
        clean=flagged([] if limit is None else list(map(bool, clean > limit))),
        bases=auroc(one.unspoiled(name), badness(one.bases, name)),
        curves=curves,
        alone_ms=alone_ms,
    )


def _curves(
    one: _Measured,
    names: Sequence[str],
    limits: Mapping[str, float | None],
    settings: Settings,
    steps: "_Steps",
) -> dict[str, dict[str, Curve]]:
    """By detector, then corruption; a detector without any value on the domain has none."""
    clean = {name: one.unspoiled(name) for name in names}
    able = [name for name in names if np.isfinite(clean[name]).any()]
    found: dict[str, dict[str, Curve]] = {name: {} for name in names}
    kinds: list[Corruption | str] = [*find_corruptions().values(), *(SWAPS if one.pictures.vocabulary else ())]
    for kind in kinds:
        key = kind if isinstance(kind, str) else kind.name
        shown = [name for name in able if sees(name, key)]
        slowly = any(map(is_slow, shown))
        severities = settings.severities if shown else ()
        spoiled = [_spoil(one, kind, severity, slowly=slowly) for severity in severities]
        steps.did()
        if not all(spoiled):
            continue
        for name in shown:
            values = [badness(rows, name) for rows in spoiled]
            cells = [separate(clean[name], one_severity, limits[name], seed=settings.seed) for one_severity in values]
            found[name][key] = Curve(
                n=min(map(len, values)),
                auroc=tuple(cell.auroc for cell in cells),
                low=tuple(cell.low for cell in cells),
                high=tuple(cell.high for cell in cells),
                recall=tuple(cell.recall for cell in cells),
            )
    return found


def _spoil(one: _Measured, kind: Corruption | str, severity: int, *, slowly: bool) -> list[Measures]:
    spoiled: list[Picture] = []
    for picture in one.parts.corrupt:
        if isinstance(kind, str):
            fields = swap(kind, picture.fields, one.pictures.vocabulary, key=picture.key, severity=severity)
            if fields is not None:
                prompt = f"a photo of a {fields.get('colour', '')} {fields.get('product', '')}"
                spoiled.append(replace(picture, fields=fields, prompt=prompt))
        else:
            image = corrupt(kind, picture.image, key=picture.key, severity=severity).image
            spoiled.append(replace(picture, image=image))
    return one.scorer.measure(spoiled, slowly=len(spoiled) if slowly else 0)


def _people(
    measured: Sequence[_Measured], names: Sequence[str], quality: Sequence[str], settings: Settings
) -> People | None:
    judged = next((one for one in measured if one.pictures.judged), None)
    if judged is None or not quality:
        return None
    pictures = judged.pictures.judged
    measures = judged.scorer.measure(pictures, slowly=0)
    scores = {name: badness(measures, name) for name in names}
    return against_people(judged.pictures.name, pictures, scores, quality, seed=settings.seed)


def _machine() -> Machine:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return Machine(
        processor=names[0] if names else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        threads=torch.get_num_threads(),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        torch=str(torch.__version__),
    )


class _Steps:
    """Progress: one step a domain's clean pictures, one its copies, and one each corruption of it."""

    def __init__(self, tell: Tell, domains: Sequence[Pictures], settings: Settings) -> None:
        self._tell = tell
        kinds = len(find_corruptions())
        self._total = sum(2 + kinds + (len(SWAPS) if one.vocabulary else 0) for one in domains)
        self._done = 0

    def did(self) -> None:
        self._done += 1
        self._tell(self._done, self._total)
