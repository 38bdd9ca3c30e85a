"""Cosines of pictures with the catalogue's classes, for the detectors that ask which garment it is."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.evidence import Bar
from qcgen.models.protocol import ImageTextEncoder
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import unscored

# Short catalogue phrases. ImageNet's eighty hold "blurry" and "jpeg corrupted", which is wrong for quality control.
TEMPLATES = ("a photo of a {}", "a product photo of a {}", "a {} for sale")


def class_texts(encoder: ImageTextEncoder, classes: Sequence[str]) -> Float[Tensor, "k d"]:
    """Unit text vector of each class: the normalised mean over the templates."""
    texts = [template.format(name) for name in classes for template in TEMPLATES]
    vectors = encoder.encode_texts(texts).double()
    return F.normalize(vectors.view(len(classes), len(TEMPLATES), -1).mean(1), dim=-1)


def class_cosines(batch: Batch, field: str) -> tuple[Float[Tensor, "b k"], list[int | None]] | Scores:
    """Cosine with every class of a field, and the place of each picture's own class, or why there is none."""
    if batch.encoder is None or batch.clip is None:
        return unscored(batch, "no_encoder")
    classes = list(dict.fromkeys((batch.vocabulary or {}).get(field, ())))
    if len(classes) < 2:
        return unscored(batch, "not_applicable")
    own = [classes.index(fields[field]) if fields.get(field) in classes else None for fields in batch.fields]
    texts = class_texts(batch.encoder, classes).to(batch.clip.device)
    return batch.clip.double() @ texts.T, own


_SHOWN = 5


def best_classes(batch: Batch, index: int, field: str) -> tuple[Bar, ...]:
    """The five classes nearest to a picture and its own one, by cosine, nearest first; none where none are known."""
    found = class_cosines(batch, field)
    if isinstance(found, Scores):
        return ()
    classes = list(dict.fromkeys((batch.vocabulary or {}).get(field, ())))
    cosines, own = found[0][index].tolist(), found[1][index]
    order = sorted(range(len(classes)), key=lambda place: -cosines[place])
    shown = order[:_SHOWN] + [place for place in order[_SHOWN:] if place == own]
    return tuple(Bar(classes[place], round(cosines[place], 4), place == own) for place in shown)
