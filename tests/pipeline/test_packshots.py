"""Cutting products out of plain photos, on drawn pictures whose truth is known."""

import torch
from torch import Tensor

from qcgen.pipeline.packshots import packshots, set_on_white
from qcgen.pipeline.qcdomains import Picture, Pictures

GROUND = (190, 200, 205)


def picture(*, top: int = 24, left: int = 32, ground: tuple[int, int, int] = GROUND) -> Tensor:
    image = torch.tensor(ground, dtype=torch.uint8)[:, None, None].repeat(1, 96, 96)
    image[:, top : top + 40, left : left + 30] = torch.tensor([120, 30, 40], dtype=torch.uint8)[:, None, None]
    return image


def test_the_product_keeps_its_pixels_and_the_ground_turns_white() -> None:
    cut = set_on_white(picture())
    assert cut is not None
    assert torch.equal(cut[:, 28:60, 36:58], picture()[:, 28:60, 36:58])
    assert (cut[:, :20] == 255).all()
    assert (cut[:, :, :28] == 255).all()


def test_a_product_that_the_frame_cuts_off_is_left_out() -> None:
    assert set_on_white(picture(top=60)) is None


def test_a_scene_is_left_out() -> None:
    scene = picture()
    scene[:, :, :48] = torch.randint(0, 255, (3, 96, 48), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert set_on_white(scene) is None


def test_too_few_products_make_no_domain_and_enough_name_their_sources() -> None:
    few = Pictures("shop", "", tuple(Picture(f"{i}", picture(left=20 + i % 20)) for i in range(19)))
    assert packshots([few]) is None
    more = Pictures("other", "", (Picture("x", picture(), prompt="a shoe", fields={"product": "shoe"}),))
    made = packshots([few, more])
    assert made is not None
    assert made.packshots
    assert {one.group for one in made.pictures} == {"shop", "other"}
    assert all(one.prompt == "" and not one.fields for one in made.pictures)
    assert len({one.key for one in made.pictures}) == 20
