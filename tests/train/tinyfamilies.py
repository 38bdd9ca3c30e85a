"""A tiny folder of every family with random weights and diffusers' own classes, for pictures of 32 px."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import (
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    UNet2DModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from qcgen.models.families.toy import Mixture
from qcgen.models.find import ASSETS
from tests.distill.stockstudent import CHANNELS, declare, stock_teacher, stock_vae, tiny_unet

SIDE = 32
CAPTIONS = tuple(
    f"a photo of a {colour} {product}" for colour in ("red", "blue", "green") for product in ("dress", "hat")
)
_PHOTOS = ({"relation": "trained_on", "parent": "photos", "licence": "CC0-1.0"},)
_WIDTH, _POOLED = 16, 20


def sd15(root: Path) -> None:
    stock_teacher(root)


def sdxl(root: Path) -> None:
    _towers(root, first=CLIPTextModel)
    tiny_unet(
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + _POOLED,
        cross_attention_dim=2 * _WIDTH,
        use_linear_projection=True,
    ).save_pretrained(root / "unet")
    stock_vae(root / "vae", scaling_factor=0.5)
    EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    ).save_pretrained(root / "scheduler")


def sd3(root: Path) -> None:
    _towers(root, first=CLIPTextModelWithProjection)
    torch.manual_seed(5)
    SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        num_layers=4,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=40,
        caption_projection_dim=16,
        pooled_projection_dim=2 * _POOLED,
        pos_embed_max_size=8,
    ).save_pretrained(root / "transformer")
    stock_vae(root / "vae", scaling_factor=1.5, shift_factor=0.1)
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(root / "scheduler")


def edm(root: Path) -> None:
    torch.manual_seed(6)
    UNet2DModel(
        sample_size=SIDE,
        block_out_channels=(16, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=4,
        num_class_embeds=len(CAPTIONS) + 1,
    ).save_pretrained(root / "unet")
    names = ("", *CAPTIONS)
    (root / "model_index.json").write_text(json.dumps({"id2label": {str(i): name for i, name in enumerate(names)}}))
    EDMEulerScheduler().save_pretrained(root / "scheduler")


def toy(root: Path) -> None:
    means = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(7)) * 2 - 1
    Mixture(means, torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1]), deviation=0.2).save(root / "mixture")
    EDMEulerScheduler().save_pretrained(root / "scheduler")


FAMILIES: dict[str, Callable[[Path], None]] = {"edm": edm, "sd15": sd15, "sd3": sd3, "sdxl": sdxl, "toy": toy}


def tiny_family(name: str, root: Path) -> Path:
    """A complete folder with a card."""
    root.mkdir(parents=True)
    FAMILIES[name](root)
    declare(root, kind="teacher", licence="Apache-2.0", lineage=_PHOTOS)
    return root


def _towers(root: Path, *, first: type) -> None:
    words = len(json.loads((ASSETS / "apparel" / "tokenizer" / "vocab.json").read_text()))
    for part, kind in (("", first), ("_2", CLIPTextModelWithProjection)):
        config = CLIPTextConfig(
            vocab_size=words,
            hidden_size=_WIDTH,
            intermediate_size=2 * _WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=32,
            projection_dim=_POOLED,
            pad_token_id=0,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
        )
        torch.manual_seed(8)
        kind(config).save_pretrained(root / f"text_encoder{part}")
        shutil.copytree(ASSETS / "apparel" / "tokenizer", root / f"tokenizer{part}")
