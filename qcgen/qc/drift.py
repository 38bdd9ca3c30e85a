"""Whether a batch as a whole is like its reference: shrunken variety, shifted scores, shifted embeddings, slow trends.

All are tests with a stated false alarm; `docs/qc.md` has the simulated numbers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import ks_2samp
from torch import Tensor

from qcgen.core.control import ewma
from qcgen.qc.metrics.vendi import vendi_score

BOOTSTRAPS = 500
PERMUTATIONS = 200
LEVEL = 0.01
_BEYOND = 2.576
"""Standard deviations that half a per cent lies beyond: the two tests of variety share 1 %."""
FEWEST_SCORES = 20
"""On either side; the asymptotic p-value means nothing with fewer."""


def match(wanted: Sequence[str], there: Sequence[str], rng: np.random.Generator, draws: int) -> Int[Tensor, "k n"]:
    """For each wanted prompt the place of a reference picture of it, drawn with replacement; all must be there."""
    order = sorted(range(len(there)), key=there.__getitem__)
    prompts, first, count = np.unique([there[place] for place in order], return_index=True, return_counts=True)
    which = np.searchsorted(prompts, list(wanted))
    steps = (rng.random((draws, len(wanted))) * count[which]).astype(np.int64)
    return torch.from_numpy(np.asarray(order)[first[which] + steps])


def pair(one: Sequence[str], other: Sequence[str], rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """Places in both such that each prompt is equally often in either, none drawn twice."""
    found: tuple[list[int], list[int]] = ([], [])
    sides = [_places(prompts, rng.permutation(len(prompts))) for prompts in (one, other)]
    for prompt in sorted(sides[0].keys() & sides[1].keys()):
        n = min(len(side[prompt]) for side in sides)
        for kept, side in zip(found, sides, strict=True):
            kept += side[prompt][:n].tolist()
    return found


def variety(
    batch: Float[Tensor, "n d"],
    prompts: Sequence[str],
    reference: Float[Tensor, "m d"],
    known: Sequence[str],
    *,
    seed: int,
) -> tuple[float, float]:
    """The batch's Vendi score and the lower half per cent of bootstrapped references with the same
    prompts, so of the same n."""
    rng = np.random.default_rng(seed)
    drawn = [vendi_score(reference[places]) for places in match(prompts, known, rng, BOOTSTRAPS)]
    return vendi_score(batch), float(np.quantile(drawn, LEVEL / 2))


def sameness(
    batch: Float[Tensor, "n d"],
    prompts: Sequence[str],
    reference: Float[Tensor, "m d"],
    known: Sequence[str],
    *,
    seed: int,
) -> tuple[float, float] | None:
    """Mean cosine of two pictures of one prompt, and what half a per cent of good batches exceed; None where no prompt
    is twice in the batch and four times in the reference.

    A student that has one picture for each prompt left is as varied as its prompts, so that `variety` hardly moves.
    Draws without replacement from a finite reference vary too little, by (1 - f) / (1 + f) for a share f.
    """
    mine, theirs = (_places(given, np.arange(len(given))) for given in (prompts, known))
    sizes = {name: min(len(mine[name]), len(theirs[name]) // 2) for name in sorted(mine.keys() & theirs.keys())}
    sizes = {name: size for name, size in sizes.items() if size > 1}
    if not sizes:
        return None
    rng = np.random.default_rng(seed)
    drawn = [
        _mean_cosine(reference, [rng.permutation(theirs[name])[:size] for name, size in sizes.items()])
        for _ in range(PERMUTATIONS)
    ]
    share = sum(sizes.values()) / sum(len(theirs[name]) for name in sizes)
    spread = float(np.std(drawn)) * ((1 + share) / (1 - share)) ** 0.5
    return _mean_cosine(batch, [mine[name] for name in sizes]), float(np.mean(drawn) + _BEYOND * spread)


def mmd_p_value(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"], *, seed: int) -> float:
    """Permutation p of the unbiased squared maximum mean discrepancy with KID's kernel (x . y + 1)^3.

    Source: Gretton et al. 2012, JMLR 13, lemma 6.
    """
    rows = torch.cat([one, other]).double()
    kernel = (rows @ rows.T + 1) ** 3
    kernel.fill_diagonal_(0)
    generator = torch.Generator().manual_seed(seed)
    first = torch.arange(len(rows)) < len(one)
    order = torch.rand(PERMUTATIONS, len(rows), generator=generator).argsort(1)
    values = _mmd(kernel, torch.cat([first[None], first[order]]))
    return (1 + int((values[1:] >= values[0]).sum())) / (PERMUTATIONS + 1)


def shifted_scores(
    batch: Mapping[str, Sequence[float]], reference: Mapping[str, Sequence[float]]
) -> dict[str, tuple[float, float]]:
    """Kolmogorov-Smirnov's D and p of each detector that both have. Compare each p with 1 % over their number."""
    found = {}
    for name in sorted(batch.keys() & reference.keys()):
        if min(len(batch[name]), len(reference[name])) >= FEWEST_SCORES:
            # Ties make it conservative.
            test = ks_2samp(batch[name], reference[name], method="asymp")
            found[name] = (float(test.statistic), float(test.pvalue))
    return found


def trend(nights: Sequence[float]) -> tuple[float, float] | None:
    """How far the EWMA of the last night is from the baseline's mean, and how far it may be; None with no night after
    the baseline."""
    chart = ewma(nights)
    return None if chart is None else (abs(chart.values[-1] - chart.centre), chart.reach[-1])


def _places(prompts: Sequence[str], order: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """Of each prompt, in this order."""
    found: dict[str, list[int]] = {}
    for place in order.tolist():
        found.setdefault(prompts[place], []).append(place)
    return {name: np.array(places) for name, places in found.items()}


def _mean_cosine(vectors: Float[Tensor, "n d"], groups: Sequence[npt.NDArray[np.int64]]) -> float:
    """Over pairs within groups, each group counting as many times as it has members."""
    total = 0.0
    for group in groups:
        together = vectors[torch.from_numpy(group)].double().sum(0)
        total += (float(together @ together) - len(group)) / (len(group) - 1)
    return total / sum(map(len, groups))


def _mmd(kernel: Float[Tensor, "n n"], first: Bool[Tensor, "k n"]) -> Float[Tensor, " k"]:
    """Unbiased estimates for k choices of the first set; the kernel's diagonal is 0."""
    mine = first.double()
    others = 1 - mine
    n, m = mine.sum(1), others.sum(1)
    mixed = mine @ kernel
    within, across = (mixed * mine).sum(1), (mixed * others).sum(1)
    beside = ((others @ kernel) * others).sum(1)
    return within / (n * (n - 1)) + beside / (m * (m - 1)) - 2 * across / (n * m)
