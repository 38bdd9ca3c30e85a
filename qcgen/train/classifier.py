"""Training of classifiers: the image tower of a CLIP, tuned to tell the products and colours of an image set."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.classification import binary_auroc

from qcgen.core.errors import SpecError
from qcgen.core.trainspec import ClassifierTraining
from qcgen.data.imageset import ImageSet
from qcgen.models.classifier import CLIP_CONFIG, Classified, Classifier, classify, save_classifier
from qcgen.train.clip import augment, balance, shrink
from qcgen.train.settle import settle

_SMOOTHING = 0.1
_SETTLING = 20
_MEASURED = 128


class ClassifierTask:
    """Loss: cross-entropy of each field with smoothed labels, summed; rare values of the first field are drawn more
    often. Pictures are blended in pairs, with the labels of both: a few thousand would be learned by heart within
    minutes.

    Source: Zhang et al. 2018, "mixup: beyond empirical risk minimization".

    Args:
        clip: the folder that `tower` is from.
        tower: the CLIP's image tower, with its weights.

    Raises:
        SpecError: a field has fewer than two values to tell apart; the CLIP's tower cannot be rebuilt.
    """

    def __init__(self, spec: ClassifierTraining, data: ImageSet, clip: Path, tower: nn.Module) -> None:
        self.spec, self.data = spec, data
        self.rows = torch.from_numpy(data.rows(held_out=False))
        self.columns: Mapping[str, tuple[str, ...]] = {"product": data.products, "colour": data.colours}
        classes: dict[str, list[str]] = {
            field: sorted({self.columns[field][row] for row in self.rows.tolist()}) for field in spec.fields
        }
        for field, names in classes.items():
            if len(names) < 2:
                raise SpecError(f"fields: {field} has {len(names)} value in {spec.data.path.name}. Cure: more values.")
        torch.manual_seed(spec.seed)
        classifier = Classifier(json.loads((clip / CLIP_CONFIG).read_text(encoding="utf-8")), classes)
        classifier.tower.load_state_dict(tower.state_dict())
        self.module: nn.Module = classifier
        self.preprocess = classifier.preprocess
        self.small = shrink(data.images, min(self.preprocess.size))
        self.codes: dict[str, Tensor] = {
            field: torch.tensor([names.index(one) if one in names else -1 for one in self.columns[field]])
            for field, names in classes.items()
        }
        self.balance = balance(self.codes[spec.fields[0]][self.rows])

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows, x, share = self._blended(generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.module(x)
        losses = {
            field: share * self._loss(one, field, rows) + (1 - share) * self._loss(one, field, rows.flip(0))
            for field, one in logits.items()
        }
        return torch.stack(list(losses.values())).sum(), {field: one.item() for field, one in losses.items()}

    def _loss(self, logits: Tensor, field: str, rows: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), self.codes[field][rows], label_smoothing=_SMOOTHING)

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]:
        assert isinstance(averaged, Classifier)
        generator = torch.Generator().manual_seed(self.spec.seed)
        settle(averaged, (self._changed(self._draw(generator), generator) for _ in range(_SETTLING)))
        save_classifier(averaged, folder)
        found: dict[str, object] = {}
        for name, held_out in (("held_out", True), ("trained", False)):
            rows = self.data.rows(held_out=held_out).tolist()
            if not rows:
                continue
            fields: list[Mapping[str, str]] = [
                {field: self.columns[field][row] for field in self.codes} for row in rows
            ]
            parts = [
                classify(averaged, self.data.images[rows[at : at + _MEASURED]], fields[at : at + _MEASURED])
                for at in range(0, len(rows), _MEASURED)
            ]
            found[name] = {
                f"{field} {key}": value
                for field in self.codes
                for key, value in self._measure([part[field] for part in parts]).items()
            }
        return found

    def _measure(self, parts: list[Classified]) -> dict[str, object]:
        """Share of pictures whose likeliest value is their own, and AUROC of another value, drawn at random, against
        the picture's own. Values that only held-out pictures have are left out."""
        places = [place for part in parts for place in part.own]
        known = [row for row, place in enumerate(places) if place is not None]
        if not known:
            return {"n": 0}
        logs = torch.cat([part.logs for part in parts])[known]
        own = torch.tensor([place for place in places if place is not None])
        generator = torch.Generator().manual_seed(self.spec.seed)
        other = (own + torch.randint(1, logs.shape[1], (len(own),), generator=generator)) % logs.shape[1]
        likely = torch.cat([logs.gather(1, own[:, None]), logs.gather(1, other[:, None])]).flatten().exp()
        labels = torch.cat([torch.zeros(len(own)), torch.ones(len(own))]).long()
        return {
            "n": len(own),
            "values": logs.shape[1],
            "top1": float((logs.argmax(1) == own).float().mean()),
            "wrong value auroc": float(binary_auroc(1 - likely, labels)),
        }

    def _blended(self, generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
        """Rows, each picture with some of the one in its mirrored place, and the share of its own."""
        rows = self._draw(generator)
        x = self._changed(rows, generator)
        # The larger of two uniform numbers, within 1/2 to 1: mostly the picture, sometimes both.
        share = 0.5 + 0.5 * float(torch.rand(2, generator=generator).max())
        return rows, share * x + (1 - share) * x.flip(0), share

    def _draw(self, generator: torch.Generator) -> Tensor:
        return self.rows[torch.multinomial(self.balance, self.spec.optim.batch, replacement=True, generator=generator)]

    def _changed(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Pictures a little moved, lit otherwise and with a hole, as the tower wants them."""
        codes = (255 * augment(self.small[rows], generator)).round().to(torch.uint8)
        return self.preprocess(codes)
