"""Groups with limits of their own, and rules that flag both tails."""

from collections.abc import Sequence

import numpy as np
import pytest

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.types import Measure, Outcome, Score
from qcgen.qc.calibrate import calibrate, describe
from qcgen.qc.conformal import p_value
from qcgen.qc.groups import halves, key_of, label, levels, with_size
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy, build_policy
from qcgen.qc.profile import Calibration, Profile
from qcgen.qc.registry import find_detectors

ALPHA = 0.05
PRODUCTS = ("coat", "dress", "hat", "shirt")
# Fabrics differ: what is usual for a coat is rare for all others.
NOISE = {"coat": 3.0, "dress": 1.0, "hat": 0.8, "shirt": 1.1}


def profile_of(**blur: object) -> Profile:
    detectors = {"noise": {}, "blur": blur, "garment_margin": {"importance": 0.5}}
    return Profile.model_validate(
        {
            "version": 1,
            "name": "test",
            "alpha": ALPHA,
            "near_duplicate_bits": 0,
            "calibration": None,
            "detectors": detectors,
        }
    )


PROFILE = profile_of()


def draw(products: Sequence[str], rng: np.random.Generator) -> list[tuple[Measure, ...]]:
    known = find_detectors()
    return [
        tuple(
            Score(name, known[name].version, float(value))
            for name, value in (
                ("noise", rng.normal(NOISE[product], 0.3)),
                ("blur", rng.normal(0.3, 0.05)),
                ("garment_margin", rng.normal(0.2, 0.05)),
            )
        )
        for product in products
    ]


def fields_of(products: Sequence[str]) -> list[dict[str, str]]:
    return [dict(with_size({"product": product}, 128, 128)) for product in products]


def policy_of(products: Sequence[str], seed: int, group_by: Sequence[str] = ()) -> Policy:
    measures = draw(products, np.random.default_rng(seed))
    made = calibrate(measures, PROFILE, source="drawn", seed=seed, fields=fields_of(products), group_by=group_by)
    return build_policy(PROFILE, Calibration.model_validate_json(made.model_dump_json()), sha256="")


def flag_rates(
    group_by: Sequence[str], *, each: int = 200, calibrations: int = 6, fresh: int = 150
) -> dict[str, float]:
    """Share of fresh good pictures that are flagged, by product, the mean over calibrations."""
    flagged = dict.fromkeys(PRODUCTS, 0)
    for seed in range(calibrations):
        policy = policy_of(PRODUCTS * each, seed, group_by)
        for product in PRODUCTS:
            rng = np.random.default_rng([seed, PRODUCTS.index(product), 1])
            for measures, fields in zip(draw([product] * fresh, rng), fields_of([product] * fresh), strict=True):
                flagged[product] += judge(measures, policy, fields=fields).outcome is not Outcome.ACCEPT
    return {product: count / (calibrations * fresh) for product, count in flagged.items()}


# Three standard errors: of 900 fresh pictures, and of 6 calibrations whose rates are Beta with 100 statistics each.
TOLERANCE = 3 * (ALPHA * (1 - ALPHA) * (1 / 900 + 1 / (6 * 102))) ** 0.5


def test_grouped_limits_keep_alpha_in_every_group() -> None:
    assert max(flag_rates(["product"]).values()) <= ALPHA + TOLERANCE


def test_one_limit_for_all_fails_the_group_that_differs() -> None:
    # 0.100 with 20 calibrations of 1,200 and 250 fresh pictures each.
    assert flag_rates([])["coat"] > ALPHA + TOLERANCE


def test_a_small_group_has_joint_statistics_of_its_own_behind_the_scores_of_all() -> None:
    # 70 of each: halves of 35 leave these shirts no own p-value below alpha over three detectors.
    shirt = policy_of(PRODUCTS * 70, 0, ["product"]).groups["shirt",]
    assert [len(rule.reference or ()) for rule in shirt.rules] == [140, 140, 140]
    assert len(shirt.joint) == 35


def test_a_group_that_is_too_small_is_judged_by_the_next_level_and_the_evidence_says_which() -> None:
    products = [*PRODUCTS[1:]] * 400 + ["coat"] * 30
    rng = np.random.default_rng(3)
    measures, fields = draw(products, rng), fields_of(products)
    made = calibrate(measures, PROFILE, source="drawn", fields=fields, group_by=["product", "size_px"])
    assert made.backed_off == {"product=coat": 30, "product=coat, size_px=128": 30}
    assert "product=coat: 30 pictures, too few" in describe(made)
    policy = build_policy(PROFILE, made, sha256="")
    noisy = draw(["coat"], rng)[0]
    noisy = (Score("noise", noisy[0].version, 99.0), *noisy[1:])
    told = [
        judge(noisy, policy, fields=with_size(fields, side, side)).reasons[0].evidence["level"]
        for fields, side in (({"product": "coat"}, 128), ({"product": "hat"}, 128), ({"product": "hat"}, 64), ({}, 128))
    ]
    assert told == ["all", "product=hat, size_px=128", "product=hat", "all"]


