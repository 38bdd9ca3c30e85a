"""How near the picture is to its prompt in CLIP space."""

from typing import ClassVar

import torch

from qcgen.core.evidence import Bar
from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, unscored
from qcgen.qc.zeroshot import best_classes


class ClipSimilarity:
    """Raw cosine of picture and prompt, shown and never judging. Compare it within one encoder only, never across
    encoders or kinds of prompt.

    Source: Hessel et al. 2021, CLIPScore, without its factor 2.5.
    """

    name: ClassVar[str] = "clip_similarity"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "cosine"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    whole_batch: ClassVar[bool] = True
    shown_only: ClassVar[str] = (
        "a raw cosine lies in a band that differs with every prompt; garment_margin compares classes"
    )

    def score(self, batch: Batch) -> Scores:
        if batch.encoder is None or batch.clip is None:
            return unscored(batch, "no_encoder")
        unique = list(dict.fromkeys(batch.prompts))
        place = [unique.index(prompt) for prompt in batch.prompts]
        texts = batch.encoder.encode_texts(unique).to(batch.clip.device)[place]
        unasked = torch.tensor([not prompt.strip() for prompt in batch.prompts])
        return scored((batch.clip.double() * texts.double()).sum(1), self.range, no_prompt=unasked)

    def explain(self, batch: Batch, index: int) -> Evidence:
        prompt = Bar(f"the prompt: {batch.prompts[index]}", round(float(self.score(batch).values[index]), 4), True)
        others = best_classes(batch, index, "product")
        return Evidence(
            "How near the picture is to its prompt, and to the catalogue's products as plain words.",
            bars=(prompt, *others),
        )
