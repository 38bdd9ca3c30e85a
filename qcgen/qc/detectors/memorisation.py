"""Is the picture a copy of one that it must not copy?"""

from typing import ClassVar

import torch

from qcgen.qc.evidence import Evidence
from qcgen.qc.phash import phash
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.references import nearest, pack
from qcgen.qc.scores import unscored, with_reasons


class Memorisation:
    """Bits, of 256, between the perceptual hash of the picture, or of its mirror image, and the nearest reference's.

    Few bits are a copy: JPEG, rescaling and brightening cost up to ten, unrelated pictures differ in about 128, plain
    ones on white ground in fewer. The evidence names the reference, and with embeddings by the job's CLIP the nearest
    in that space too. `not_applicable` without references.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".
    """

    name: ClassVar[str] = "memorisation"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "bits"
    range: ClassVar[tuple[float, float]] = (0.0, 256.0)
    higher_is_better: ClassVar[bool] = True
    whole_batch: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        references = batch.settings.references
        if references is None:
            return unscored(batch, "not_applicable")
        bits, places = nearest(pack(phash(batch.images)), references.hashes)
        mirrored_bits, mirrored_places = nearest(pack(phash(batch.images.flip(-1))), references.hashes)
        mirrored = mirrored_bits < bits
        evidence = [
            {"neighbour": references.ids[int(mirrored_places[i] if mirror else places[i])]}
            | ({"mirrored": "yes"} if mirror else {})
            | embedded
            for i, (mirror, embedded) in enumerate(zip(mirrored, _by_embedding(batch), strict=True))
        ]
        values = torch.from_numpy(bits.copy()).minimum(torch.from_numpy(mirrored_bits.copy()))
        return with_reasons(values.double(), [None] * len(evidence), evidence)

    def explain(self, batch: Batch, index: int) -> Evidence:
        told = self.score(batch).evidence[index]
        return Evidence(
            "The reference that the picture, or its mirror image, is nearest to.",
            facts=tuple((name.replace("_", " "), text) for name, text in told.items()),
            neighbours=(told["neighbour"],),
        )


def _by_embedding(batch: Batch) -> list[dict[str, str]]:
    """The nearest reference in the CLIP's space, where both were embedded by the same one."""
    references = batch.settings.references
    if references is None or references.vectors is None or batch.encoder is None or batch.clip is None:
        return [{}] * len(batch.images)
    if references.encoder != batch.encoder.digest:
        return [{}] * len(batch.images)
    best = (batch.clip.float() @ references.vectors.to(batch.clip.device).T).max(1)
    return [
        {"nearest_by_clip": references.ids[place], "cosine": f"{value:.4f}"}
        for value, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
