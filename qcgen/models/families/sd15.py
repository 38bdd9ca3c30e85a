"""The Stable Diffusion 1.x shape: a text-conditioned latent UNet, an autoencoder and a CLIP text tower in
diffusers' folders."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.types import ModelRef
from qcgen.models.autoencoder import PatchAutoencoder
from qcgen.models.noising import read_noising
from qcgen.models.pickles import WEIGHTS, refuse_pickles
from qcgen.models.protocol import Noising

# Without accelerate diffusers would load the slow way anyhow, after a warning.
_LOCAL = {"local_files_only": True, "use_safetensors": True, "low_cpu_mem_usage": False}


class UnetTeacher(nn.Module):
    """A text-conditioned UNet in (alpha, sigma, mu). Follows `models.protocol.Teacher`.

    Features are the last maps of each resolution on the way down and that of the middle block, taken by hooks from
    diffusers' own forward, so that every variant of the UNet (class or pooled text embeddings) is run as it is meant.

    Args:
        dtype: what the network computes in (autocast); parameters keep theirs.
    """

    def __init__(self, unet: UNet2DConditionModel, noising: Noising, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.unet, self._noising, self.dtype = unet, noising, dtype

    @property
    def noising(self) -> Noising:
        return self._noising

    @property
    def channels(self) -> list[int]:
        widths = list(self.unet.config.block_out_channels)
        return [*widths, widths[-1]]

    def predict(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]:
        scaled, time = self._noising.network_input(x_t, t)
        with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            output = self.unet(scaled, time, cond).sample
        return output.float()

    def denoise(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]:
        return self._noising.x_0(self.predict(x_t, t, cond), x_t, t)

    def features(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> list[Tensor]:
        with self._tapped(stop=True) as taps, suppress(_SeenEnough):
            self.predict(x_t, t, cond)
        return taps

    def denoise_with_features(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> tuple[Float[Tensor, "b c h w"], list[Tensor]]:
        with self._tapped(stop=False) as taps:
            return self.denoise(x_t, t, cond), taps

    @contextmanager
    def _tapped(self, *, stop: bool) -> Iterator[list[Tensor]]:
        taps: list[Tensor] = []
        layers = self.unet.config.layers_per_block

        def down(_: nn.Module, __: object, output: tuple[Tensor, tuple[Tensor, ...]]) -> None:
            maps = output[1]
            # A block that ends in a downsampler lists that too; the map before it has the block's own resolution.
            taps.append(maps[-2] if isinstance(layers, int) and len(maps) > layers else maps[-1])

        def middle(_: nn.Module, __: object, output: Tensor) -> None:
            taps.append(output)
            if stop:
                raise _SeenEnough

        hooks = [block.register_forward_hook(down) for block in self.unet.down_blocks]
        hooks.append(self.unet.mid_block.register_forward_hook(middle))
        try:
            yield taps
        finally:
            for hook in hooks:
                hook.remove()


class _SeenEnough(Exception):  # noqa: N818 (not an error: it ends a forward pass whose rest nobody needs)
    """The feature maps are complete."""


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
        self.t_init = facts["t_init"]
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
        x_t = self.schedule.start(noise, t)
        scaled, time = self.schedule.network_input(x_t, t)
        output = self.unet(scaled.to(self.dtype), time, cond.to(self.dtype)).sample
        return self.schedule.x_0(output.float(), x_t.float(), t)

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
    def schedule(self) -> Noising:
        return read_noising(self.scheduler)

    def load_unet(self, device: str, dtype: torch.dtype = torch.float32) -> UNet2DConditionModel:
        unet = UNet2DConditionModel.from_pretrained(self.unet, torch_dtype=dtype, **_LOCAL)
        return plain_attention(unet).to(device)

    def load_vae(
        self, device: str, dtype: torch.dtype = torch.float32
    ) -> AutoencoderKL | AutoencoderTiny | PatchAutoencoder:
        return load_vae(self.vae, device, dtype)


def load_vae(
    folder: Path, device: str, dtype: torch.dtype = torch.float32
) -> AutoencoderKL | AutoencoderTiny | PatchAutoencoder:
    """The autoencoder of a folder, frozen.

    Raises:
        SpecError: a class that is not known, or weights as a pickle.
    """
    kinds = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny, PatchAutoencoder)}
    named = json.loads((folder / "config.json").read_text()).get("_class_name")
    if named not in kinds:
        raise SpecError(f"{folder}: must be one of {', '.join(kinds)} (got {named}). Cure: take one of these.")
    refuse_pickles(folder)
    vae = kinds[named].from_pretrained(folder, torch_dtype=dtype, **_LOCAL)
    return vae.requires_grad_(False).eval().to(device)


def plain_attention(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Attention as plain matrix products on the CPU: for a few dozen tokens torch's fused kernel is 2-5x slower
    there."""
    if not torch.cuda.is_available():
        unet.set_attn_processor(AttnProcessor())
    return unet
