"""Measures how the cost of `qcgen score` grows with the number of files: linear means the same milliseconds a picture.

    python -m benchmarks.growth [--most 1600] [--threads 1]

Different pictures of one size, drawn and saved as JPEG, go through decoding, all pixel detectors, the judge and the
search for exact and near duplicates, n = 100, 200, 400, ... of them. Processor time counts, the decoder's included;
each n is repeated and its least time taken, the n by turns, so that what else the machine does hits all alike.
The search for duplicates is measured once more alone, on hashes without pictures and up to many more of them, and on
fingerprints that are all alike and hardly ever near, which is the worst that it can meet.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import torch

from benchmarks.cleanvision import machine
from qcgen.core.types import Finding
from qcgen.data.pictures import find_pictures
from qcgen.pipeline.qcscores import policy_of
from qcgen.pipeline.score import describe, score_files
from qcgen.qc.duplicates import find_duplicates
from qcgen.qc.inspect import Inspector
from qcgen.qc.phases import FREQUENCIES
from qcgen.qc.registry import find_detectors

RESULT = Path(__file__).parent / "results" / "growth.json"
SIDE = 256
_FEWEST, _ROUNDS = 100, 3
_HASHES = (2_000, 4_000, 8_000, 16_000, 32_000)
_ALIKE = (400, 800, 1_600, 3_200)
_TURNS = (0.11, 0.2, 0.38, 0.2, 0.11)
_ASKING = frozenset({"text", "local_artifact", "memorisation", "anomaly", "screening"})


def draw(folder: Path, count: int) -> None:
    """Blurred noise with a disc on it, another one each."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        picture = coarse.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)
        x, y, radius = (int(rng.integers(*between)) for between in ((60, 196), (60, 196), (20, 60)))
        down, across = np.mgrid[:SIDE, :SIDE]
        disc = PIL.Image.fromarray(((across - x) ** 2 + (down - y) ** 2 < radius**2).astype(np.uint8) * 255)
        picture.paste(tuple(rng.integers(0, 256, 3).tolist()), mask=disc)
        picture.save(folder / f"{i:05d}.jpg", quality=90)


def score(folder: Path, count: int, inspector: Inspector, names: list[str]) -> None:
    """As `qcgen score` on the first `count` files."""
    policy = policy_of(names, 0.02)
    subjects = describe(find_pictures([folder])[:count], None)
    done = score_files(subjects, inspector, policy, tell=lambda _: None)
    assert len(done) == count


def search(count: int) -> dict[str, Finding]:
    """Duplicates among unrelated hashes, one in ten of which is near to another."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, (count, 4), dtype=np.uint64)
    hashes[::10] = hashes[5::10] ^ np.uint64(5)
    return find_duplicates([(str(i), str(i), row.tobytes().hex()) for i, row in enumerate(hashes)])


def search_alike(count: int) -> dict[str, Finding]:
    """Duplicates among pictures of one cut and colour, each with a print of its own; the phases agree to 0.8 or so."""
    rng = np.random.default_rng(2)
    hashes = rng.integers(0, 2**63, (count, 4), dtype=np.uint64)
    codes = (rng.integers(0, 15, FREQUENCIES) + rng.choice(5, (count, FREQUENCIES), p=_TURNS)) % 15
    prints = [
        f"{h.tobytes().hex()}p1{''.join(map('{:x}'.format, c))}800800" for h, c in zip(hashes, codes, strict=True)
    ]
    return find_duplicates([(str(i), str(i), print_) for i, print_ in enumerate(prints)])


def processor_seconds(work: Callable[[], object]) -> float:
    """Of this process and of those that it started and that ended."""

    def spent() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, kinds))

    before = spent()
    work()
    return spent() - before


def growth(milliseconds: dict[int, float]) -> dict[str, object]:
    """Cost a picture at each n over that at the least n, and the exponent of n by least squares on logarithms."""
    first = milliseconds[min(milliseconds)]
    n = np.log(list(milliseconds))
    exponent = 1 + float(np.polyfit(n, np.log(list(milliseconds.values())), 1)[0])
    return {
        "ms_each": {str(count): round(ms, 4) for count, ms in milliseconds.items()},
        "over_first": {str(count): round(ms / first, 3) for count, ms in milliseconds.items()},
        "exponent": round(exponent, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=1600, help="files of the largest run")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    names = [name for name, one in find_detectors().items() if name not in _ASKING and not hasattr(one, "whole_batch")]
    inspector = Inspector(policy_of(names, 0.02), None)
    counts = [n for n in (_FEWEST * 2**i for i in range(20)) if n <= given.most]
    least = dict.fromkeys(counts, float("inf"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw(folder, counts[-1])
        score(folder, counts[0], inspector, names)
        for _ in range(_ROUNDS):
            for n in counts:
                seconds = processor_seconds(lambda n=n: score(folder, n, inspector, names))  # type: ignore[misc]
                least[n] = min(least[n], 1000 * seconds / n)
    alone = {
        n: 1000 * min(processor_seconds(lambda n=n: search(n)) for _ in range(_ROUNDS)) / n  # type: ignore[misc]
        for n in _HASHES
    }
    alike = {n: 1000 * processor_seconds(lambda n=n: search_alike(n)) / n for n in _ALIKE}  # type: ignore[misc]
    result = {
        "machine": machine(),
        "load_at_end": round(os.getloadavg()[0], 1),
        "side_px": SIDE,
        "detectors": len(names),
        "seconds": round(time.monotonic() - began),
        "score": growth(least),
        "duplicates_alone": growth(alone),
        "duplicates_alike": growth(alike),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
