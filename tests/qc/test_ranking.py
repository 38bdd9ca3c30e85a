"""Who is best and how sure that is: closed cases on made-up numbers."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from qcgen.qc.protocol import Resampling
from qcgen.qc.ranking import AIMS, SCALES, Aim, Measured, effects, rank
from qcgen.qc.resample import deviations, standard_error

ONLY_RECALL = Aim({"recall": 1.0})
REPETITIONS: Mapping[Resampling, int] = {"blocks": 10, "jackknife": 20, "bootstrap": 50}


def number(
    value: float, error: float, how: Resampling, seed: int, *, shared: float = 0.0, real: float | None = None
) -> Measured:
    """A number whose repetitions have exactly this standard error; `shared` of the variance is common to all seeds."""
    own, common = (np.random.default_rng(one).normal(size=REPETITIONS[how]) for one in (seed, 10**6))
    noise = math.sqrt(1 - shared) * own + math.sqrt(shared) * common
    noise -= noise.mean()
    repeated = (value + noise * error / standard_error(how, noise)).tolist()
    return Measured(float(value), tuple(repeated), how, real)


def student(
    seed: int, *, kid: float = 40, recall: float = 0.6, clip: float = 27, chroma: float = 0.3, shared: float = 0.0
) -> dict[str, Measured]:
    return {
        "kid": number(kid, 3, "blocks", seed, shared=shared),
        "recall": number(recall, 0.02, "jackknife", seed + 1, shared=shared),
        "clip_score": number(clip, 0.3, "bootstrap", seed + 2, shared=shared),
        "saturation": number(chroma, 0.005, "bootstrap", seed + 3, real=0.3),
    }


@pytest.mark.parametrize("purpose", list(AIMS))
def test_a_clearly_better_student_is_best_with_a_probability_near_one(purpose: str) -> None:
    # Six errors of a single number better in everything: over four of a difference in each measure.
    better = student(40, kid=22, recall=0.72, clip=28.8)
    found = rank([student(0), student(10), better, student(20)], AIMS[purpose], n=500, seed=0)
    assert found[0].place == 2
    assert found[0].best > 0.99
    assert not any(one.tied for one in found[1:])
    assert all(one.pictures is None for one in found), "nothing is left to separate"


def test_equal_students_are_best_with_equal_probability_and_none_is_told_apart() -> None:
    for size in (2, 5):
        chances = np.zeros(size)
        for seed in range(12):
            # Their errors are drawn anew: on average none may be preferred.
            found = rank([student(1000 * seed + 10 * i) for i in range(size)], AIMS["balance"], n=500, seed=seed)
            assert all(one.tied for one in found)
            assert sum(one.best for one in found) == pytest.approx(1)
            for one in found:
                chances[one.place] += one.best / 12
        # Twelve worlds leave a standard error of about .03.
        assert chances == pytest.approx(np.full(size, 1 / size), abs=0.1)


def test_identical_students_share_the_chance_exactly() -> None:
    found = rank([student(0)] * 4, AIMS["quality"], n=500, seed=0)
    assert [one.best for one in found] == [0.25] * 4
    assert [one.place for one in found] == [0, 1, 2, 3]


def test_the_probability_of_two_students_is_that_of_the_t_distribution() -> None:
    first, second = student(0, recall=0.63), student(10, recall=0.60)
    found = rank([first, second], ONLY_RECALL, n=500, seed=3)
    columns = np.array([first["recall"].repeated, second["recall"].repeated]).T
    spread = deviations("jackknife", columns)
    error = float(np.sqrt(np.square(spread[:, 0] - spread[:, 1]).sum()))
    # 20,000 draws leave .0035 at most.
    assert found[0].best == pytest.approx(stats.t(19).cdf(0.03 / error), abs=0.015)
    assert found[1].beats_first == pytest.approx(1 - found[0].best, abs=1e-9)


def test_what_students_share_does_not_count_against_a_difference() -> None:
    alone = rank([student(0, recall=0.62), student(10)], ONLY_RECALL, n=500, seed=0)
    paired = rank([student(0, recall=0.62, shared=0.98), student(10, shared=0.98)], ONLY_RECALL, n=500, seed=0)
    assert alone[0].best < 0.9
    assert paired[0].best > 0.99


def test_a_difference_too_small_to_matter_does_not_tell_students_apart() -> None:
    # A tenth of the smallest difference that matters, known without any error.
    first, second = student(0), student(0)
    second["recall"] = Measured(0.599, tuple(one - 0.001 for one in second["recall"].repeated), "jackknife")
    found = rank([first, second], ONLY_RECALL, n=500, seed=0)
    assert found[0].best == 1
    assert found[1].tied
    assert found[1].behind == pytest.approx(0.001 / max(SCALES["recall"].tolerance, 1e-9))
    assert found[1].pictures is None


def test_the_pictures_that_would_separate_two_students_follow_the_root() -> None:
    found = rank([student(0, recall=0.63), student(10)], ONLY_RECALL, n=500, seed=0)
    behind, error = found[1].behind, found[1].behind_error
    assert found[1].tied
    assert found[1].pictures == pytest.approx(500 * (2 * error / behind) ** 2, rel=0.05), "two digits are told"


def test_a_student_off_the_photos_saturation_loses_however_good_it_is() -> None:
    found = rank([student(0), student(10, kid=5, clip=30, chroma=0.45)], AIMS["quality"], n=500, seed=0)
    assert found[0].place == 0
    assert found[0].best > 0.99
    assert found[1].broken == ("saturation",)
    assert not found[1].tied


def test_a_guard_that_all_break_decides_nothing() -> None:
    found = rank([student(0, chroma=0.5), student(10, kid=10, chroma=0.5)], AIMS["quality"], n=500, seed=0)
    assert found[0].place == 1
    assert found[0].best > 0.95
    assert all(one.broken == ("saturation",) for one in found)


def test_recall_that_is_bought_with_distance_does_not_win_for_coverage() -> None:
    students = [student(0), student(10, kid=90, recall=0.95)]
    assert rank(students, AIMS["coverage"], n=500, seed=0)[0].place == 0
    assert rank([student(0), student(10, kid=42, recall=0.8)], AIMS["coverage"], n=500, seed=0)[0].place == 1


def test_the_purpose_decides_between_quality_and_coverage() -> None:
    sharp, broad = student(0, kid=30, clip=28.5, recall=0.5), student(10, kid=38, clip=26.5, recall=0.75)
    assert rank([sharp, broad], AIMS["quality"], n=500, seed=0)[0].place == 0
    assert rank([sharp, broad], AIMS["coverage"], n=500, seed=0)[0].place == 1


@pytest.mark.parametrize("aim", AIMS.values())
def test_weights_sum_to_one(aim: Aim) -> None:
    assert sum(aim.weights.values()) == pytest.approx(1)
    assert set(aim.weights) <= set(SCALES)


def test_effects_average_the_students_of_a_value() -> None:
    students = [student(10 * i, recall=0.6 + 0.1 * (i % 2)) for i in range(6)]
    low, high = effects(students, ONLY_RECALL, ["low", "high"] * 3, seed=0)
    assert (low.label, low.students, high.students) == ("low", 3, 3)
    assert high.score == pytest.approx(-low.score)
    assert high.score > 4 * high.error > 0


@pytest.mark.parametrize("how", list(REPETITIONS))
def test_deviations_have_the_standard_errors_of_their_columns(how: Resampling) -> None:
    columns = np.random.default_rng(0).normal(size=(REPETITIONS[how], 3))
    spread = deviations(how, columns)
    for i in range(3):
        assert np.sqrt(np.square(spread[:, i]).sum()) == pytest.approx(standard_error(how, columns[:, i]))
