"""Set metrics against closed forms, brute force from the definitions, and scipy."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg
import scipy.stats
import torch
from torch import Tensor

from qcgen.qc.metrics.agreement import Agreement
from qcgen.qc.metrics.clip_score import ClipScore
from qcgen.qc.metrics.data_copying import DataCopying
from qcgen.qc.metrics.diversity import Diversity
from qcgen.qc.metrics.frechet import Frechet
from qcgen.qc.metrics.kid import KernelDistance
from qcgen.qc.metrics.latent_drift import LatentDrift
from qcgen.qc.metrics.manifold import NEIGHBOURS, Manifold
from qcgen.qc.metrics.vendi import Vendi
from qcgen.qc.protocol import SetMetric


def _cloud(n: int, seed: int, d: int = 8) -> Tensor:
    return torch.randn((n, d), generator=torch.Generator().manual_seed(seed)).double()


def _unit(n: int, seed: int, d: int = 8) -> Tensor:
    return torch.nn.functional.normalize(_cloud(n, seed, d) + 0.5, dim=1)


def _of(metric: SetMetric, real: Tensor | tuple[Tensor, ...], made: Tensor | tuple[Tensor, ...]) -> dict[str, float]:
    for columns, is_real in ((real, True), (made, False)):
        metric.update(*(columns if isinstance(columns, tuple) else (columns,)), real=is_real)
    return dict(metric.compute())


def test_frechet_distance_of_moved_and_stretched_gaussians_is_the_closed_form() -> None:
    # |shift|^2 + sum (1 - s)^2 for independent coordinates of deviation 1 and s: 8 * 4 + 8 * 0.25.
    found = _of(Frechet(), _cloud(20000, 1), 1.5 * _cloud(20000, 2) + 2)["frechet"]
    # 20,000 samples of 8 numbers: the bias d^2 / n and the noise of the means stay below a per cent.
    assert found == pytest.approx(100 * 34, rel=0.02)


def test_frechet_distance_is_that_of_a_matrix_root() -> None:
    real, made = _cloud(300, 3) @ _cloud(8, 30), _cloud(200, 4) @ _cloud(8, 40) + 0.3
    s_r, s_g = np.cov(real.T.numpy()), np.cov(made.T.numpy())
    gap = (real.mean(0) - made.mean(0)).numpy()
    direct = gap @ gap + np.trace(s_r + s_g - 2 * scipy.linalg.sqrtm(s_r @ s_g).real)
    # Two eigen solvers on 8 x 8 matrices of condition 1e3.
    assert _of(Frechet(), real, made)["frechet"] == pytest.approx(100 * direct, rel=1e-8)


def test_kernel_distance_is_the_unbiased_estimate_from_its_definition() -> None:
    real, made = _unit(60, 5), _unit(60, 6) * 0.9 + 0.05
    k = {name: (a @ b.T + 1) ** 3 for name, a, b in (("rr", real, real), ("gg", made, made), ("rg", real, made))}
    off = {name: (k[name].sum() - k[name].trace()) / (60 * 59) for name in ("rr", "gg")}
    direct = float(off["rr"] + off["gg"] - 2 * k["rg"].mean())
    # With as many generated rows as real ones every subset is the whole set, up to order.
    assert _of(KernelDistance(), real, made)["kid"] == pytest.approx(1000 * direct, rel=1e-9)


def test_kernel_distance_of_equal_laws_is_zero_on_average() -> None:
    found = [_of(KernelDistance(), _unit(100, 2 * i), _unit(100, 2 * i + 1))["kid"] for i in range(20)]
    # 20 draws: their mean lies within three of its standard errors.
    assert abs(np.mean(found)) < 3 * np.std(found, ddof=1) / np.sqrt(20)
    assert min(found) < 0 < max(found)


def test_manifold_numbers_are_those_of_their_definitions() -> None:
    real, made = _cloud(70, 7, 3), _cloud(50, 8, 3) * 0.8 + 0.2

    def radius(points: Tensor, i: int) -> float:
        return sorted(float((points[i] - points[j]).norm()) for j in range(len(points)) if j != i)[NEIGHBOURS - 1]

    real_r, made_r = ([radius(p, i) for i in range(len(p))] for p in (real, made))
    near = [[float((r - g).norm()) for g in made] for r in real]
    inside_real = [[near[i][j] <= real_r[i] for j in range(50)] for i in range(70)]
    inside_made = [[near[i][j] <= made_r[j] for j in range(50)] for i in range(70)]
    expected = {
        "precision": sum(any(inside_real[i][j] for i in range(70)) for j in range(50)) / 50,
        "recall": sum(any(row) for row in inside_made) / 70,
        "density": sum(map(sum, inside_real)) / (NEIGHBOURS * 50),
        "coverage": sum(any(row) for row in inside_real) / 70,
    }
    # Counts are equal; only the division rounds.
    assert _of(Manifold(), real, made) == pytest.approx(expected, abs=1e-12)


def test_a_collapsed_cloud_keeps_precision_and_loses_recall_and_coverage() -> None:
    found = _of(Manifold(), _cloud(400, 9, 2), _cloud(400, 10, 2) * 0.05)
    assert found["precision"] > 0.95
    assert found["recall"] < 0.1
    assert found["coverage"] < 0.1


def test_vendi_score_is_that_of_the_matrix_of_all_pairs() -> None:
    made = _unit(40, 11)
    shares = np.clip(np.linalg.eigvalsh((made @ made.T).numpy() / 40), 1e-300, None)
    direct = float(np.exp(-(shares * np.log(shares)).sum()))
    # The d x d and the n x n matrix share their eigenvalues up to rounding.
    assert _of(Vendi(), made, made)["vendi"] == pytest.approx(direct, rel=1e-9)
    assert _of(Vendi(), made, torch.eye(8).double())["vendi"] == pytest.approx(8, rel=1e-9)
    assert _of(Vendi(), made, made[:1].repeat(5, 1))["vendi"] == pytest.approx(1, rel=1e-6)


def test_clip_score_is_the_mean_cosine() -> None:
    angles = torch.tensor([0.0, np.pi / 3, np.pi / 2])
    pictures = torch.stack([angles.cos(), angles.sin()], dim=1)
    captions = torch.tensor([[1.0, 0.0]] * 3).double()
    found = _of(ClipScore(), (pictures, captions), (pictures, captions))["clip_score"]
    # pi as torch's float32 angles have it.
    assert found == pytest.approx(50, rel=1e-6)


def test_agreement_counts_only_pictures_whose_colour_could_be_judged() -> None:
    colour = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    made = (torch.tensor([1.0, 0.0, 1.0, 1.0]), colour)
    assert _of(Agreement(), made, made) == pytest.approx({"product_top1": 0.75, "colour_agreement": 2 / 3})
    none = (made[0], torch.zeros(4, 2))
    assert "colour_agreement" not in _of(Agreement(), made, none)


def test_latent_drift_finds_the_planted_shift_and_the_planted_deviations() -> None:
    real = _cloud(4000, 12, 3)
    made = real * torch.tensor([0.5, 1.0, 2.0]) + torch.tensor([0.0, 0.3, 0.0])

    def moments(values: Tensor) -> Tensor:
        places = values.reshape(1000, 4, 3)
        return torch.stack([places.mean(1), places.square().mean(1)], dim=1)

    found = _of(LatentDrift(), moments(real), moments(made))
    # The same draws in both, so only the means of 4,000 draws times (factor - 1) remain: below 0.03.
    assert found["latent_shift"] == pytest.approx(0.3, abs=0.04)
    assert found["latent_std_low"] == pytest.approx(0.5, rel=1e-6)
    assert found["latent_std_high"] == pytest.approx(2, rel=1e-6)


def test_diversity_is_the_mean_over_all_pairs_of_one_caption() -> None:
    made, ids = _unit(30, 13), torch.arange(30) % 7
    pairs = [
        1 - float(made[i] @ made[j]) for i in range(30) for j in range(30) if i != j and int(ids[i]) == int(ids[j])
    ]
    found = _of(Diversity(), (made, ids), (made, ids))["prompt_diversity"]
    assert found == pytest.approx(np.mean(pairs), rel=1e-9)
    assert _of(Diversity(), (made, ids), (made[:7], ids[:7])) == {}


def test_a_student_that_ignores_its_noise_has_no_diversity() -> None:
    ids = torch.arange(40) % 4
    found = _of(Diversity(), (_unit(40, 14), ids), (_unit(4, 15)[ids], ids))["prompt_diversity"]
    assert found == pytest.approx(0, abs=1e-12)


def _distances(n: int, seed: int, decimals: int = 6) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(4, 0.01, n).round(decimals)


@pytest.mark.parametrize("decimals", [6, 2])
def test_the_copying_test_has_the_p_value_of_scipy(decimals: int) -> None:
    made, held_out = _distances(300, 16, decimals) * 0.95, _distances(200, 17, decimals) * 0.95
    found = _of(DataCopying(), torch.from_numpy(held_out), torch.from_numpy(made))
    reference = scipy.stats.mannwhitneyu(made, held_out, alternative="less", method="asymptotic", use_continuity=False)
    assert scipy.stats.norm.cdf(found["copying_z"]) == pytest.approx(reference.pvalue, rel=1e-9)
    # The chance that one is smaller, ties counted half.
    direct = np.mean(made[:, None] < held_out) + np.mean(made[:, None] == held_out) / 2
    assert found["copying_auc"] == pytest.approx(direct, rel=1e-9)


def test_copies_show_in_the_test_and_a_few_of_them_in_the_tail() -> None:
    held_out = torch.from_numpy(_distances(500, 18))
    honest, some = torch.from_numpy(_distances(1000, 19)), torch.from_numpy(_distances(1000, 20))
    some[:50] = 0.0
    values = [_of(DataCopying(), held_out, made) for made in (honest, some, honest * 0.5)]
    # Under the null z has deviation 1; 5 % of copies move it by less than 3, a halving of all distances by far more.
    assert abs(values[0]["copying_z"]) < 3
    assert values[2]["copying_z"] < -10
    # 50 of 1,000 beside the 1 % that any law has.
    assert values[1]["copying_tail"] > 0.05
    assert values[0]["copying_tail"] < 0.03
    assert all(a["copying_z"] > b["copying_z"] for a, b in pairwise(values))
