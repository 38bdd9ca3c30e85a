"""Cosines of pictures with the catalogue's classes, for the detectors that ask which garment it is."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.evidence import Bar
from qcgen.models.protocol import ImageTextEncoder
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import unscored
from qcgen.qc.settings import TEMPLATES

_Key = tuple[str, tuple[str, ...], tuple[str, ...]]

_LISTS_KEPT = 64
_SHOWN = 5
_kept: "WeakKeyDictionary[ImageTextEncoder, dict[_Key, Tensor]]" = WeakKeyDictionary()


def class_texts(
    encoder: ImageTextEncoder, classes: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> Float[Tensor, "k d"]:
    """Unit text vector of each class: the normalised mean over the templates.

    Made once for an encoder's digest, templates and classes, while the encoder lives.
    """
    kept = _kept.setdefault(encoder, {})
    key = (encoder.digest, tuple(templates), tuple(classes))
    if key not in kept:
        if len(kept) >= _LISTS_KEPT:
            kept.clear()
        texts = [template.format(name) for name in classes for template in templates]
        vectors = encoder.encode_texts(texts).double()
        kept[key] = F.normalize(vectors.view(len(classes), len(templates), -1).mean(1), dim=-1)
    return kept[key]


def class_cosines(
    batch: Batch, field: str, wording: str = "{}"
) -> tuple[Float[Tensor, "b k"], list[int | None]] | Scores:
    """Cosine with every class of a field, and the place of each picture's own class, or why there is none.

    Args:
        wording: what the catalogue's value reads as within a template, with one `{}`.
    """
    if batch.encoder is None or batch.clip is None:
        return unscored(batch, "no_encoder")
    classes = classes_of(batch, field)
    if len(classes) < 2:
        return unscored(batch, "not_applicable")
    own = [classes.index(fields[field]) if fields.get(field) in classes else None for fields in batch.fields]
    said = [wording.format(name) for name in classes]
    texts = class_texts(batch.encoder, said, batch.settings.templates).to(batch.clip.device)
    return batch.clip.double() @ texts.T, own


def classes_of(batch: Batch, field: str) -> list[str]:
    """The values that the catalogue uses for a field, each once."""
    return list(dict.fromkeys((batch.vocabulary or {}).get(field, ())))


def margins(cosines: Float[Tensor, "b k"], own: Sequence[int | None]) -> tuple[Float[Tensor, " b"], list[int]]:
    """Cosine with the own class less the best other one, and the place of that other; of the first class where the
    picture has none."""
    others = cosines.clone()
    rows = list(range(len(own)))
    at = [place or 0 for place in own]
    others[rows, at] = float("-inf")
    best = others.max(1)
    return cosines[rows, at] - best.values, best.indices.tolist()


def best_classes(batch: Batch, index: int, field: str, wording: str = "{}") -> tuple[Bar, ...]:
    """The five classes nearest to a picture and its own one, by cosine, nearest first; none where none are known."""
    found = class_cosines(batch, field, wording)
    if isinstance(found, Scores):
        return ()
    classes = classes_of(batch, field)
    cosines, own = found[0][index].tolist(), found[1][index]
    order = sorted(range(len(classes)), key=lambda place: -cosines[place])
    shown = order[:_SHOWN] + [place for place in order[_SHOWN:] if place == own]
    return tuple(Bar(classes[place], round(cosines[place], 4), place == own) for place in shown)
