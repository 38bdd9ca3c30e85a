"""Compiled blocks: the eager network's numbers, gradients and feature maps, under the same names."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from qcgen.models.compiled import compile_blocks
from qcgen.models.network import Network
from qcgen.models.parts import find_parts
from tests.distill.stockstudent import stock_teacher

# What torch's own compiler does on its way: it imports what torch deprecates, and looks at every tensor's gradient.
pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


def test_compiled_blocks_give_the_eager_numbers_gradients_and_maps(tmp_path: Path) -> None:
    eager = find_parts(stock_teacher(tmp_path)).load_network("cpu")
    assert isinstance(eager, Network)
    compiled = copy.deepcopy(eager)
    assert compile_blocks(compiled.core) == 5
    assert compiled.state_dict().keys() == eager.state_dict().keys()
    generator = torch.Generator().manual_seed(0)
    x_t, cond = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 3, 32, generator=generator)
    t = torch.tensor([100, 700])
    counters.clear()
    made, maps, gradients = [], [], []
    for network in (eager, compiled):
        leaf = x_t.clone().requires_grad_(True)
        mean, seen = network.denoise_with_features(leaf, t, cond)
        (mean.square().mean() + sum(one.square().mean() for one in seen)).backward()
        made.append(mean.detach())
        maps.append([one.detach() for one in seen])
        gradients.append([leaf.grad, *(one.grad for one in network.parameters())])
    assert counters["stats"]["unique_graphs"] >= 5
    # Sums in another order, in float32.
    torch.testing.assert_close(made[1], made[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps[1], maps[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)
    # A call that ends at the last map goes through the same graphs.
    graphs = counters["stats"]["unique_graphs"]
    again = network.features(x_t.requires_grad_(True), t, cond)
    torch.testing.assert_close([one.detach() for one in again], maps[0], rtol=1e-4, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == graphs
