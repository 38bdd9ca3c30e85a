"""Pictures unlike any that people accepted."""

from typing import ClassVar

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

    def score(self, batch: Batch) -> Scores:
        if batch.clip is None:
            return unscored(batch, "no_encoder")
        if batch.accepted is None or len(batch.accepted) < _NEAREST:
            return unscored(batch, "not_applicable")
        cosines = batch.clip.double() @ batch.accepted.to(batch.clip.device).double().T
        return scored(1 - cosines.topk(_NEAREST, dim=1).values.mean(1), self.range)
