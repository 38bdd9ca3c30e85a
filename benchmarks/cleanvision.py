"""Measures our checks beside cleanvision's on the same files: pictures a second, and how far the flags agree.

    python -m benchmarks.cleanvision --python OTHER/bin/python

cleanvision is no dependency: it runs in the interpreter that is named, which must have it. Only the issues that both
know are looked for: blur, blank (low information), exact and near duplicates. The files are ../shared/data/qc-photos,
and planted ones beside them: blurred, flat, copied, and copied through JPEG.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import PIL.Image
import PIL.ImageFilter

from qcgen.cli.threads import let_threads_sleep

PHOTOS = Path("../shared/data/qc-photos/images")
RESULT = Path(__file__).parent / "results" / "cleanvision.json"
ISSUES = {
    "blurry": "blur",
    "low_information": "blank",
    "exact_duplicates": "exact_duplicate",
    "near_duplicates": "near_duplicate",
}
PLANTED = 25
_SCREENS = (160, 80)
_BLUR, _BLANK = 0.43, -0.602
"""Just noticeable blur of photos, and the apparel profile's ceiling of blank."""

_CHILD = """
import json, os, sys, time
from importlib.metadata import version
from cleanvision import Imagelab
issues, folder = sys.argv[1].split(","), sys.argv[2]
began, cpu = time.perf_counter(), os.times()
lab = Imagelab(data_path=folder, verbose=False)
lab.find_issues({name: {} for name in issues}, verbose=False)
seconds, after = time.perf_counter() - began, os.times()
flags = {name: sorted(lab.issues.index[lab.issues[f"is_{name}_issue"]]) for name in issues}
told = {"version": version("cleanvision"), "seconds": seconds, "flags": flags}
told["cpu_seconds"] = sum(after[:4]) - sum(cpu[:4])
print("RESULT" + json.dumps(told))
"""


