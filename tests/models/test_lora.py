"""Adapters: they start as the base, hold it once, and merge into what they were."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from qcgen.core.errors import SpecError
from qcgen.models.lora import TARGETS, LowRank, SharedAverage, adapt, load_trained, merged, share, trained
from tests.distill.stockstudent import TEXT, tiny_unet

CONV = ("to_q", "to_out.0", "conv1", "conv_shortcut", "downsamplers.0.conv")


def adapted(base: UNet2DConditionModel, targets: tuple[str, ...] = TARGETS) -> UNet2DConditionModel:
    network = share(base)
    adapt(network, rank=3, alpha=6.0, targets=targets)
    return network


def stirred(network: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trained(network).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return network


def run(network: nn.Module) -> torch.Tensor:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    cond = torch.randn(2, 5, TEXT, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        output: torch.Tensor = network(x, torch.tensor([10, 500]), cond).sample
    return output


def places(network: nn.Module) -> set[int]:
    return {tensor.data_ptr() for tensor in network.parameters()}


@pytest.mark.parametrize("targets", [TARGETS, CONV])
def test_an_adapted_network_starts_as_its_base_and_merges_into_what_it_became(targets: tuple[str, ...]) -> None:
    base = tiny_unet().eval()
    network = adapted(base, targets)
    torch.testing.assert_close(run(network), run(base), rtol=0, atol=0)
    stirred(network, 3)
    drawn = run(network)
    assert not torch.allclose(drawn, run(base), atol=1e-2)
    whole = merged(network)
    assert not any(isinstance(module, LowRank) for module in whole.modules())
    assert whole.state_dict().keys() == base.state_dict().keys()
    # One product instead of two: float32 sums in another order.
    torch.testing.assert_close(run(whole), drawn, rtol=1e-4, atol=1e-5)
    assert places(whole).isdisjoint(places(base))
    assert merged(base) is base


def test_the_base_is_held_once_and_only_adapters_learn() -> None:
    base = tiny_unet().eval()
    student, fake = adapted(base), adapted(base)
    average = SharedAverage(student, 0.9)
    networks = (student, fake, average.module)
    for network in networks:
        frozen = {p.data_ptr() for p in network.parameters() if not p.requires_grad}
        assert frozen == places(base)
    own = [{p.data_ptr() for p in trained(network).values()} for network in networks]
    assert not own[0] & own[1]
    assert not own[0] & own[2]
    assert not places(base) & (own[0] | own[1] | own[2])
    everything = set().union(*(places(network) for network in (base, *networks)))
    assert len(everything) == len(places(base)) + sum(len(one) for one in own)


def test_the_average_of_adapters_is_an_exponential_one_from_the_first_on() -> None:
    base = tiny_unet().eval()
    student = adapted(base)
    mine = SharedAverage(student, 0.9)
    kept = None
    for seed in range(4):
        stirred(student, seed)
        mine.update_parameters(student)
        now = [p.detach().clone() for p in trained(student).values()]
        kept = now if kept is None else [0.9 * old + 0.1 * new for old, new in zip(kept, now, strict=True)]
    assert kept is not None
    for one, other in zip(trained(mine.module).values(), kept, strict=True):
        torch.testing.assert_close(one, other)
    again = SharedAverage(adapted(base), 0.9)
    again.load_state_dict(mine.state_dict())
    torch.testing.assert_close(run(again.module), run(mine.module), rtol=0, atol=0)
    assert again.count == 4


def test_targets_that_no_layer_has_and_foreign_adapters_are_refused() -> None:
    network = tiny_unet()
    with pytest.raises(SpecError, match=r"optim\.lora\.targets: must be ends .* \(got to_z, .*Cure: some of .*to_q"):
        adapt(network, rank=2, alpha=2.0, targets=("to_q", "to_z"))
    with pytest.raises(SpecError, match="Cure: some of none"):
        adapt(nn.Sequential(nn.SiLU()), rank=2, alpha=2.0, targets=TARGETS)
    with pytest.raises(KeyError, match="adapters differ"):
        load_trained(adapted(network), {"one": torch.zeros(1)})
