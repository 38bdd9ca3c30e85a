"""What a divergence is, told by registry; what is wrong with a job's divergence, told all at once."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from qcgen.core.distillspec import DivergenceSpec
from qcgen.core.errors import SpecError
from qcgen.core.spec import load_yaml
from qcgen.distill.blend import Blend, Mixture, known_divergences, read_blend
from qcgen.distill.protocol import Divergence

KNOWN = known_divergences()
LOG_RATIOS = torch.linspace(-9, 9, 37, dtype=torch.float64)


class Job(BaseModel):
    divergence: DivergenceSpec


def read(folder: Path, text: str) -> Blend:
    file = folder / "job.yaml"
    file.write_text(f"divergence: {text}\n")
    return read_blend(load_yaml(file, Job).divergence)


def weigh(blend: Blend, log_ratio: torch.Tensor, *, progress: float = 0.0, log_snr: float = 0.0) -> torch.Tensor:
    return blend.weight(log_ratio, progress=progress, log_snr=torch.full_like(log_ratio, log_snr))


def test_the_thirteen_promised_divergences_exist() -> None:
    promised = {
        "reverse_kl", "softened_reverse_kl", "jensen_shannon", "squared_hellinger", "forward_kl", "jeffreys", "pearson",
        "neyman", "alpha", "triangular", "skewed_jensen_shannon", "skewed_forward_kl", "skewed_reverse_kl",
    }  # fmt: skip
    assert promised <= KNOWN.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_the_file_has_the_name_that_jobs_write(name: str) -> None:
    assert KNOWN[name].__module__ == f"qcgen.distill.divergences.{name}"


@pytest.mark.parametrize("name", KNOWN)
def test_the_guide_has_a_row_with_the_facts(name: str, root: Path) -> None:
    guide = (root / "docs" / "distillation.md").read_text()
    row = next(line for line in guide.splitlines() if line.startswith(f"| `{name}`"))
    facts = KNOWN[name]().facts
    if name != "alpha":
        limits = f"{facts.limits[0]:.3g}, {facts.limits[1]:.3g}"
        assert row.split(" | ")[1:5] == [facts.weight, f"{facts.tilt:g}", limits, f"{facts.bound:.3g}"]


@pytest.mark.parametrize("name", KNOWN)
def test_f_is_convex(name: str) -> None:
    divergence: Divergence = KNOWN[name]()
    ratio = torch.logspace(-3, 3, 61, dtype=torch.float64)
    f = divergence.perspective(ratio.log(), torch.zeros_like(ratio))
    chord = f[:-2] + (f[2:] - f[:-2]) * (ratio[1:-1] - ratio[:-2]) / (ratio[2:] - ratio[:-2])
    # f is computed as a difference of terms up to r^2 = 1e6, of which float64 keeps 1e-10.
    assert bool((f[1:-1] <= chord + 1e-9).all())


@pytest.mark.parametrize("name", KNOWN)
def test_the_integrand_scales_with_the_student(name: str) -> None:
    divergence: Divergence = KNOWN[name]()
    log_q = torch.linspace(-5, 2, 37, dtype=torch.float64)
    scaled = divergence.perspective(LOG_RATIOS + log_q, log_q)
    f = divergence.perspective(LOG_RATIOS, torch.zeros_like(LOG_RATIOS))
    # Sums of p, q and their products: relative to the larger of them, a few last digits.
    size = log_q.exp() * (1 + LOG_RATIOS.exp() + f)
    assert float(((scaled - log_q.exp() * f).abs() / size).max()) < 1e-13


@pytest.mark.parametrize("name", KNOWN)
def test_a_parameter_out_of_range_is_a_mistake_of_the_user(name: str) -> None:
    for field in dataclasses.fields(KNOWN[name]):
        for wrong in (-100.0, 100.0, float("nan")):
            with pytest.raises(SpecError, match=rf"{field.name}: must be .* \(got .*\)\. Cure: "):
                KNOWN[name](**{field.name: wrong})


@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=4), st.data())
@settings(max_examples=25, deadline=None)
def test_a_mixture_is_linear_in_its_shares(raw: list[float], data: st.DataObject) -> None:
    shares = tuple(one / sum(raw) for one in raw)
    parts = tuple(KNOWN[name]() for name in data.draw(st.permutations(sorted(KNOWN)))[: len(raw)])
    summed = sum((s * part.weight(LOG_RATIOS) for s, part in zip(shares, parts, strict=True)), torch.zeros(()))
    # The same few products, summed in another order.
    torch.testing.assert_close(Mixture(shares, parts).weight(LOG_RATIOS), summed, rtol=1e-12, atol=0)


def test_nothing_said_is_jensen_shannon(tmp_path: Path) -> None:
    assert read(tmp_path, "{}").describe() == "jensen_shannon"


def test_a_parameter_comes_from_the_job(tmp_path: Path) -> None:
    blend = read(tmp_path, "{name: alpha, alpha: 1}")
    torch.testing.assert_close(weigh(blend, LOG_RATIOS), LOG_RATIOS.exp())
    assert blend.describe() == "alpha(alpha=1)"


def test_a_mix_is_the_sum_of_its_parts_before_any_normalisation(tmp_path: Path) -> None:
    blend = read(tmp_path, "{mix: [{name: jensen_shannon, share: 0.7}, {name: reverse_kl, share: 0.3}]}")
    torch.testing.assert_close(weigh(blend, LOG_RATIOS), 1.4 * torch.sigmoid(LOG_RATIOS) + 0.3)


SCHEDULE = """
  schedule:
    over: {over}
    points:
      - {{at: {first}, name: reverse_kl}}
      - {{at: {last}, mix: [{{name: forward_kl, share: 0.5}}, {{name: reverse_kl, share: 0.5}}]}}