def plant(folder: Path) -> dict[str, list[str]]:
    """Copy the photos and plant faults in copies of some; names by issue."""
    photos = sorted(PHOTOS.glob("*.jpg"))
    for path in photos:
        shutil.copy(path, folder / path.name)
    planted: dict[str, list[str]] = {name: [] for name in ISSUES}
    for i, path in enumerate(photos[:: max(1, len(photos) // PLANTED)][:PLANTED]):
        with PIL.Image.open(path) as picture:
            photo = picture.convert("RGB")
        made = {
            "blurry": photo.filter(PIL.ImageFilter.GaussianBlur(min(photo.size) / 60)),
            "low_information": PIL.Image.new("RGB", photo.size, photo.resize((1, 1)).getpixel((0, 0))),
            "near_duplicates": photo.resize((round(photo.width * 0.8), round(photo.height * 0.8))),
        }
        for issue, one in made.items():
            one.save(folder / f"zz_{issue}_{i:02d}.jpg", quality=85)
            planted[issue].append(f"zz_{issue}_{i:02d}.jpg")
        shutil.copy(path, folder / f"zz_exact_duplicates_{i:02d}.jpg")
        planted["exact_duplicates"].append(f"zz_exact_duplicates_{i:02d}.jpg")
    return planted


def run_ours(folder: Path, screen: int) -> dict[str, object]:
    """The detectors of these issues alone, as `qcgen score` runs them, with its option --screen."""
    from qcgen.core.types import Score
    from qcgen.data.pictures import find_pictures
    from qcgen.pipeline.score import describe, score_files
    from qcgen.qc.inspect import Inspector
    from qcgen.qc.policy import build_policy
    from qcgen.qc.profile import Profile

    rules = {"blur": {"importance": 0}, "blank": {"importance": 0}}
    whole = {"version": 1, "name": "bench", "alpha": 0.02, "near_duplicate_bits": 24, "calibration": None}
    policy = build_policy(Profile.model_validate({**whole, "detectors": rules}), None, sha256="")
    began, cpu = time.perf_counter(), os.times()
    subjects = describe(find_pictures([folder]), None)
    scored = score_files(subjects, Inspector(policy, None), policy, tell=lambda _: None, least_side=screen)
    seconds, after = time.perf_counter() - began, os.times()
    limits = {"blur": _BLUR, "blank": _BLANK}
    flags: dict[str, list[str]] = {name: [] for name in ISSUES}
    for one in scored:
        kinds = {reason.kind for reason in one.verdict.reasons}
        kinds |= {
            each.detector for each in one.measures if isinstance(each, Score) and each.value > limits[each.detector]
        }
        for issue, kind in ISSUES.items():
            if kind in kinds:
                flags[issue].append(one.subject.path.name)
    return {"seconds": seconds, "cpu_seconds": sum(after[:4]) - sum(cpu[:4]), "flags": flags}


def run_theirs(python: str, folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [python, "-c", _CHILD, ",".join(ISSUES), str(folder)], capture_output=True, text=True, check=True, cwd=folder
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    told: dict[str, object] = json.loads(line.removeprefix("RESULT"))
    flags = told["flags"]
    assert isinstance(flags, dict)
    told["flags"] = {issue: [Path(path).name for path in paths] for issue, paths in flags.items()}
    return told


def _compare(
    ours: Mapping[str, Sequence[str]], theirs: Mapping[str, Sequence[str]], planted: Mapping[str, Sequence[str]], n: int
) -> dict[str, dict[str, float | int]]:
    """Duplicates are judged by group: cleanvision flags both of a pair, we keep the first."""
    found = {}
    for issue in ISSUES:
        own, other, wanted = set(ours[issue]), set(theirs[issue]), set(planted[issue])
        found[issue] = {
            "planted": len(wanted),
            "ours_of_planted": len(own & wanted),
            "theirs_of_planted": len(other & wanted),
            "ours_elsewhere": len(own - wanted),
            "theirs_elsewhere": len(other - wanted),
            "same_answer": round(1 - len(own ^ other) / n, 4),
        }
    return found


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    import torch

    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "processor": names[0],
        "cores": len(names),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="an interpreter that has cleanvision")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all")
    given = parser.parse_args()
    let_threads_sleep()
    import torch

    if given.threads:
        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        planted = plant(folder)
        n = len(list(folder.iterdir()))
        ours, theirs = run_ours(folder, 0), run_theirs(given.python, folder)
        quick = {str(side): run_ours(folder, side) for side in _SCREENS}
        other = _rates(theirs, n)
        result = {
            "pictures": n,
            "machine": machine(),
            "cleanvision": {"version": theirs["version"], "speed": other},
            "whole": _report(ours, theirs, planted, n),
            "screen_px": {
                side: {**_report(one, theirs, planted, n), "same_as_whole": _agreement(one, ours, n)}
                for side, one in quick.items()
            },
        }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _report(
    ours: Mapping[str, object], theirs: Mapping[str, object], planted: Mapping[str, Sequence[str]], n: int
) -> dict[str, object]:
    own, other = _rates(ours, n), _rates(theirs, n)
    return {
        "speed": own,
        "ratio": round(own["pictures_per_second"] / other["pictures_per_second"], 2),
        "ratio_of_processor_time": round(other["cpu_ms"] / own["cpu_ms"], 2),
        "flags": _compare(_flags(ours), _flags(theirs), planted, n),
    }


def _agreement(quick: Mapping[str, object], whole: Mapping[str, object], n: int) -> dict[str, float]:
    return {issue: round(1 - len(set(_flags(quick)[issue]) ^ set(_flags(whole)[issue])) / n, 4) for issue in ISSUES}


def _flags(run: Mapping[str, object]) -> Mapping[str, Sequence[str]]:
    return cast(Mapping[str, Sequence[str]], run["flags"])


def _rates(one: Mapping[str, object], n: int) -> dict[str, float]:
    seconds, cpu = float(str(one["seconds"])), float(str(one["cpu_seconds"]))
    return {"pictures_per_second": round(n / seconds, 1), "cpu_ms": round(1000 * cpu / n, 2)}


if __name__ == "__main__":
    main()
