"""Training of the head that points at local artifacts: on planted ones, in photos and in a student's pictures."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.classification import binary_auroc

from qcgen.core.errors import SpecError
from qcgen.core.trainspec import ArtifactHeadTraining
from qcgen.data.imageset import ImageSet
from qcgen.models.artifacthead import ArtifactHead, save_head, scale, worst_cells
from qcgen.train.artifactbatch import Batches, Planted
from qcgen.train.settle import settle

_ARTIFACT_WEIGHT = 10.0
_PICTURE_WEIGHT = 0.2
_TESTED = 200
_SETTLING = 40
"""Batches."""


class ArtifactHeadTask:
    """Loss: cross-entropy of every cell, cells inside an artifact ten times as heavy, and of the picture's score.

    Args:
        drawn: a student's pictures, uint8; the last eighth is kept for measuring.

    Raises:
        SpecError: photos and the student's pictures have different sizes.
    """

    def __init__(self, spec: ArtifactHeadTraining, data: ImageSet, drawn: Tensor, planted: Planted) -> None:
        if data.images.shape[-2:] != drawn.shape[-2:]:
            photo_px, drawn_px = data.images.shape[-1], drawn.shape[-1]
            raise SpecError(
                f"data.path: must hold pictures of the student's size, {drawn_px} px (got {photo_px}). "
                "Cure: another image set, or another student."
            )
        self.spec, self.planted = spec, planted
        photos = data.images[torch.from_numpy(data.rows(held_out=False))]
        kept = len(drawn) // 8
        self.sources: list[Tensor] = [one for one in (photos, drawn[: len(drawn) - kept]) if len(one)]
        held = data.images[torch.from_numpy(data.rows(held_out=True))]
        self.tested = {"held_out_photos": held[:_TESTED], "student": drawn[len(drawn) - kept :][:_TESTED]}
        self.batches = Batches(spec, self.sources, planted.seen)
        torch.manual_seed(spec.seed)
        head: nn.Module = ArtifactHead(spec.width)
        self.module = head.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        images, masks = self.batches.draw(generator)
        x = _shaken(scale(images), generator).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.module(x)
        logits = logits.float()
        wanted = F.adaptive_avg_pool2d(masks.float()[:, None], logits.shape[-2:])[:, 0]
        weight = torch.where(wanted > 0.5, _ARTIFACT_WEIGHT, 1.0)
        cells = F.binary_cross_entropy_with_logits(logits, wanted, weight=weight)
        spoiled = masks.flatten(1).any(1).float()
        pictures = F.binary_cross_entropy_with_logits(worst_cells(logits), spoiled)
        return cells + _PICTURE_WEIGHT * pictures, {"cells": cells.item(), "pictures": pictures.item()}

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]:
        head = ArtifactHead(self.spec.width)
        head.load_state_dict(averaged.state_dict())
        generator = torch.Generator().manual_seed(self.spec.seed)
        drawn = (self.batches.draw(generator)[0] for _ in range(_SETTLING))
        settle(head, (_shaken(scale(images), generator) for images in drawn))
        save_head(head, folder)
        return {name: self._measure(head, images) for name, images in self.tested.items() if len(images)}

    @torch.no_grad()
    def _measure(self, head: ArtifactHead, images: Tensor) -> dict[str, object]:
        """AUROC of spoiled against the same clean pictures, and how often the worst cell lies in the artifact."""
        clean = worst_cells(_logits(head, images))
        found: dict[str, object] = {"n": len(images)}
        for name, spoil in self.planted.tested.items():
            generator = torch.Generator().manual_seed(self.spec.seed + 1)
            spoiled = [spoil(image, generator) for image in images]
            logits = _logits(head, torch.stack([one for one, _ in spoiled]))
            scores = torch.cat([clean, worst_cells(logits)])
            labels = torch.cat([torch.zeros(len(images)), torch.ones(len(images))]).long()
            masks = torch.stack([mask for _, mask in spoiled]).float()[:, None]
            inside = F.adaptive_max_pool2d(masks, logits.shape[-2:])[:, 0]
            hits = inside.flatten(1).gather(1, logits.flatten(1).argmax(1, keepdim=True))
            known = "seen" if name in self.planted.seen else "unseen"
            found[f"{name} ({known}) auroc"] = float(binary_auroc(scores, labels))
            found[f"{name} ({known}) pointing"] = float(hits.mean())
        return found


def _logits(head: ArtifactHead, images: Tensor) -> Float[Tensor, "b hh ww"]:
    return torch.cat([head(scale(part)) for part in images.split(50)])


def _shaken(x: Float[Tensor, "b 3 h w"], generator: torch.Generator) -> Float[Tensor, "b 3 h w"]:
    """Another contrast and tint, so that neither counts."""
    gain = 0.9 + 0.2 * torch.rand((len(x), 1, 1, 1), generator=generator)
    return x * gain + 0.2 * (torch.rand((len(x), 3, 1, 1), generator=generator) - 0.5)
