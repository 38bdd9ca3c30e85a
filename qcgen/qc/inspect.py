"""Runs a policy's detectors over pictures."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.core.types import Measure, Score, Unscored
from qcgen.models.protocol import ImageTextEncoder
from qcgen.qc.embeddings import Embeddings, read_embeddings
from qcgen.qc.guard import score_guarded
from qcgen.qc.parts import joined, over_cores, parts_of
from qcgen.qc.policy import Policy
from qcgen.qc.protocol import Batch, Detector, Scores, TileLines
from qcgen.qc.registry import detector_plugins, find_detectors

_TEXTS_KEPT = 4096


class Inspector:
    """Measures pictures with every detector that the policy names, in the policy's order.

    Args:
        policy: names the detectors.
        encoder: the CLIP of the job's profile; None leaves the CLIP detectors unscored.
        vocabulary: for each field, every value the catalogue uses.

    Raises:
        PrerequisiteError: the policy's CLIP limits were calibrated with another encoder, and it does not allow that.
    """

    def __init__(
        self,
        policy: Policy,
        encoder: ImageTextEncoder | None,
        vocabulary: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        policy.fit(encoder_digest=None if encoder is None else encoder.digest)
        self._background, self._tile_px = policy.background, policy.tile_px
        self._settings = policy.settings
        self._accepted = _read_accepted(policy, encoder)
        self._detectors = [find_detectors()[name] for name in policy.names()]
        self._encoder = None if encoder is None else _Remembering(encoder)
        self._vocabulary = dict(vocabulary or {})

    def measure(
        self, images: UInt8[Tensor, "b 3 h w"], prompts: Sequence[str], fields: Sequence[Mapping[str, str]]
    ) -> list[tuple[Measure, ...]]:
        """One tuple of measures a picture, in the order given."""
        return self.look(images, prompts, fields)[0]

    def look(
        self, images: UInt8[Tensor, "b 3 h w"], prompts: Sequence[str], fields: Sequence[Mapping[str, str]]
    ) -> tuple[list[tuple[Measure, ...]], Float[Tensor, "b d"] | None]:
        """Measures, and the embeddings behind them where there is an encoder."""
        batch = self.batch(images, prompts, fields)
        return self.measure_all([batch])[0], batch.clip

    def measure_all(self, batches: Sequence[Batch]) -> list[list[tuple[Measure, ...]]]:
        """Measures of batches of several sizes: small ones share the cores, which one alone would leave idle."""
        with torch.inference_mode():
            # The encoder first: it uses all cores itself.
            for batch in batches:
                batch.clip  # noqa: B018
            return [self._rows(scores) for scores in self._scores(batches)]

    def batch(
        self, images: UInt8[Tensor, "b 3 h w"], prompts: Sequence[str], fields: Sequence[Mapping[str, str]]
    ) -> Batch:
        """What the detectors are given of these pictures."""
        return Batch(
            images,
            prompts,
            fields,
            self._encoder,
            self._vocabulary,
            self._background,
            None if self._tile_px is None else TileLines.every(self._tile_px, images.shape[2], images.shape[3]),
            None if self._accepted is None else self._accepted.vectors,
            self._settings,
            () if self._accepted is None else self._accepted.ids,
        )

    def _rows(self, scores: Mapping[str, Scores]) -> list[tuple[Measure, ...]]:
        columns = [_measures(one.name, one.version, scores[one.name]) for one in self._detectors]
        return list(zip(*columns, strict=True))

    def _scores(self, batches: Sequence[Batch]) -> list[dict[str, Scores]]:
        """Of each batch by detector. What a person plugged in is called from this thread only, with whole batches."""
        plugins = detector_plugins()
        whole = [one for one in self._detectors if one.name in plugins or getattr(one, "whole_batch", False)]
        alone = [one for one in self._detectors if one not in whole]
        parts = [(place, part) for place, batch in enumerate(batches) for part in parts_of(batch)]
        found = over_cores(lambda part: _score(alone, part), [part for _, part in parts])
        scores: list[dict[str, Scores]] = []
        for place, batch in enumerate(batches):
            own = [each for (of, _), each in zip(parts, found, strict=True) if of == place]
            scores.append({one.name: joined([each[i] for each in own]) for i, one in enumerate(alone)})
            for one in whole:
                scores[-1][one.name] = score_guarded(one, batch) if one.name in plugins else one.score(batch)
        return scores


def _score(detectors: Sequence[Detector], part: Batch) -> list[Scores]:
    # Of its own, so that what is derived of it ends with it.
    own = part.part(0, len(part.images))
    return [one.score(own) for one in detectors]


def _read_accepted(policy: Policy, encoder: ImageTextEncoder | None) -> Embeddings | None:
    """Those of the calibration's pictures, where they are of this encoder."""
    if policy.embeddings is None or encoder is None:
        return None
    return read_embeddings([policy.embeddings], encoder=encoder.digest)


def _measures(name: str, version: int, scores: Scores) -> list[Measure]:
    evidence = scores.evidence or ({},) * len(scores.reasons)
    return [
        Score(name, version, value, facts) if reason is None else Unscored(name, version, reason)
        for value, reason, facts in zip(scores.values.tolist(), scores.reasons, evidence, strict=True)
    ]


class _Remembering:
    """An encoder that encodes each text once: a catalogue repeats a few hundred of them for every batch."""

    def __init__(self, encoder: ImageTextEncoder) -> None:
        self._encoder = encoder
        self._texts: dict[str, Tensor] = {}
        self.digest = encoder.digest

    def encode_images(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        return self._encoder.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            if len(self._texts) + len(new) > _TEXTS_KEPT:
                self._texts.clear()
                new = list(dict.fromkeys(texts))
            self._texts.update(zip(new, self._encoder.encode_texts(new), strict=True))
        return torch.stack([self._texts[text] for text in texts])
