"""Does the picture look more like something unwanted than like what is sold here?"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Bar
from qcgen.models.protocol import ImageTextEncoder
from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import unscored, with_reasons
from qcgen.qc.zeroshot import class_texts

_SHOWN = 6


class Screening:
    """Zero-shot: cosine with the nearest of the profile's unwanted concepts minus that with the nearest wanted one.

    Positive where an unwanted concept wins; the evidence names both. It is as good as the CLIP knows the concepts: give
    it a general one, since a CLIP that learned garments alone has never seen what is to be found. `not_applicable`
    without a list.
    """

    name: ClassVar[str] = "screening"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "cosine difference"
    range: ClassVar[tuple[float, float]] = (-2.0, 2.0)
    higher_is_better: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        asked = batch.settings
        if not asked.unwanted or not asked.wanted:
            return unscored(batch, "not_applicable")
        if batch.encoder is None or batch.clip is None:
            return unscored(batch, "no_encoder")
        cosines = _cosines(batch, batch.encoder, batch.clip)
        unwanted = cosines[:, : len(asked.unwanted)].max(1)
        wanted = cosines[:, len(asked.unwanted) :].max(1)
        evidence = [
            {"unwanted": asked.unwanted[bad], "wanted": asked.wanted[good]}
            for bad, good in zip(unwanted.indices.tolist(), wanted.indices.tolist(), strict=True)
        ]
        values = (unwanted.values - wanted.values).clamp(*self.range)
        return with_reasons(values, [None] * len(evidence), evidence)

    def explain(self, batch: Batch, index: int) -> Evidence:
        assert batch.encoder is not None
        assert batch.clip is not None
        asked = batch.settings
        cosines = _cosines(batch, batch.encoder, batch.clip)[index].tolist()
        bars = [
            Bar(text, round(cosine, 4), place >= len(asked.unwanted))
            for place, (text, cosine) in enumerate(zip((*asked.unwanted, *asked.wanted), cosines, strict=True))
        ]
        return Evidence(
            "Unwanted and wanted concepts nearest to the picture; the wanted ones are marked.",
            bars=tuple(sorted(bars, key=lambda bar: -bar.value)[:_SHOWN]),
        )


def _cosines(batch: Batch, encoder: ImageTextEncoder, clip: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
    # The concepts are whole captions.
    asked = batch.settings
    texts = class_texts(encoder, [*asked.unwanted, *asked.wanted], ("{}",)).to(clip.device)
    return clip.double() @ texts.T
