"""What a calibration depends on, and where that is no longer what it was.

A false-flag rate holds for pictures and scores that are exchangeable with the reference's. A change of detector,
encoder, student, size or of a library that computes the scores ends that. What an older calibration file does not name
is not checked.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from qcgen.core.errors import PrerequisiteError
from qcgen.core.types import Finding, Severity
from qcgen.qc.profile import Calibration, Profile
from qcgen.qc.protocol import Detector

STALE = "stale_calibration"

_PARTS_THAT_MATTER: Mapping[str, int] = {"torch": 1, "numpy": 1, "open-clip-torch": 2}
"""How many parts of a library's version must agree. Scores on torch 2.11 to 2.13 agree to float32's rounding; open_clip
changed its resizing between minor versions."""


def of_files(profile: Profile, calibration: Calibration, known: Mapping[str, Detector]) -> list[str]:
    """What in a calibration does not fit the profile and this installation."""
    problems = []
    if calibration.alpha != profile.alpha:
        problems.append(f"alpha: the profile says {profile.alpha}, the calibration was made for {calibration.alpha}")
    for name, reference in calibration.detectors.items():
        if name in known and reference.version != known[name].version:
            problems.append(f"{name}: version {known[name].version} here, calibrated with version {reference.version}")
        wanted = profile.detectors.get(name)
        if wanted and wanted.importance not in (0, reference.importance):
            problems.append(f"{name}: importance {wanted.importance}, calibrated with {reference.importance}")
        if wanted and wanted.importance and wanted.two_sided != reference.two_sided:
            problems.append(f"{name}: two_sided {wanted.two_sided}, calibrated with {reference.two_sided}")
    for name, parts in _PARTS_THAT_MATTER.items():
        then, now = calibration.libraries.get(name), version(name)
        if then is not None and then.split(".")[:parts] != now.split(".")[:parts]:
            problems.append(f"{name}: {now} here, calibrated with {then}")
    return problems


def of_work(calibrated: Mapping[str, str | None], given: Mapping[str, str | None]) -> list[str]:
    """What in the pictures to judge is not as in the reference: model, encoder, size, teacher and so on, by name."""
    return [
        f"{name}: {_short(value)} here, calibrated with {_short(then)}"
        for name, value in given.items()
        if value is not None and (then := calibrated.get(name)) is not None and then != value
    ]


def refusal(profile: str, problems: Sequence[str]) -> PrerequisiteError:
    return PrerequisiteError(
        f"profile {profile}: its calibration is stale. {'; '.join(problems)}. Cure: qcgen calibrate RUN --profile "
        f"{profile} on accepted pictures as they are made now; --allow-stale goes on and marks every verdict."
    )


def stamp(problems: Sequence[str]) -> tuple[Finding, ...]:
    """The mark on a verdict that was made in spite of it."""
    if not problems:
        return ()
    return (Finding(STALE, Severity.INFO, f"{STALE}: judged in spite of {'; '.join(problems)}."),)


def _short(value: str) -> str:
    return value[:12]
