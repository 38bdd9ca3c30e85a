"""The multi-step teacher: a text-conditioned latent UNet of the Stable Diffusion shape, trained with v-prediction."""

import json
from pathlib import Path

import open_clip
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.trainspec import TeacherTraining
from qcgen.data.augment import jitter
from qcgen.data.imageset import ImageSet
from qcgen.models.autoencoder import PatchAutoencoder
from qcgen.models.families.sd15 import plain_attention
from qcgen.models.texttower import write_text_tower
from qcgen.models.towers import ClipTower


class TeacherTask:
    """Loss: mean squared error of v at uniform t (Salimans & Ho 2022), captions dropped at random for guidance."""

    def __init__(self, spec: TeacherTraining, data: ImageSet) -> None:
        self.spec, self.data = spec, data
        self.scheduler = DDPMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            clip_sample=False,
        )
        write_conditioning(spec.clip, spec.out)
        tower = ClipTower(spec.out / "tokenizer", spec.out / "text_encoder", "cpu")
        names = sorted(set(data.captions))
        self.cond = tower.embed(["", *names])
        order = {name: i + 1 for i, name in enumerate(names)}
        self.caption_of = torch.tensor([order[name] for name in data.captions])
        self.rows = torch.from_numpy(data.rows(held_out=False))
        self.weights = draw_weights(spec, data, self.rows)
        self.latents, self.channels = self._encode()
        torch.manual_seed(spec.seed)
        self.module: nn.Module = plain_attention(
            build_unet(spec, self.channels, self.cond.shape[-1], self.latents.shape[-1]), "cpu"
        )

    def _encode(self) -> tuple[Tensor, int]:
        vae = PatchAutoencoder.from_pretrained(
            self.spec.autoencoder / "vae", local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
        ).eval()
        channels = int(vae.config.latent_channels)
        cache = self.spec.out / "latents.safetensors"
        if not cache.exists():
            generator = torch.Generator().manual_seed(self.spec.seed)
            rounds = [
                torch.cat([self._encode_part(vae, part, generator) for part in self.rows.split(64)])
                for _ in range(self.spec.augmentations)
            ]
            save_file({"latents": torch.stack(rounds).half(), "weights": self.weights}, cache)
        made = load_file(cache)
        if not torch.equal(made["weights"], self.weights):
            # The job's balance has changed; a distillation reads the weights from here.
            save_file({"latents": made["latents"], "weights": self.weights}, cache)
        return made["latents"], channels

    @torch.no_grad()
    def _encode_part(self, vae: PatchAutoencoder, rows: Tensor, generator: torch.Generator) -> Tensor:
        images = jitter(self.data.images[rows], generator) * 2 - 1
        return vae.encode(images) * vae.config.scaling_factor

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        n = self.spec.optim.batch
        place = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        x_0 = self.latents[torch.randint(len(self.latents), (n,), generator=generator), place].float()
        caption = self.caption_of[self.rows[place]]
        caption = torch.where(torch.rand(n, generator=generator) < self.spec.caption_dropout, 0, caption)
        noise = torch.randn(x_0.shape, generator=generator)
        t = torch.randint(1000, (n,), generator=generator)
        x_t = self.scheduler.add_noise(x_0, noise, t)
        target = self.scheduler.get_velocity(x_0, noise, t)
        with torch.autocast("cpu", torch.bfloat16):
            output = self.module(x_t, t, self.cond[caption]).sample
        return F.mse_loss(output.float(), target), {}

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]:
        assert isinstance(averaged, UNet2DConditionModel)
        averaged.half().save_pretrained(folder / "unet")
        self.scheduler.save_pretrained(folder / "scheduler")
        vae = PatchAutoencoder.from_pretrained(
            self.spec.autoencoder / "vae", local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float16
        )
        vae.save_pretrained(folder / "vae")
        return {"parameters": sum(p.numel() for p in averaged.parameters()), "rows": len(self.rows)}


def draw_weights(spec: TeacherTraining, data: ImageSet, rows: Tensor) -> Tensor:
    """Relative frequency of each training row, float32 (see `TeacherTraining`)."""
    names = sorted(set(data.products))
    product = torch.tensor([names.index(data.products[int(row)]) for row in rows])
    clean = torch.from_numpy(data.colour_share)[rows] >= 0.6
    return torch.bincount(product).float()[product] ** -spec.balance * torch.where(clean, 1.0, spec.mixed_colour_weight)


def write_conditioning(clip: Path, folder: Path) -> None:
    """Put the text tower and tokenizer of an open_clip folder beside the model that is trained on them."""
    config = json.loads((clip / "open_clip_config.json").read_text())["model_cfg"]
    model = open_clip.CLIP(**config)
    model.load_state_dict(load_file(clip / "open_clip_model.safetensors"))
    write_text_tower(model, clip / "bpe.txt.gz", config, folder)


def build_unet(spec: TeacherTraining, channels: int, cross_dim: int, side: int) -> UNet2DConditionModel:
    """The UNet that the job describes; one entry of `channels` a resolution."""
    down = tuple("CrossAttnDownBlock2D" if attend else "DownBlock2D" for attend in spec.cross_attention)
    up = tuple("CrossAttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(spec.cross_attention))
    pooled = {"addition_embed_type": "text", "addition_embed_type_num_heads": spec.heads} if spec.text_in_time else {}
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=spec.channels,
        layers_per_block=spec.layers_per_block,
        down_block_types=down,
        up_block_types=up,
        cross_attention_dim=cross_dim,
        attention_head_dim=spec.heads,
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
        **pooled,
    )
