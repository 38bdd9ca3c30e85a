"""What a training job's YAML says. One class a kind; `kind` tells them apart."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSpec(Frozen):
    """Where the pictures are; `held_out_share` of the near-duplicate groups is never trained on."""

    path: Path
    held_out_share: float = Field(0.12, gt=0, lt=0.5)


class OptimSpec(Frozen):
    """AdamW with linear warm-up and cosine decay to zero; `ema` is the decay of the averaged weights."""

    lr: float = Field(gt=0)
    batch: int = Field(ge=1)
    steps: int = Field(ge=1)
    warmup: int = Field(100, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)


class _Training(Frozen):
    """Keys of every kind. `data_licence` is what the pictures are under, for the lineage of what is trained: without it
    the licence counts as unknown, which commercial work is refused for."""

    version: Literal[1]
    name: str
    out: Path
    data: DataSpec
    data_licence: str = ""
    optim: OptimSpec
    seed: int = 0
    threads: int = Field(2, ge=1)
    checkpoint_every: int = Field(200, ge=1)


class ClipTraining(_Training):
    """A tiny open_clip model: contrastive with captions, and classification against caption anchors."""

    kind: Literal["clip"]
    image_size: int = Field(128, ge=32)
    embed_dim: int = 128
    vision_layers: tuple[int, int, int, int] = (1, 1, 2, 1)
    vision_width: int = 20
    text_width: int = 128
    text_layers: int = 4
    context_length: int = 32
    merges: int = 2000


class AutoencoderTraining(_Training):
    """A patch autoencoder: principal components of `patch` x `patch` blocks, and a refiner trained on crops.

    `latent_noise` is the largest deviation of the noise added to the latents: what a student makes is never exact.
    The adversarial term (a patch discriminator's hinge loss and its features) starts after `adversarial_start` of the
    steps. `init` is an earlier training's folder: its linear part is kept, its refiner goes on. `samples` is the
    `pairs.safetensors` of a distillation, latents that the teacher made: decoded, they must look like photos to the
    discriminator too, because what a network makes is never quite what the encoder gives.
    """

    kind: Literal["autoencoder"]
    patch: int = Field(8, ge=4, multiple_of=4)
    latent_channels: int = Field(12, ge=1)
    width: int = Field(96, ge=8)
    blocks: int = Field(4, ge=0)
    context_blocks: int = Field(2, ge=0)
    latent_noise: float = Field(0.25, ge=0)
    crop: int = 64
    init: Path | None = None
    samples: Path | None = None
    perceptual: Path | None = None
    perceptual_weight: float = Field(1.0, ge=0)
    adversarial_weight: float = Field(0.05, ge=0)
    adversarial_start: float = Field(0.3, ge=0, le=1)


class TeacherTraining(_Training):
    """A text-conditioned latent UNet with v-prediction, trained on the autoencoder's latents.

    A row is drawn in proportion to (pictures of its garment) ** -balance, and `mixed_colour_weight` times as often
    where its colour covers less than 60 % of the garment. `text_in_time` adds the pooled text to the time embedding.
    """

    kind: Literal["teacher"]
    clip: Path
    autoencoder: Path
    channels: tuple[int, ...] = (64, 128, 144)
    cross_attention: tuple[bool, ...] = (False, True, False)
    layers_per_block: int = 1
    heads: int = 4
    text_in_time: bool = True
    balance: float = Field(0.5, ge=0, le=1)
    mixed_colour_weight: float = Field(0.5, gt=0, le=1)
    augmentations: int = Field(6, ge=1)
    caption_dropout: float = Field(0.1, ge=0, lt=1)


class PixelTeacherTraining(_Training):
    """A class-conditional UNet on pixels with EDM's preconditioning (Karras et al. 2022); classes are the captions.

    Blocks of `patch` x `patch` pixels are channels. Noise levels are log-normal, ln sigma ~ N(`p_mean`, `p_std`^2);
    `sigma_data` is the deviation of the pixels in [-1, 1]. With `caption_dropout` the empty caption is a class too,
    which guidance needs.
    """

    kind: Literal["pixel_teacher"]
    grey: bool = False
    patch: int = Field(1, ge=1, le=8)
    channels: tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...] = Field((32, 64, 64), min_length=1)
    layers_per_block: int = Field(1, ge=1)
    sigma_data: float = Field(0.5, gt=0)
    p_mean: float = -1.2
    p_std: float = Field(1.2, gt=0)
    caption_dropout: float = Field(0.0, ge=0, lt=1)


class StockDecoderTraining(_Training):
    """A diffusers AutoencoderTiny for the latents of a student whose own autoencoder is no class of diffusers.

    Its encoder is the student's own in closed form. Its decoder learns to draw what the student's own draws: of windows
    of `crop` px of the pictures, and of `draws` latents that the student makes, an eighth of which is kept for
    measuring. `latent_noise` is the largest deviation of the noise added to the pictures' latents; `picture_weight`
    weighs the distance to the pictures themselves beside that to the student's decoder. `width` is of every resolution,
    as the class demands; `blocks` are counted from the latents' resolution up to the pixels'.
    """

    kind: Literal["stock_decoder"]
    student: str
    draws: int = Field(2048, ge=16)
    width: int = Field(48, ge=4)
    blocks: tuple[int, ...] = (6, 4, 0, 0)
    crop: int = Field(64, ge=8)
    latent_noise: float = Field(0.1, ge=0)
    picture_weight: float = Field(0.25, ge=0)
    perceptual: Path | None = None
    perceptual_weight: float = Field(0.5, ge=0)


class _TwinsOptim(OptimSpec):
    """A batch holds a clean picture and a spoiled one at least."""

    batch: int = Field(ge=2)


class ArtifactHeadTraining(_Training):
    """A small network that points at local artifacts, trained on planted ones.

    Half of the pictures are photos, half are of `draws` that the student makes. `spoiled_share` of a batch gets an
    artifact of one of the corruptions `seen`, of `area` (smallest and largest share of the picture); one named twice is
    drawn twice as often. Those `unseen` are only measured with. All must be local ones. `blemish_share` of the
    artifacts are of no named kind instead: a part that is `foreign` (another picture's), `noisy` or `tinted`.
    `worn_share` of the pictures are softened, noised or compressed all over before, `collage_share` are made of small
    ones side by side, as crowded as scenes are. The pictures of a batch have one
    side, from `smallest` px to their own.
    """

    kind: Literal["artifact_head"]
    optim: _TwinsOptim
    student: str
    draws: int = Field(4096, ge=16)
    width: int = Field(32, ge=8)
    seen: tuple[str, ...] = ("cut_paste", "duplicated_part", "warp")
    unseen: tuple[str, ...] = ("missing_part", "smear", "swirl")
    blemishes: tuple[Literal["foreign", "noisy", "tinted"], ...] = ("foreign", "noisy", "tinted")
    blemish_share: float = Field(0.3, ge=0, le=1)
    worn_share: float = Field(0.5, ge=0, le=1)
    collage_share: float = Field(0.0, ge=0, le=1)
    spoiled_share: float = Field(0.5, gt=0, lt=1)
    area: tuple[float, float] = (0.01, 0.12)
    smallest: int = Field(96, ge=16, multiple_of=8)

    @field_validator("area")
    @classmethod
    def _rising(cls, area: tuple[float, float]) -> tuple[float, float]:
        if not 0 < area[0] <= area[1] < 1:
            cure = "the smallest share first, both above 0 and below 1"
            raise ValueError(f"must rise within 0..1 (got {area[0]:g}, {area[1]:g}). Cure: {cure}")
        return area


class ClassifierTraining(_Training):
    """The image tower of a CLIP, tuned to tell which of an image set's products and colours a picture shows."""

    kind: Literal["classifier"]
    clip: str
    fields: Annotated[tuple[Literal["product", "colour"], ...], Field(min_length=1)] = ("product", "colour")


Training: TypeAlias = (
    ClipTraining
    | AutoencoderTraining
    | TeacherTraining
    | PixelTeacherTraining
    | StockDecoderTraining
    | ArtifactHeadTraining
    | ClassifierTraining
)

TrainSpec = Annotated[Training, Field(discriminator="kind")]
