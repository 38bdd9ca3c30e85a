"""Pictures unlike any that people accepted."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Bar
from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, unscored

_NEAREST = 5


class Anomaly:
    """Mean cosine distance, in CLIP space, to the five nearest of the accepted pictures in `Batch.accepted`.

    Blind to small faults, and new products are unlike the old ones by right. `not_applicable` with fewer than five
    accepted pictures, `no_encoder` without an encoder.

    Source: Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors", with a mean over k.
    """

    name: ClassVar[str] = "anomaly"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "cosine distance"
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)
    higher_is_better: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        if batch.clip is None:
            return unscored(batch, "no_encoder")
        if batch.accepted is None or len(batch.accepted) < _NEAREST:
            return unscored(batch, "not_applicable")
        cosines = _cosines(batch.clip, batch.accepted)
        return scored(1 - cosines.topk(_NEAREST, dim=1).values.mean(1), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        assert batch.clip is not None
        assert batch.accepted is not None
        nearest = _cosines(batch.clip, batch.accepted)[index].topk(_NEAREST)
        places = nearest.indices.tolist()
        ids = tuple(batch.accepted_ids[place] for place in places) if batch.accepted_ids else ()
        labels = ids or tuple(f"accepted no. {place}" for place in places)
        distances = (1 - nearest.values).tolist()
        return Evidence(
            "Distance to the five accepted pictures that are most like it; their mean is the score.",
            bars=tuple(Bar(label, round(one, 4)) for label, one in zip(labels, distances, strict=True)),
            neighbours=ids,
        )


def _cosines(clip: Float[Tensor, "b d"], accepted: Float[Tensor, "n d"]) -> Float[Tensor, "b n"]:
    return clip.double() @ accepted.to(clip.device).double().T
