"""A complete teacher folder with a tiny random UNet; the other parts are those of the embedded student."""

import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from qcgen.core.types import ModelRef
from qcgen.models.find import ASSETS, resolve_model


def tiny_teacher(folder: Path) -> ModelRef:
    """A teacher of pictures of two patches a side (32 px with patches of 16 px)."""
    root = folder / "tiny-teacher"
    vae = json.loads((ASSETS / "apparel" / "vae" / "config.json").read_text())
    text = json.loads((ASSETS / "apparel" / "text_encoder" / "config.json").read_text())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=2,
            in_channels=vae["latent_channels"],
            out_channels=vae["latent_channels"],
            block_out_channels=(16,),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D",),
            up_block_types=("CrossAttnUpBlock2D",),
            cross_attention_dim=text["hidden_size"],
            attention_head_dim=4,
            norm_num_groups=4,
        )
    unet.save_pretrained(root / "unet")
    parts = {name: str(ASSETS / "apparel" / name) for name in ("vae", "text_encoder", "tokenizer")}
    parts["scheduler"] = str(ASSETS / "teacher-apparel" / "scheduler")
    card = {"name": root.name, "kind": "teacher", "licence": None, "lineage": [], "shared": parts}
    (root / "qcgen_model.json").write_text(json.dumps(card))
    return resolve_model(str(root))
