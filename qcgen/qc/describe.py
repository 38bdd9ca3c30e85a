"""Pictures to the columns that set metrics read: a few numbers each, so that a set of any size fits in memory."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.qc.detectors.colour_match import ColourMatch
from qcgen.qc.protocol import Batch, Columns

VERSION = 1
"""Of the columns' meaning: stored columns of another version are made again."""

_TEMPLATE = "a photo of a {}"


def describe(batch: Batch, products: Sequence[str]) -> Columns:
    """Columns of one batch.

    Args:
        batch: with an encoder, and `product` and `colour` in its fields.
        products: the classes of the top-1 test.

    Returns:
        embeddings `b d` and captions `b d` (unit vectors), product_right `b`, colour_right `b 2` (judged, right),
        tone `b 2` (saturation, high-frequency share); float32 on the CPU.
    """
    assert batch.encoder is not None
    assert batch.clip is not None
    texts = batch.encoder.encode_texts([_TEMPLATE.format(name) for name in products])
    asked = torch.tensor([products.index(fields["product"]) for fields in batch.fields])
    nearest = (batch.clip @ texts.T).argmax(1).cpu()
    colours = ColourMatch().score(batch)
    judged = torch.tensor([reason is None for reason in colours.reasons])
    return {
        "embeddings": batch.clip.float().cpu(),
        "captions": batch.encoder.encode_texts(list(batch.prompts)).float().cpu(),
        "product_right": (nearest == asked).float(),
        "colour_right": torch.stack([judged, judged & (colours.values == 0)], dim=1).float(),
        "tone": torch.stack([_saturation(batch.images), _high_frequency(batch.luma)], dim=1).float().cpu(),
    }


def describe_latents(latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 2 c"]:
    """Each channel's mean and mean square over the places of one picture."""
    flat = latents.float().flatten(2)
    return torch.stack([flat.mean(2), flat.square().mean(2)], dim=1).cpu()


def nearest_distance(
    points: Float[Tensor, "n d"], reference: Float[Tensor, "m d"], *, chunk: int = 2048
) -> Float[Tensor, " n"]:
    """Cosine distance of each unit vector to its nearest reference."""
    return torch.cat([1 - (part.double() @ reference.double().T).amax(1) for part in points.split(chunk)])


def _saturation(images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    return (images.amax(1).float() - images.amin(1).float()).mean((1, 2)) / 255


def _high_frequency(luma: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """Share of the variance at more than a quarter cycle a pixel; 0 for a flat picture."""
    height, width = luma.shape[1:]
    power = torch.fft.fft2(luma - luma.mean((1, 2), keepdim=True)).abs().square()
    radius = torch.hypot(
        torch.fft.fftfreq(height, device=luma.device)[:, None], torch.fft.fftfreq(width, device=luma.device)
    )
    total = power.sum((1, 2))
    # A flat picture has only rounding noise: below a thousandth of a code's variance there is nothing to share.
    empty = total < 1e-3 * (height * width) ** 2
    return torch.where(empty, 0.0, (power * (radius > 0.25)).sum((1, 2)) / total.clamp(min=1e-30))
