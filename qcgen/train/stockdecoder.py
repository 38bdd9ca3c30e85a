"""A stock autoencoder for a student's latents: the encoder in closed form, the decoder distilled from the student's."""

from pathlib import Path
from typing import cast

import torch
from diffusers import AutoencoderTiny
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.errors import SpecError
from qcgen.core.trainspec import StockDecoderTraining
from qcgen.data.augment import cut, windows
from qcgen.data.imageset import ImageSet
from qcgen.models.autoencoder import PatchAutoencoder
from qcgen.models.codec import LatentCodec, load_vae
from qcgen.models.embedded import load_student
from qcgen.models.families.sd15 import Sd15Student
from qcgen.models.find import resolve_model
from qcgen.train.autoencoder import pixels
from qcgen.train.perceptual import early_features, edge_distance, feature_distance

_KEPT_SHARE = 8
"""One draw in this many is never trained on."""


class StockDecoderTask:
    """Loss: L1 to what the student's own decoder draws, on pixels and their differences, and features of our own CLIP's
    early layers; half of a batch are the student's latents, half encoded windows of pictures."""

    def __init__(self, spec: StockDecoderTraining, data: ImageSet) -> None:
        self.spec, self.data = spec, data
        student = _load(spec)
        assert isinstance(student.vae, PatchAutoencoder)
        self.own = LatentCodec(student.vae)
        self.patch = int(student.vae.config.patch)
        _check(spec, self.patch, data)
        self.rows = torch.from_numpy(data.rows(held_out=False))
        drawn = _draw(student, data.captions, spec)
        self.kept, self.draws = drawn.split([len(drawn) // _KEPT_SHARE, len(drawn) - len(drawn) // _KEPT_SHARE])
        torch.manual_seed(spec.seed)
        self.stock = stock_autoencoder(student.vae, width=spec.width, blocks=spec.blocks)
        self.module: nn.Module = self.stock.decoder.to(memory_format=torch.channels_last)
        self.features = early_features(spec.perceptual) if spec.perceptual else None

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        half = (self.spec.optim.batch + 1) // 2
        rows = self.rows[torch.randint(len(self.rows), (half,), generator=generator)]
        x_0 = pixels(windows(self.data.images[rows], self.spec.crop, generator))
        latents = self.own.encode(x_0)
        noise = self.spec.latent_noise * torch.rand((half, 1, 1, 1), generator=generator)
        shaken = latents + noise * torch.randn(latents.shape, generator=generator)
        given = torch.cat([shaken, self._cut_draws(self.spec.optim.batch - half, generator)])
        with torch.autocast("cpu", torch.bfloat16):
            wanted = self.own.decode(given).float() * 2 - 1
            decoded = self.module(given)
        decoded = decoded.float()
        pixel = (decoded - wanted).abs().mean()
        edge = edge_distance(decoded, wanted)
        picture = (decoded[:half] - x_0).abs().mean()
        total = pixel + edge / 2 + self.spec.picture_weight * picture
        numbers = {"pixel": pixel.item(), "edge": edge.item(), "picture": picture.item()}
        if self.features is not None:
            percept = feature_distance(self.features, decoded, wanted)
            total = total + self.spec.perceptual_weight * percept
            numbers["perceptual"] = percept.item()
        return total, numbers

    def _cut_draws(self, count: int, generator: torch.Generator) -> Tensor:
        """Windows of the student's latents, as large as those of the pictures."""
        rows = torch.randint(len(self.draws), (count,), generator=generator)
        return cut(self.draws[rows], self.spec.crop // self.patch, generator)

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]:
        self.stock.decoder.load_state_dict(averaged.state_dict())
        place = folder / "vae"
        self.stock.half().save_pretrained(place)
        # As others will load it: the weights rounded to half precision, calculated in float32.
        return measure(self.own, LatentCodec(load_vae(place, "cpu")), _held_out(self.data), self.kept)


def stock_autoencoder(vae: PatchAutoencoder, *, width: int, blocks: tuple[int, ...]) -> AutoencoderTiny:
    """An AutoencoderTiny with the latents of `vae`, whose decoder is not trained yet.

    Its encoder has no blocks and therefore no activations: each strided convolution moves 2 x 2 pixels into channels,
    and the last one is the linear part of `vae`. So `encode` gives the same latents, up to float32's rounding.

    Args:
        blocks: of the decoder, one entry a resolution from the latents up; one more than the doublings of `vae`.
    """
    patch, channels = int(vae.config.patch), int(vae.config.latent_channels)
    depth = patch.bit_length()
    # What the last strided convolution sees: a quarter of a block's pixels.
    wide = max(3 * (patch // 2) ** 2, channels)
    stock = AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=(wide,) * depth,
        num_encoder_blocks=(0,) * depth,
        decoder_block_out_channels=(width,) * depth,
        num_decoder_blocks=blocks,
    )
    _set_encoder(stock.encoder.requires_grad_(False), vae)
    return stock


@torch.no_grad()
def _set_encoder(encoder: nn.Module, vae: PatchAutoencoder) -> None:
    for parameter in encoder.parameters():
        parameter.zero_()
    first, *strided, last = cast(list[nn.Conv2d], list(cast(nn.Sequential, encoder.layers)))
    linear = vae.analysis.state_dict()
    kernel, bias = (linear[name].float() * vae.config.scaling_factor for name in ("weight", "bias"))
    # The class brings pictures to [0, 1] first; this brings them back to [-1, 1].
    _pass_on(first, gain=2, bias=-torch.ones(3))
    for layer in strided[:-1]:
        for row in range(4 * kernel.shape[1]):
            layer.weight[row, row // 4, 1 + row // 2 % 2, 1 + row % 2] = 1
        kernel = F.pixel_unshuffle(kernel, 2)
    count, seen = kernel.shape[:2]
    strided[-1].weight[:count, :seen, 1:, 1:] = kernel
    _pass_on(last, gain=1, bias=bias)


def _pass_on(layer: nn.Conv2d, *, gain: int, bias: Float[Tensor, " c"]) -> None:
    """Each of the first channels to itself."""
    assert layer.bias is not None
    for channel in range(len(bias)):
        layer.weight[channel, channel, 1, 1] = gain
    layer.bias[: len(bias)] = bias


def measure(
    own: LatentCodec, stock: LatentCodec, images: Tensor, latents: Float[Tensor, "n c h w"]
) -> dict[str, object]:
    """PSNR, mean over pictures, dB: of either decoder against pictures, and of one against the other.

    Args:
        images: uint8 pictures that neither was trained on.
        latents: a student's latents that neither was trained on.
    """
    rows: dict[str, list[Tensor]] = {"own": [], "stock": [], "agree": [], "drawn": []}
    apart = 0.0
    for part in images.split(32):
        x_0 = pixels(part)
        coded = own.encode(x_0)
        apart = max(apart, float((stock.encode(x_0) - coded).abs().max()))
        mine, other, real = own.decode(coded), stock.decode(coded), x_0 / 2 + 0.5
        for name, pair in {"own": (mine, real), "stock": (other, real), "agree": (other, mine)}.items():
            rows[name].append(_psnr(*pair))
    for part in latents.split(32):
        rows["drawn"].append(_psnr(stock.decode(part), own.decode(part)))
    own_db, stock_db, agree_db, drawn_db = (float(torch.cat(found).mean()) for found in rows.values())
    return {
        "held_out_photos": {
            "n": len(images),
            "own_db": own_db,
            "stock_db": stock_db,
            "agreement_db": agree_db,
            "latents_apart": apart,
        },
        "student_latents": {"n": len(latents), "agreement_db": drawn_db},
    }


def _psnr(one: Float[Tensor, "b 3 h w"], other: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    error = (one.clamp(0, 1) - other.clamp(0, 1)).square().mean((1, 2, 3))
    return -10 * error.clamp(min=1e-12).log10()


def _held_out(data: ImageSet) -> Tensor:
    return data.images[torch.from_numpy(data.rows(held_out=True))]


def _load(spec: StockDecoderTraining) -> Sd15Student:
    ref = resolve_model(spec.student)
    student = load_student(ref, dtype="float32")
    if not isinstance(student, Sd15Student) or not isinstance(student.vae, PatchAutoencoder):
        named = type(getattr(student, "vae", student)).__name__
        raise SpecError(
            f"student: must be of the SD 1.x shape and decode with PatchAutoencoder (got {ref.name}, {named}). "
            "Cure: `qcgen models export` writes students with stock decoders as they are."
        )
    return student


def _check(spec: StockDecoderTraining, patch: int, data: ImageSet) -> None:
    problems = []
    depth, side_px = patch.bit_length(), data.images.shape[-1]
    if patch & (patch - 1):
        problems.append(
            f"student: must have latents that doublings reach, a patch of 4, 8, 16, ... px (got {patch}). "
            "Cure: another autoencoder."
        )
    if len(spec.blocks) != depth:
        problems.append(
            f"blocks: must have {depth} entries, one a resolution (got {len(spec.blocks)}). "
            f"Cure: {[6, 4, *[0] * (depth - 2)][:depth]}."
        )
    if spec.crop % patch or spec.crop > side_px:
        problems.append(
            f"crop: must be a multiple of the latents' {patch} px and at most {side_px} (got {spec.crop}). "
            f"Cure: {min(spec.crop, side_px) // patch * patch or patch}."
        )
    if problems:
        raise SpecError(problems)


@torch.no_grad()
def _draw(student: Sd15Student, captions: tuple[str, ...], spec: StockDecoderTraining) -> Float[Tensor, "n c h w"]:
    """Latents that the student makes of random captions."""
    generator = torch.Generator().manual_seed(spec.seed)
    names = sorted(set(captions))
    cond = student.embed(names)
    place = torch.tensor([names.index(caption) for caption in captions])
    drawn = []
    for count in torch.arange(spec.draws).split(64):
        caption = place[torch.randint(len(place), (len(count),), generator=generator)]
        noise = torch.randn((len(count), *student.latent_shape), generator=generator)
        drawn.append(student.generate(noise, cond[caption]))
    return torch.cat(drawn)
