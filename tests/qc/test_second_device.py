"""Every pixel detector on pictures that lie on another device than the CPU, as they do in a run on CUDA."""

import pytest
import torch

from benchmarks.qc_subjects import draw, vocabulary
from qcgen.qc.protocol import Batch, TileLines
from qcgen.qc.registry import find_detectors
from tests.qc.seconddevice import NAME, Elsewhere, second_device

_NETWORKS = ("colour_class", "diffusion_margin", "garment_class", "local_artifact", "watermark")
"""Their weights are loaded from files straight to the device."""


def _batch(images: torch.Tensor) -> Batch:
    fields = [{"product": "dress", "colour": "black"}] * len(images)
    prompts = ["a photo of a black dress"] * len(images)
    return Batch(images, prompts, fields, vocabulary=vocabulary(), tile_lines=TileLines.every(64, 128, 128))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.stack([one.image for one in draw(range(4))])


def test_what_mixes_devices_fails() -> None:
    with second_device():
        there = torch.arange(4.0, device=NAME)
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(4)
        assert (there + torch.ones(4).to(NAME)).cpu().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", sorted(set(find_detectors()) - set(_NETWORKS)))
def test_a_detector_says_of_pictures_elsewhere_what_it_says_here(name: str, images: torch.Tensor) -> None:
    detector = find_detectors()[name]
    with torch.inference_mode():
        here = detector.score(_batch(images))
        with second_device():
            there = detector.score(_batch(Elsewhere(images)))
    assert there.values.device.type == "cpu"
    assert torch.equal(there.values, here.values)
    assert there.reasons == here.reasons
