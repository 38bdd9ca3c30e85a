"""Measures of the averaged student while it is distilled: the same captions and noise every time."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import SpecError
from qcgen.data.imageset import ImageSet
from qcgen.distill.material import Material
from qcgen.generate.noise import stack_noise
from qcgen.models.embedded import load_encoder
from qcgen.models.protocol import ModelParts
from qcgen.pipeline.evaluate import estimate
from qcgen.qc.registry import make_metrics

_REAL = 2000
_LEAST = 32
_BATCH = 64
_METRICS = ("frechet", "manifold")


class InLoop:
    """Frechet distance, precision and recall of `eval.n` pictures against real ones that the teacher was trained on."""

    def __init__(
        self, spec: DistillSpec, parts: ModelParts, data: ImageSet, material: Material, *, device: str
    ) -> None:
        rng = np.random.default_rng(spec.seed)
        rows = data.rows(held_out=False)
        if len(rows) < _LEAST:
            raise SpecError(f"eval.every: needs {_LEAST} pictures to compare with (got {len(rows)}). Cure: every: 0.")
        generator = torch.Generator().manual_seed(spec.seed)
        self._noise = stack_noise([int(seed) for seed in rng.integers(2**32, size=spec.eval.n)], material.shape)
        self._caption = material.draw_captions(spec.eval.n, generator)
        self._cond, self._device = material.cond, device
        self._codec = parts.load_codec(device)
        self._encoder = load_encoder(spec.eval.clip, device=device)
        chosen = rng.permutation(rows)[:_REAL]
        self._real = self._embed(data.images[torch.from_numpy(chosen)])
        self._seed = spec.seed

    def measure(self, generate: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
        """`distance` (Frechet) with its bootstrap `error`, `precision` and `recall`."""
        made = torch.cat([self._pictures(generate, part) for part in torch.arange(len(self._noise)).split(_BATCH)])
        known = make_metrics()
        found, _ = estimate(
            {name: known[name] for name in _METRICS},
            {"embeddings": self._real},
            torch.zeros(len(self._real), dtype=torch.bool),
            {"embeddings": self._embed(made)},
            seed=self._seed,
        )
        return {
            "distance": found["frechet"].value,
            "error": found["frechet"].error,
            "precision": found["precision"].value,
            "recall": found["recall"].value,
            "n": float(len(made)),
        }

    def _embed(self, images: Tensor) -> Tensor:
        return torch.cat([self._encoder.encode_images(part).float().cpu() for part in images.split(_BATCH)])

    @torch.no_grad()
    def _pictures(self, generate: Callable[[Tensor, Tensor], Tensor], part: Tensor) -> Tensor:
        cond = self._cond[self._caption[part]].to(self._device)
        x_0 = generate(self._noise[part].to(self._device), cond)
        pixels = self._codec.decode(x_0)
        return (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
