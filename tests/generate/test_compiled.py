"""A compiled student draws what the eager one draws, with one graph however many rows the last batch has."""

import shutil
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from qcgen.core.types import Item
from qcgen.generate.batch import Generator, auto_batch
from qcgen.models.compiled import wanted
from qcgen.models.embedded import load_student
from qcgen.models.find import resolve_model
from tests.distill.stockstudent import stock_student

# What torch's own compiler does on its way: it imports what torch deprecates, and looks at every tensor's gradient.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


def _items(count: int) -> list[Item]:
    return [
        Item(i, f"{i:032x}", f"sku{i}", f"a photo of a red dress {i % 2}", {}, seed=1000 + i, size_px=32)
        for i in range(count)
    ]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
def test_whole_batches_are_compiled_once_and_the_rest_runs_eagerly(tmp_path: Path) -> None:
    ref = resolve_model(str(stock_student(tmp_path / "student")))
    eager = load_student(ref, dtype="float32")
    compiled = load_student(ref, dtype="float32", compile_for=4)
    items = _items(11)
    wholes = torch.cat([made.images for made in Generator(eager, batch_size=4).make(items)])
    counters.clear()
    graphs, drawn = [], []
    for made in Generator(compiled, batch_size=4, spread=False).make(items):
        drawn.append(made.images)
        graphs.append(counters["stats"]["unique_graphs"])
    assert [len(images) for images in drawn] == [4, 4, 3]
    # Network and decoder; nothing for the second batch, nothing for the last three pictures.
    assert graphs[0] >= 2
    assert graphs == graphs[:1] * 3
    # Sums in another order: a pixel on the border of two levels may fall to the other side.
    assert int((torch.cat(drawn).int() - wholes.int()).abs().max()) <= 1


def test_a_batch_can_be_made_small_enough_to_be_eager_with_the_very_same_numbers(tmp_path: Path) -> None:
    ref = resolve_model(str(stock_student(tmp_path / "student")))
    eager, compiled = load_student(ref, dtype="float32"), load_student(ref, dtype="float32", compile_for=8)
    noise = torch.randn(3, *eager.latent_shape, generator=torch.Generator().manual_seed(0))
    cond = eager.embed(["a hat", "a dress", "a coat"])
    latents = eager.generate(noise, cond)
    assert torch.equal(compiled.generate(noise, cond), latents)
    assert torch.equal(compiled.decode(latents), eager.decode(latents))


@pytest.mark.parametrize(
    ("mode", "device", "compiles"),
    [("auto", "cpu", False), ("auto", "cuda", True), ("on", "cpu", True), ("off", "cuda", False)],
)
def test_auto_compiles_on_cuda_only(mode: str, device: str, compiles: bool) -> None:
    assert wanted(mode, device) is compiles  # type: ignore[arg-type]


def test_the_batch_to_compile_for_is_the_one_that_a_run_makes() -> None:
    assert [auto_batch(side, "cpu") for side in (32, 128, 512)] == [64, 64, 4]
    assert auto_batch(1024, "cuda") == 64
