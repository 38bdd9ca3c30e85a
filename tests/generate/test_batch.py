"""Batches: shapes, padding, memory ladder, finite check."""

from collections.abc import Iterator

import pytest
import torch

from qcgen.core.errors import PrerequisiteError
from qcgen.core.types import Item
from qcgen.generate.batch import Generator, quantise
from qcgen.models.families.toy import ToyStudent

TOY = ToyStudent.reference("toy:32")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """With more, each takes a part of the batch, and the student sees the parts (`test_spread`)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_items(count: int, *, prompts: int = 5) -> list[Item]:
    return [
        Item(i, f"{i:032x}", f"sku{i}", f"a photo of a teal thing {i % prompts}", {}, seed=1000 + 7 * i, size_px=32)
        for i in range(count)
    ]


def make_all(generator: Generator, items: list[Item]) -> torch.Tensor:
    return torch.cat([made.images for made in generator.make(items)])


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_pictures_are_the_same_for_every_batch_size(batch_size: int, exact: bool) -> None:
    items = make_items(19)
    alone = torch.cat([make_all(Generator(ToyStudent(TOY), batch_size=1), [item]) for item in items])
    together = make_all(Generator(ToyStudent(TOY), batch_size=batch_size, exact=exact), items)
    # One level: torch does not promise bit equality between batched and single convolutions (noise bits are equal).
    assert (alone.int() - together.int()).abs().max() <= 1


def test_exact_mode_uses_one_batch_shape() -> None:
    student = ToyStudent(TOY)
    make_all(Generator(student, batch_size=8, exact=True), make_items(19))
    assert student.calls == [8, 8, 8]


def test_exact_mode_on_two_threads_uses_one_shape_of_parts() -> None:
    torch.set_num_threads(2)
    student = ToyStudent(TOY)
    make_all(Generator(student, batch_size=8, exact=True), make_items(19))
    assert student.calls == [2] * 12


def test_last_batch_is_padded_to_a_rung_of_the_ladder() -> None:
    student = ToyStudent(TOY)
    images = make_all(Generator(student, batch_size=16), make_items(16 + 3))
    assert student.calls == [16, 4]
    assert len(images) == 19


def test_full_memory_goes_down_the_ladder_and_is_remembered() -> None:
    items = make_items(40)
    student = ToyStudent(TOY, memory=6)
    generator = Generator(student, batch_size=32)
    images = make_all(generator, items)
    assert set(student.calls) == {4}
    # One level: see above.
    assert (images.int() - make_all(Generator(ToyStudent(TOY), batch_size=32), items).int()).abs().max() <= 1


def test_each_smaller_batch_is_told_once() -> None:
    told: list[tuple[str, int, int]] = []
    generator = Generator(
        ToyStudent(TOY, memory=6), batch_size=16, lowered=lambda stage, failed, cap: told.append((stage, failed, cap))
    )
    make_all(generator, make_items(40))
    steps = [(16, 8), (8, 4)]
    assert told == [(stage, *step) for stage in ("generate", "decode") for step in steps]


def test_memory_for_not_even_one_picture_is_named_with_a_cure() -> None:
    with pytest.raises(PrerequisiteError, match="one picture does not fit at generate"):
        make_all(Generator(ToyStudent(TOY, memory=0), batch_size=4), make_items(4))


def test_exact_mode_refuses_the_ladder() -> None:
    with pytest.raises(PrerequisiteError, match=r"engine\.exact"):
        make_all(Generator(ToyStudent(TOY, memory=4), batch_size=8, exact=True), make_items(8))


def test_each_distinct_prompt_is_embedded_once() -> None:
    student = CountingStudent()
    make_all(Generator(student, batch_size=4), make_items(20, prompts=3))
    assert sorted(student.embedded) == sorted(set(student.embedded))
    assert len(student.embedded) == 3


class CountingStudent(ToyStudent):
    """A toy that remembers which prompts went through its text tower."""

    def __init__(self) -> None:
        super().__init__(TOY)
        self.embedded: list[str] = []

    def embed(self, prompts):  # type: ignore[no-untyped-def]
        self.embedded.extend(prompts)
        return super().embed(prompts)


def test_planted_nan_is_reported_and_its_neighbours_are_untouched() -> None:
    items = make_items(6)
    clean = make_all(Generator(ToyStudent(TOY), batch_size=6), items)
    (made,) = Generator(ToyStudent(TOY, faults={items[2].seed: "always"}), batch_size=6).make(items)
    assert made.finite == (True, True, False, True, True, True)
    assert torch.equal(made.images[[0, 1, 3, 4, 5]], clean[[0, 1, 3, 4, 5]])


def test_half_precision_fault_heals_in_float32() -> None:
    items = make_items(2)
    faults = {items[1].seed: "half"}
    (half,) = Generator(ToyStudent(TOY, dtype=torch.bfloat16, faults=faults), batch_size=2).make(items)
    (full,) = Generator(ToyStudent(TOY, faults=faults), batch_size=2).make(items)
    assert (half.finite, full.finite) == ((True, False), (True, True))


def test_quantise_rounds_clamps_and_finds_infinity() -> None:
    pixels = torch.tensor([0.0, 0.5, 1.0, -3.0, 7.0, 0.0021]).reshape(1, 1, 2, 3).expand(1, 3, 2, 3)
    codes, finite = quantise(torch.cat([pixels, torch.full_like(pixels, torch.inf)]))
    assert codes[0, 0].flatten().tolist() == [0, 128, 255, 0, 255, 1]
    assert finite == (True, False)