def test_without_groups_the_evidence_and_the_whole_reference_are_as_before() -> None:
    policy = policy_of(PRODUCTS * 100, 0)
    reason = judge([Score("noise", find_detectors()["noise"].version, 99.0)], policy).reasons[0]
    assert set(reason.evidence) == {"p"}
    assert halves([()] * 7, 5)[0] == np.random.default_rng(5).permutation(7)[:3].tolist()


def test_keys_levels_and_labels() -> None:
    fields = with_size({"product": "hat"}, 96, 128)
    assert key_of(fields, ("product", "size_px")) == ("hat", "96x128")
    assert key_of(fields, ("colour", "product")) == ()
    assert list(levels(("a", "b"))) == [("a", "b"), ("a",)]
    assert (label(("product", "size_px"), ("hat",)), label(("product",), ())) == ("product=hat", "all")


def test_every_group_is_halved_and_no_picture_is_in_both_halves() -> None:
    keys = [(word,) for word in "aaabbbbbc"]
    first, second = halves(keys, 0)
    assert sorted([*first, *second]) == list(range(9))
    assert abs(len(first) - len(second)) <= 1
    assert {sum(keys[place] == ("b",) for place in half) for half in (first, second)} == {2, 3}


def test_a_field_that_no_picture_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecError, match=r"the field 'colour'. Cure: one of product, size_px"):
        calibrate(
            draw(PRODUCTS * 50, np.random.default_rng(0)),
            PROFILE,
            source="drawn",
            fields=fields_of(PRODUCTS * 50),
            group_by=["colour"],
        )


def test_a_two_sided_p_is_twice_the_smaller_tail() -> None:
    reference = [1.0, 2.0, 3.0, 4.0]
    assert p_value(9.0, reference, two_sided=True) == pytest.approx(2 / 5)
    assert p_value(0.0, reference, two_sided=True) == pytest.approx(2 / 5)
    assert p_value(2.5, reference, two_sided=True) == 1.0


def two_sided(**changes: object) -> tuple[Policy, int]:
    wanted = profile_of(two_sided=True, **changes)
    products = PRODUCTS * 200
    made = calibrate(draw(products, np.random.default_rng(0)), wanted, source="drawn")
    return build_policy(wanted, made, sha256=""), find_detectors()["blur"].version


def test_a_two_sided_rule_flags_both_tails_and_says_which() -> None:
    policy, version = two_sided()
    for value, word in ((0.6, "above"), (0.05, "below")):
        verdict = judge([Score("blur", version, value)], policy)
        (reason,) = verdict.reasons
        assert verdict.outcome is Outcome.REVIEW
        assert word in reason.message
        assert reason.threshold == pytest.approx(0.3 + 0.15 * (1 if word == "above" else -1), abs=0.04)
    assert judge([Score("blur", version, 0.3)], policy).outcome is Outcome.ACCEPT


def test_floors_of_a_two_sided_rule_hold_each_for_its_own_side() -> None:
    policy, version = two_sided(floor=0.7, other_floor=0.04)
    outcomes = [judge([Score("blur", version, value)], policy).outcome for value in (0.6, 0.8, 0.05, 0.03)]
    assert outcomes == [Outcome.ACCEPT, Outcome.REVIEW, Outcome.ACCEPT, Outcome.REVIEW]


def test_two_sided_rules_keep_alpha() -> None:
    flagged = 0
    for seed in range(6):
        wanted = profile_of(two_sided=True)
        made = calibrate(draw(PRODUCTS * 50, np.random.default_rng(seed)), wanted, source="drawn", seed=seed)
        policy = build_policy(wanted, made, sha256="")
        fresh = draw([PRODUCTS[i % 4] for i in range(150)], np.random.default_rng([seed, 1]))
        flagged += sum(judge(one, policy).outcome is not Outcome.ACCEPT for one in fresh)
    assert flagged / 900 <= ALPHA + TOLERANCE


def test_a_calibration_for_one_side_is_stale_for_two() -> None:
    made = calibrate(draw(PRODUCTS * 200, np.random.default_rng(0)), PROFILE, source="drawn")
    with pytest.raises(PrerequisiteError, match="blur: two_sided True, calibrated with False"):
        build_policy(profile_of(two_sided=True), made, sha256="")


def test_an_other_floor_needs_a_two_sided_rule() -> None:
    with pytest.raises(ValueError, match="two_sided: true"):
        profile_of(other_floor=0.1)
