"""The checks against people's marks: do they sort bad pictures from good ones, alone, together, and learned?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from qcgen.core.qcbenchresult import Opinion, People
from qcgen.pipeline.qcdomains import Picture
from qcgen.qc.learned import Matrix, fit, p_matrix
from qcgen.qc.separation import Values, folds_by_group, separate, worst_share

_BAD, _GOOD = 0.2, 0.5
_FEWEST = 8


def against_people(
    domain: str, pictures: Sequence[Picture], scores: Mapping[str, Values], quality: Sequence[str], *, seed: int
) -> People:
    """Bad is the lowest fifth of the marks, good the upper half; what lies between is not asked about.

    Reference p-values and the learned weights come from other prompts than the pictures that they judge.

    Args:
        quality: what the joint p and the learned combination are made of: a profile's choice, made without the marks.
    """
    marks = np.array([picture.opinion for picture in pictures], dtype=np.float64)
    bad = marks <= np.quantile(marks, _BAD)
    good = marks >= np.quantile(marks, _GOOD)
    names = [name for name, values in scores.items() if np.isfinite(values).mean() > 0.5]
    together = [name for name in quality if name in names]
    matrix = np.stack([scores[name] for name in together], axis=1)
    fold = folds_by_group([picture.prompt or picture.key for picture in pictures], seed=seed)
    joint, learned = out_of_fold(matrix, bad, good, fold)
    evidence = -np.log(p_matrix(matrix, matrix[good]))
    asked = bad | good
    _, weights = fit(evidence[asked], bad[asked])
    return People(
        domain=domain,
        n=len(pictures),
        good=int(good.sum()),
        bad=int(bad.sum()),
        detectors={name: _opinion(scores[name], bad, good, seed) for name in names},
        joint=_opinion(joint, bad, good, seed),
        learned=_opinion(learned, bad, good, seed),
        weights=dict(zip(together, map(float, weights), strict=True)),
        correlation=_correlations(pictures, marks, {name: scores[name] for name in names} | {"joint p": joint}),
    )


def out_of_fold(
    matrix: Matrix, bad: npt.NDArray[np.bool_], good: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64]
) -> tuple[Values, Values]:
    """For each picture, badness by the smallest p-value and by weights learned without its fold."""
    joint, learned = np.zeros(len(matrix)), np.zeros(len(matrix))
    for held in np.unique(fold):
        inside, outside = fold == held, fold != held
        reference = matrix[good & outside]
        evidence = -np.log(p_matrix(matrix, reference))
        # The joint p is a rising function of the smallest p, so that both sort alike; the mean breaks its many ties.
        joint[inside] = evidence[inside].max(1) + 1e-6 * evidence[inside].mean(1)
        taught = outside & (bad | good)
        offset, weights = fit(evidence[taught], bad[taught])
        learned[inside] = offset + evidence[inside] @ weights
    return joint, learned


def _opinion(badness: Values, bad: npt.NDArray[np.bool_], good: npt.NDArray[np.bool_], seed: int) -> Opinion:
    found = separate(badness[good], badness[bad], None, seed=seed)
    return Opinion(found.auroc, found.low, found.high, worst_share(badness, bad, 0.2))


def _correlations(
    pictures: Sequence[Picture], marks: Values, scores: Mapping[str, Values]
) -> dict[str, dict[str, float | None]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for place, picture in enumerate(pictures):
        rows["all"].append(place)
        rows[picture.group].append(place)
    return {
        group: {name: _spearman(values[places], marks[places]) for name, values in scores.items()}
        for group, places in rows.items()
    }


def _spearman(values: Values, marks: Values) -> float | None:
    scored = np.isfinite(values)
    if scored.sum() < _FEWEST or np.ptp(values[scored]) == 0 or np.ptp(marks[scored]) == 0:
        return None
    return float(spearmanr(values[scored], marks[scored]).statistic)
