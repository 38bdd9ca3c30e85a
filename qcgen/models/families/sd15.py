"""The Stable Diffusion 1.x shape: a text-conditioned latent UNet, an autoencoder and a CLIP text tower in
diffusers' folders."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.types import ModelRef
from qcgen.models.autoencoder import PatchAutoencoder
from qcgen.models.find import WEIGHTS, refuse_pickles

# Without accelerate diffusers would load the slow way anyhow, after a warning.
_LOCAL = {"local_files_only": True, "use_safetensors": True, "low_cpu_mem_usage": False}


@dataclass(frozen=True)
class Schedule:
    """The variance-preserving noise schedule: x_t = alpha(t) x_0 + sigma(t) noise.

    Attributes:
        alphas_cumprod: alpha^2 per step, float64.
        prediction: `epsilon`, `v_prediction` or `sample`: what the network's output means.
    """

    alphas_cumprod: Float[Tensor, " steps"]
    prediction: str

    @classmethod
    def read(cls, folder: Path) -> "Schedule":
        """From a diffusers scheduler folder; an unknown prediction type is a SpecError."""
        config = json.loads((folder / "scheduler_config.json").read_text())
        prediction = config.get("prediction_type", "epsilon")
        if prediction not in {"epsilon", "v_prediction", "sample"}:
            raise SpecError(
                f"{folder}: prediction_type {prediction!r} is unknown. Cure: epsilon, v_prediction or sample."
            )
        trained = {
            key: config[key]
            for key in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
            if key in config
        }
        return cls(DDPMScheduler(**trained).alphas_cumprod.double(), prediction)

    def coefficients(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) at integer steps `t`, shaped to multiply `like`."""
        square = self.alphas_cumprod.to(like.device)[t.long()].reshape(-1, *[1] * (like.dim() - 1))
        return square.sqrt().to(like.dtype), (1 - square).sqrt().to(like.dtype)

    def x_0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Posterior mean of x_0 from the network's output (table 1.8 of the design notes: eps, v, x_0)."""
        alpha, sigma = self.coefficients(t, x_t)
        if self.prediction == "v_prediction":
            return alpha * x_t - sigma * output
        if self.prediction == "sample":
            return output
        return (x_t - sigma * output) / alpha

    def step_for(self, ratio: float) -> int:
        """The step whose sigma / alpha is nearest to `ratio`."""
        sigma_over_alpha = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        return int((sigma_over_alpha.log() - torch.tensor(ratio).log()).abs().argmin())


class TextTower:
    """Prompts to the hidden states that the UNet attends to."""

    def __init__(self, tokenizer_dir: Path, encoder_dir: Path, device: str) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(tokenizer_dir, local_files_only=True)
        self.encoder = CLIPTextModel.from_pretrained(encoder_dir, local_files_only=True, dtype=torch.float32)
        self.encoder.eval().requires_grad_(False).to(device)
        self.device = device

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Float[Tensor, "n t d"]:
        tokens = self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return self.encoder(tokens.input_ids.to(self.device)).last_hidden_state


class Sd15Student:
    """A one-step student of the SD 1.x shape. Follows `models.protocol.Student`.

    `t_init` is the step at which it was distilled: it receives pure noise at unit variance there.
    """

    def __init__(self, ref: ModelRef, parts: "Parts", *, device: str, dtype: torch.dtype) -> None:
        facts = json.loads((parts.root / "qcgen_student.json").read_text())
        self.ref, self.device, self.dtype = ref, device, dtype
        self.schedule = parts.schedule
        self.t_init = int(facts["t_init"])
        self.unet = parts.load_unet(device, dtype).requires_grad_(False).eval()
        self.vae = parts.load_vae(device, dtype).to(memory_format=torch.channels_last)
        self.text = TextTower(parts.tokenizer, parts.text_encoder, device)
        side = self.unet.config.sample_size
        self.latent_shape = (self.unet.config.in_channels, side, side)
        self.size_px = int(facts["size_px"])

    def embed(self, prompts: Sequence[str]) -> Float[Tensor, "n t d"]:
        return self.text.embed(prompts)

    @torch.no_grad()
    def generate(self, noise: Float[Tensor, "b c h w"], cond: Float[Tensor, "b t d"]) -> Float[Tensor, "b c h w"]:
        t = torch.full((len(noise),), self.t_init, device=self.device)
        output = self.unet(noise.to(self.dtype), t, cond.to(self.dtype)).sample
        return self.schedule.x_0(output.float(), noise.float(), t)

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 hh ww"]:
        scaled = (latents / self.vae.config.scaling_factor).to(self.dtype)
        return self.vae.decode(scaled).sample.float() / 2 + 0.5


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts of a diffusers folder are; parts that a folder shares with another are named in its
    qcgen_model.json."""

    root: Path
    unet: Path
    vae: Path
    text_encoder: Path
    tokenizer: Path
    scheduler: Path

    @classmethod
    def find(cls, root: Path) -> "Parts":
        """Locate every part; missing ones and pickled weights are refused before anything is loaded."""
        shared: dict[str, str] = {}
        card = root / "qcgen_model.json"
        if card.is_file():
            shared = json.loads(card.read_text()).get("shared", {})
        names = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
        paths = {name: (root / shared.get(name, name)).resolve() for name in names}
        missing = [str(path) for path in paths.values() if not path.is_dir()]
        if missing:
            raise PrerequisiteError(
                f"{root}: lacks {', '.join(missing)}. Cure: give a complete folder in diffusers format."
            )
        for name in WEIGHTS:
            refuse_pickles(paths[name])
        return cls(root=root, **paths)

    @property
    def schedule(self) -> Schedule:
        return Schedule.read(self.scheduler)

    def load_unet(self, device: str, dtype: torch.dtype = torch.float32) -> UNet2DConditionModel:
        unet = UNet2DConditionModel.from_pretrained(self.unet, torch_dtype=dtype, **_LOCAL)
        return plain_attention(unet).to(device)

    def load_vae(self, device: str, dtype: torch.dtype = torch.float32) -> AutoencoderKL | PatchAutoencoder:
        named = json.loads((self.vae / "config.json").read_text()).get("_class_name")
        kind = PatchAutoencoder if named == "PatchAutoencoder" else AutoencoderKL
        vae = kind.from_pretrained(self.vae, torch_dtype=dtype, **_LOCAL)
        return vae.requires_grad_(False).eval().to(device)


def plain_attention(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Attention as plain matrix products on the CPU: for a few dozen tokens torch's fused kernel is 2-5x slower
    there."""
    if not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())
    return unet
