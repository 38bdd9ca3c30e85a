"""The ratio's normalisation, calibration, invariances and safe limit (section 4.2, items 12 to 15 of the notes)."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from qcgen.core.distillspec import RatioSpec
from qcgen.distill.discriminator import Discriminator, discriminator_loss
from qcgen.distill.divergences.jensen_shannon import JensenShannon
from qcgen.distill.loss import weigh
from qcgen.distill.ratio import RatioEstimator, score_cosine
from tests.distill.toynet import Mixture


def _gaussian_logits(shift: float, n: int, generator: torch.Generator, *, real: bool) -> Tensor:
    """log p - log q of unit Gaussians `shift` apart, at samples of p or of q."""
    x = torch.randn(n, generator=generator) + (shift if real else 0)
    return shift * x - shift**2 / 2


def _feed(ratio: RatioEstimator, fake: Tensor, real: Tensor, level: Tensor) -> None:
    ratio.collect_fake(fake, level)
    ratio.collect_real(real, level)
    ratio.commit_critic()


def _exact(shift: float, *, clip: tuple[float, float] = (0.1, 20.0)) -> RatioEstimator:
    """200,000 samples of an exact discriminator in one bin."""
    generator = torch.Generator().manual_seed(0)
    ratio = RatioEstimator(RatioSpec(bins=1, ema=0.0, clip=clip))
    n = 200_000
    fake, real = (_gaussian_logits(shift, n, generator, real=real) for real in (False, True))
    _feed(ratio, fake, real, torch.zeros(n))
    return ratio


def test_identities_hold_for_an_exact_discriminator() -> None:
    ratio = _exact(0.7)
    # r is log-normal with deviation 0.8: a standard error of 0.002 over 200,000 samples; five of them.
    assert abs(float(ratio.mean_ratio()) - 1) < 0.01
    assert abs(float(ratio.mean_inverse_ratio()) - 1) < 0.01
    assert float(ratio.trust()) > 0.99


def test_the_logistic_loss_gives_the_jensen_shannon_divergence() -> None:
    x = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    p, q = (torch.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (1.3, 0.0))
    middle = (p + q) / 2
    exact = 0.5 * (torch.trapezoid(p * (p / middle).log(), x) + torch.trapezoid(q * (q / middle).log(), x))
    # Losses are below 3, so 200,000 samples leave an error of about 0.002; three of them.
    assert float(_exact(1.3).jensen_shannon()) == pytest.approx(float(exact), abs=0.006)


def test_clipping_is_accounted_for_at_a_separation_of_two() -> None:
    table = _exact(2.0).table()
    # Closed form for ln r ~ N(-2, 4) clipped to [ln 0.1, ln 20]: 45 % touched, mean 0.845; mean_ratio itself has an
    # error of 0.016 here, which moves the share by less than 0.01.
    assert table["clipped_share"][0] == pytest.approx(0.45, abs=0.01)
    assert table["mean_clipped_ratio"][0] == pytest.approx(0.845, abs=0.01)


@pytest.mark.parametrize(("per_bin", "share"), [(1, 0.0), (2, 0.56), (4, 0.80), (8, 0.90), (64, 0.99)])
def test_normalising_by_the_current_batch_would_eat_the_ratio(per_bin: int, share: float) -> None:
    """Why statistics are carried over: deviation of ln r among the samples of one bin and step, over the true one."""
    generator = torch.Generator().manual_seed(per_bin)
    ratio = RatioEstimator(RatioSpec(bins=10, ema=0.0, prior=1e-9, clip=(1e-6, 1e6)))
    level = ((torch.arange(10) + 0.5) / 10).repeat_interleave(per_bin)
    kept = []
    for _ in range(200):
        fake = _gaussian_logits(1.0, len(level), generator, real=False)
        # What a batch's own mean would do: the samples are committed before they are read.
        _feed(ratio, fake, -fake, level)
        kept.append(ratio.read(fake, level).log_ratio.reshape(10, per_bin).std(1, correction=0).mean())
    # E|x - y| / 2 = 0.564 for two normal samples, and so on; 2000 bins leave an error below 0.01.
    assert float(torch.stack(kept).mean()) == pytest.approx(share, abs=0.03)


def test_one_sample_a_bin_keeps_the_spread_of_the_ratio_with_carried_statistics() -> None:
    generator = torch.Generator().manual_seed(1)
    ratio = RatioEstimator(RatioSpec(bins=10, ema=0.9, clip=(1e-6, 1e6)))
    level = (torch.arange(10) + 0.5) / 10
    kept, true = [], []
    for turn in range(400):
        fake = _gaussian_logits(1.0, 10, generator, real=False)
        read = ratio.read(fake, level)
        _feed(ratio, fake, _gaussian_logits(1.0, 10, generator, real=True), level)
        if turn >= 200:
            kept.append(read.log_ratio)
            true.append(fake)
    assert float(torch.cat(kept).std() / torch.cat(true).std()) >= 0.9


def _weights(parts: int) -> Tensor:
    """h of 64 samples after ten committed steps, each step in `parts` micro-batches."""
    generator = torch.Generator().manual_seed(3)
    ratio = RatioEstimator(RatioSpec(bins=4))
    for _ in range(10):
        fake, real = torch.randn(64, generator=generator), torch.randn(64, generator=generator)
        level = torch.rand(64, generator=generator)
        _one_step(ratio, fake, real, level, parts)
    return _final(ratio, torch.randn(64, generator=generator), torch.rand(64, generator=generator))


def _one_step(ratio: RatioEstimator, fake: Tensor, real: Tensor, level: Tensor, parts: int) -> None:
    for f, r, u in zip(fake.chunk(parts), real.chunk(parts), level.chunk(parts), strict=True):
        ratio.collect_fake(f, u)
        ratio.collect_real(r, u)
    ratio.commit_critic()
    for f, u in zip(fake.chunk(parts), level.chunk(parts), strict=True):
        read = ratio.read(f, u)
        ratio.collect_student(read, weight=JensenShannon().weight(read.log_ratio), distance=f.abs())
    ratio.commit_student()


def _final(ratio: RatioEstimator, logits: Tensor, level: Tensor) -> Tensor:
    read = ratio.read(logits, level)
    return weigh(JensenShannon().weight(read.log_ratio), read, mean=float(ratio.mean_weight()))


def _rank(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    generator = torch.Generator().manual_seed(3)
    ratio = RatioEstimator(RatioSpec(bins=4))
    mine = slice(32 * rank, 32 * rank + 32)
    for _ in range(10):
        fake, real = torch.randn(64, generator=generator), torch.randn(64, generator=generator)
        level = torch.rand(64, generator=generator)
        _one_step(ratio, fake[mine], real[mine], level[mine], 1)
    weight = _final(ratio, torch.randn(64, generator=generator), torch.rand(64, generator=generator))
    torch.save(weight, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_weights_do_not_depend_on_gradient_accumulation_or_ranks(tmp_path: Path) -> None:
    whole = _weights(1)
    assert float(whole.std()) > 0.05, "all weights alike would show nothing"
    torch.testing.assert_close(_weights(8), whole, rtol=1e-6, atol=0)
    multiprocessing.spawn(_rank, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), whole, rtol=1e-6, atol=0)


@pytest.mark.parametrize("logits", ["saturated", "biased"])
def test_a_wild_discriminator_falls_back_to_reverse_kl(logits: str) -> None:
    ratio = RatioEstimator(RatioSpec(bins=1))
    level = torch.full((512,), 0.5)
    # Saturated: right and huge. Biased: E_q[r] = e^1.5 before normalisation, although chance accuracy.
    fake, real = (-9.0, 9.0) if logits == "saturated" else (1.5, 1.5)
    for _ in range(40):
        _feed(ratio, torch.full((512,), fake), torch.full((512,), real), level)
    read = ratio.read(torch.randn(16), level[:16])
    weight = weigh(JensenShannon().weight(read.log_ratio), read, mean=1.0)
    torch.testing.assert_close(weight, torch.ones(16))


def test_an_unseen_bin_starts_as_reverse_kl_and_trust_grows_with_its_samples() -> None:
    generator = torch.Generator().manual_seed(2)
    ratio = RatioEstimator(RatioSpec(bins=1))
    trusted = [float(ratio.trust())]
    for _ in range(30):
        _feed(
            ratio,
            _gaussian_logits(0.3, 32, generator, real=False),
            _gaussian_logits(0.3, 32, generator, real=True),
            torch.zeros(32),
        )
        trusted.append(float(ratio.trust()))
    assert trusted[0] == 0
    assert trusted[1] == pytest.approx(32 / 40, abs=0.01)
    assert trusted[-1] > 0.97


def test_few_effective_samples_shrink_the_weight() -> None:
    ratio = _exact(0.5)
    full = float(ratio.trust())
    read = ratio.read(torch.zeros(1000), torch.zeros(1000))
    weight = torch.zeros(1000)
    weight[:5] = 200.0
    ratio.collect_student(read, weight=weight, distance=torch.ones(1000))
    ratio.commit_student()
    share = float(ratio.effective_share())
    assert share < 0.1
    assert float(ratio.trust()) == pytest.approx(full * share / 0.1, rel=1e-3)


def test_the_cosine_is_one_for_an_exact_discriminator_and_an_exact_fake_score() -> None:
    p = Mixture.ring(torch.tensor([0.5, 0.2, 0.3]))
    q = Mixture.ring(torch.tensor([0.2, 0.5, 0.3]))
    sigma = torch.full((256,), 0.8, dtype=torch.float64)
    for one in (p, q):
        one.means, one.masses = one.means.double(), one.masses.double()
    x = (q.sample(256, torch.Generator().manual_seed(0)).double() + 0.8).requires_grad_(True)
    logit = p.log_density(x, sigma) - q.log_density(x, sigma)
    gradient = torch.autograd.grad(logit.sum(), x)[0]
    difference = (p.posterior_mean(x, sigma) - q.posterior_mean(x, sigma)) / sigma[:, None] ** 2
    cosine = score_cosine(gradient[..., None, None], difference.detach()[..., None, None])
    torch.testing.assert_close(cosine, torch.ones(256, dtype=torch.float64))


def test_a_trained_discriminator_is_calibrated_in_every_bin_of_the_ring() -> None:
    """Item 15: the production discriminator, learned on noised samples of two rings with other mode masses."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    teacher = Mixture.ring(torch.tensor([0.25, 0.05, 0.20, 0.05, 0.15, 0.05, 0.20, 0.05]))
    student = Mixture.ring(torch.full((8,), 0.125), deviation=0.2)
    net = Discriminator([11], cond_dim=1, width=64)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    steps = 700
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

    def noised(density: Mixture, n: int) -> tuple[Tensor, Tensor, Tensor]:
        level = torch.rand(n, generator=generator)
        sigma = 0.1 * 30**level
        x = density.sample(n, generator) + sigma[:, None] * torch.randn(n, 2, generator=generator)
        return x, sigma, level

    def logits(x: Tensor, sigma: Tensor) -> Tensor:
        # One map of a dozen features: what a network below would give the heads.
        scaled, angle = x / (1 + sigma[:, None]), torch.atan2(x[:, 1], x[:, 0])[:, None]
        turns = torch.cat([f(k * angle) for k in (1, 2, 4) for f in (torch.sin, torch.cos)], 1)
        radius = x.norm(dim=1, keepdim=True)
        maps = torch.cat([scaled, turns, sigma[:, None].log(), radius, (radius - 2) / sigma[:, None].clamp(min=0.3)], 1)
        return net([maps[..., None, None]], torch.zeros(len(x), 1, 1))

    for _ in range(steps):
        real, fake = noised(teacher, 512), noised(student, 512)
        loss = discriminator_loss(logits(*real[:2]), logits(*fake[:2]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    ratio = RatioEstimator(RatioSpec(bins=4, ema=0.0))
    with torch.no_grad():
        real, fake = noised(teacher, 16000), noised(student, 16000)
        _feed(ratio, logits(*fake[:2]), logits(*real[:2]), fake[2])
        exact = teacher.log_density(*fake[:2]) - student.log_density(*fake[:2])
        correlation = torch.corrcoef(torch.stack([logits(*fake[:2]), exact]))[0, 1]
    # Bounds of the notes for bins of at least 2000 samples; these hold 4000.
    assert float((ratio.mean_ratio() - 1).abs().max()) <= 0.05
    assert float((ratio.mean_inverse_ratio() - 1).abs().max()) <= 0.08
    assert float(correlation) >= 0.9


def test_the_state_is_whole_after_saving_and_loading() -> None:
    ratio, other = _exact(0.4), RatioEstimator(RatioSpec(bins=1, ema=0.0))
    other.load_state_dict(ratio.state_dict())
    assert other.table() == ratio.table()


def test_a_logit_that_is_not_finite_counts_nowhere_and_is_forgotten() -> None:
    ratio, clean = RatioEstimator(RatioSpec(bins=2)), RatioEstimator(RatioSpec(bins=2))
    generator = torch.Generator().manual_seed(2)
    fake, real = (_gaussian_logits(0.5, 64, generator, real=flag) for flag in (False, True))
    level = torch.rand(64, generator=generator)
    sick = fake.clone()
    sick[3] = torch.nan
    _feed(ratio, sick, real, level)
    kept = torch.arange(64) != 3
    clean.collect_fake(fake[kept], level[kept])
    clean.collect_real(real, level)
    clean.commit_critic()
    torch.testing.assert_close(ratio.mean_ratio(), clean.mean_ratio(), rtol=0, atol=0)
    assert bool(ratio.mean_ratio().isfinite().all())