"""


def test_a_schedule_over_progress_goes_over_linearly_and_stays_outside(tmp_path: Path) -> None:
    blend = read(tmp_path, SCHEDULE.format(over="progress", first=0.2, last=0.6))
    r = LOG_RATIOS.exp()
    for progress, share in ((0.0, 0.0), (0.2, 0.0), (0.4, 0.25), (0.6, 0.5), (1.0, 0.5)):
        torch.testing.assert_close(weigh(blend, LOG_RATIOS, progress=progress), share * r + 1 - share)


def test_a_schedule_over_the_noise_level_weighs_each_sample_by_its_own(tmp_path: Path) -> None:
    blend = read(tmp_path, SCHEDULE.format(over="log_snr", first=-2, last=2))
    log_snr = torch.tensor([-9.0, 0.0, 1.0, 9.0])
    weight = blend.weight(torch.ones(4), progress=0.9, log_snr=log_snr)
    share = torch.tensor([0.0, 0.25, 0.375, 0.5])
    torch.testing.assert_close(weight, share * torch.e + 1 - share)


def test_a_part_without_a_share_cannot_spoil_the_weight(tmp_path: Path) -> None:
    points = "[{at: 0, name: reverse_kl}, {at: 0.5, name: reverse_kl}, {at: 1, name: pearson}]"
    blend = read(tmp_path, f"{{schedule: {{over: progress, points: {points}}}}}")
    assert float(weigh(blend, torch.tensor([400.0], dtype=torch.float64), progress=0.3)) == 1


def test_weights_come_back_in_the_precision_of_the_ratio_and_finite(tmp_path: Path) -> None:
    for name, dtype in itertools.product(KNOWN, (torch.float32, torch.float64)):
        log_ratio = torch.tensor([-40.0, 0.0, 40.0], dtype=dtype)
        weight = weigh(read(tmp_path, f"{{name: {name}}}"), log_ratio)
        assert weight.dtype == dtype
        assert bool(weight.isfinite().all())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{name: jensen_shanon}", ["divergence.name: must be one of alpha,", "Did you mean 'jensen_shannon'?"]),
        ("{nam: alpha}", ["divergence.nam: is not a parameter of jensen_shannon", "Did you mean 'name'?"]),
        ("{name: alpha, alpha: 7}", ["divergence.alpha: must be -1 to 2 (got 7.0). Cure: "]),
        ("{name: alpha, alpha: x}", ["divergence.alpha: must be a number (got 'x')"]),
        ("{name: reverse_kl, alpha: 1}", ["divergence.alpha: is not a parameter of reverse_kl (got 1)"]),
        (
            "{mix: [{name: skewed_forward_kl, skew: 0, share: 0.7}, {name: kl, share: 0.3}], skew: 1}",
            ["divergence.mix[0].skew: must be 0.01 to 0.99", "divergence.mix[1].name: must", "divergence.skew: is not"],
        ),
        ("{mix: [{name: pearson, share: 0.7}, {name: neyman, share: 0.7}]}", ["job.yaml:1 divergence.mix", "got 1.4"]),
        ("{mix: []}", ["divergence.mix: must have at least one entry"]),
        ("{name: alpha, mix: [{name: alpha, share: 1}]}", ["exactly one of name, mix, schedule (got name, mix)"]),
        (
            "{schedule: {over: step, points: [{at: 0, name: alpha}]}}",
            ["divergence.schedule.over: must be one of progress, log_snr", "points: must have at least 2 entries"],
        ),
        (
            "{schedule: {over: progress, points: [{at: 0.5, name: alpha}, {at: 0.2, name: kl}]}}",
            ["divergence.schedule.points: must have `at` rising (got [0.5, 0.2])"],
        ),
        (
            "{schedule: {over: progress, points: [{at: 0.5, name: alpha}, {at: 3, name: kl}]}}",
            ["divergence.schedule.points: must have `at` in 0..1"],
        ),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    for part in told:
        assert part in str(caught.value)
