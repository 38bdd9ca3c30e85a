"""A tiny student of the SD 1.x shape with stock parts alone, as a distillation leaves it."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from qcgen.models.find import ASSETS
from qcgen.models.parts import find_parts

CHANNELS = 4
TEXT = 32
_WORDS = json.loads((ASSETS / "apparel" / "tokenizer" / "vocab.json").read_text())


def stock_vae(folder: Path, *, tiny: bool = False, seed: int = 2, **changes: object) -> Path:
    """A random autoencoder of two doublings."""
    torch.manual_seed(seed)
    wide: dict[str, object] = {"latent_channels": CHANNELS, **changes}
    if tiny:
        widths = {"encoder_block_out_channels": (8, 8, 8), "decoder_block_out_channels": (8, 8, 8)}
        blocks = {"num_encoder_blocks": (1, 1, 1), "num_decoder_blocks": (1, 1, 1)}
        AutoencoderTiny(**{**widths, **blocks, **wide}).save_pretrained(folder)
        return folder
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    size = {"block_out_channels": (8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
    AutoencoderKL(**{**kinds, **size, **wide}).save_pretrained(folder)
    return folder


def text_tower(folder: Path, *, width: int = TEXT) -> None:
    """A random CLIPTextModel with the embedded model's tokenizer, under `folder`."""
    config = CLIPTextConfig(
        vocab_size=len(_WORDS),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=len(_WORDS) - 2,
        eos_token_id=len(_WORDS) - 1,
    )
    torch.manual_seed(4)
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    shutil.copytree(ASSETS / "apparel" / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)


def tiny_unet(**changes: object) -> UNet2DConditionModel:
    torch.manual_seed(3)
    shape: dict[str, object] = {
        "sample_size": 8,
        "in_channels": CHANNELS,
        "out_channels": CHANNELS,
        "block_out_channels": (16, 16),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": TEXT,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**shape, **changes})


def declare(folder: Path, *, kind: str, licence: str | None, lineage: tuple[dict[str, str], ...] = ()) -> None:
    body = {"name": folder.name, "kind": kind, "licence": licence, "lineage": lineage}
    (folder / "qcgen_model.json").write_text(json.dumps(body))


def stock_teacher(root: Path, *, prediction: str = "epsilon") -> Path:
    """A complete folder of the SD 1.x shape."""
    tiny_unet().save_pretrained(root / "unet")
    stock_vae(root / "vae", scaling_factor=0.5)
    text_tower(root)
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, clip_sample=False
    ).save_pretrained(root / "scheduler")
    photos = {"relation": "trained_on", "parent": "photos", "licence": "CC0-1.0"}
    declare(root, kind="teacher", licence="Apache-2.0", lineage=(photos,))
    return root


def stock_student(folder: Path, *, prediction: str = "epsilon", t_init: int = 399) -> Path:
    """The teacher's own UNet as a one-step student."""
    teacher = find_parts(stock_teacher(folder / "teacher", prediction=prediction))
    student = folder / "student"
    teacher.write_student(teacher.load_network("cpu"), student, t_init=float(t_init))
    edges = ({"relation": "distilled_from", "parent": "teacher", "licence": "Apache-2.0"},)
    declare(student, kind="student", licence="Apache-2.0", lineage=edges)
    return student
