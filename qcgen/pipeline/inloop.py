"""Measures of the averaged student while it is distilled: the same captions and noise every time."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import SpecError
from qcgen.data.imageset import ImageSet
from qcgen.distill.material import Material
from qcgen.distill.stop import NonFiniteError
from qcgen.generate.batch import quantise
from qcgen.generate.noise import stack_noise
from qcgen.models.embedded import load_encoder
from qcgen.models.protocol import ModelParts
from qcgen.pipeline.evaluate import Estimate, estimate
from qcgen.pipeline.realset import batched, caption_ids, data_digest, picture_batch, products, real_columns
from qcgen.qc.describe import describe
from qcgen.qc.protocol import Columns, SetMetric
from qcgen.qc.registry import make_metrics

Generate = Callable[[Tensor, Tensor], Tensor]
"""Noise and conditions to latents."""

_REAL = 2000
_LEAST = 32
_BATCH = 64
_METRICS = ("frechet", "manifold")


class InLoop:
    """Set metrics of `eval.n` pictures against real ones that the teacher was trained on.

    Args:
        metrics: names of `qc.metrics`; those that read more than embeddings need every column of `qc.describe`.
        cache: folder of the real pictures' columns, where metrics need more than embeddings.
    """

    def __init__(
        self,
        spec: DistillSpec,
        parts: ModelParts,
        data: ImageSet,
        material: Material,
        *,
        device: str,
        metrics: Sequence[str] = _METRICS,
        cache: Path | None = None,
    ) -> None:
        rng = np.random.default_rng(spec.seed)
        rows = data.rows(held_out=False)
        if len(rows) < _LEAST:
            raise SpecError(f"eval.every: needs {_LEAST} pictures to compare with (got {len(rows)}). Cure: every: 0.")
        generator = torch.Generator().manual_seed(spec.seed)
        self._noise = stack_noise([int(seed) for seed in rng.integers(2**32, size=spec.eval.n)], material.shape)
        drawn = material.draw_rows(spec.eval.n, generator)
        self._caption, self._asked = material.caption_of[drawn], torch.from_numpy(rows)[drawn]
        self._cond, self._device, self._data = material.cond, device, data
        self._codec = parts.load_codec(device)
        self._encoder = load_encoder(spec.eval.clip, device=device)
        self._seed, self._metrics = spec.seed, tuple(metrics)
        reads = {name for metric in self._known().values() for name in metric.reads}
        self._embeds_only = reads <= {"embeddings"}
        chosen = torch.from_numpy(rng.permutation(rows)[:_REAL])
        if self._embeds_only:
            self._real: Columns = {"embeddings": self._embed(data.images[chosen])}
        else:
            columns = real_columns(data, data_digest(data), self._encoder, None, cache=cache, show=lambda *_: None)
            self._real = {name: column[chosen] for name, column in columns.items()}

    def measure(self, generate: Generate) -> dict[str, float]:
        """`distance` (Frechet) with its bootstrap `error`, `precision` and `recall`.

        Raises:
            NonFiniteError: a picture holds non-finite numbers.
        """
        found, _ = self.estimate(generate)
        return {
            "distance": found["frechet"].value,
            "error": found["frechet"].error,
            "precision": found["precision"].value,
            "recall": found["recall"].value,
            "n": float(found["frechet"].n),
        }

    def estimate(self, generate: Generate) -> tuple[dict[str, Estimate], dict[str, tuple[float, ...]]]:
        """Every number of the metrics, and its repetitions: paired over all calls, since the rows are the same.

        Raises:
            NonFiniteError: a picture holds non-finite numbers.
        """
        made = batched(lambda rows: self._columns(generate, rows), len(self._noise), lambda *_: None, size=_BATCH)
        # Real pictures' own numbers are those of training rows too: held-out ones are kept for the last word.
        own = torch.ones(len(self._real["embeddings"]), dtype=torch.bool)
        return estimate(self._known(), self._real, own, made, seed=self._seed)

    def _known(self) -> dict[str, SetMetric]:
        known = make_metrics()
        return {name: known[name] for name in self._metrics}

    def _columns(self, generate: Generate, rows: Tensor) -> Columns:
        images = self._pictures(generate, rows)
        if self._embeds_only:
            return {"embeddings": self._embed(images)}
        asked, data = self._asked[rows], self._data
        described = describe(picture_batch(data, asked, images.cpu(), self._encoder), products(data))
        return {**described, "caption_ids": caption_ids(data)[asked]}

    def _embed(self, images: Tensor) -> Tensor:
        return torch.cat([self._encoder.encode_images(part).float().cpu() for part in images.split(_BATCH)])

    @torch.no_grad()
    def _pictures(self, generate: Generate, part: Tensor) -> Tensor:
        cond = self._cond[self._caption[part]].to(self._device)
        x_0 = generate(self._noise[part].to(self._device), cond)
        images, finite = quantise(self._codec.decode(x_0))
        # Turned to bytes, what is not finite would pass as black.
        if not all(finite):
            raise NonFiniteError(
                f"its pictures hold non-finite numbers ({finite.count(False)} of the {len(part)} seen)"
            )
        return images
