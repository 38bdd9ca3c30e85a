"""What a trained model descends from: its pictures and the models that its training used."""

from pathlib import Path

from qcgen.core.trainspec import (
    ArtifactHeadTraining,
    AutoencoderTraining,
    ClassifierTraining,
    StockDecoderTraining,
    TeacherTraining,
    Training,
)
from qcgen.core.types import Lineage, ModelRef
from qcgen.models.card import read_card
from qcgen.models.find import resolve_model

OWN = "LicenseRef-own"
"""Of a model that somebody trained from pictures: it is theirs, within what its lineage allows."""


def descent(spec: Training) -> tuple[Lineage, ...]:
    """The models that a training used, each with all that it descends from, and the pictures.

    Raises:
        SpecError: a model's name is unknown, or its card is damaged.
        PrerequisiteError: a model's folder is missing.
    """
    edges = [edge for key, relation, name in _parents(spec) for edge in _edges(relation, resolve_model(name, key=key))]
    if isinstance(spec, AutoencoderTraining) and spec.samples is not None:
        edges += _of_pairs(spec.samples)
    pictures = Lineage("trained_on", spec.data.path.name, spec.data_licence)
    return tuple(dict.fromkeys([*edges, pictures]))


def own_licence(spec: Training) -> str | None:
    """A decoder that was distilled from a student's is under the student's licence; what was trained from pictures is
    its maker's own."""
    return resolve_model(spec.student).card.licence if isinstance(spec, StockDecoderTraining) else OWN


def _parents(spec: Training) -> list[tuple[str, str, str]]:
    """(key of the job, relation, name) of each model that is given."""
    given: list[tuple[str, str, str | Path | None]] = []
    if isinstance(spec, TeacherTraining):
        given = [("clip", "includes", spec.clip), ("autoencoder", "includes", spec.autoencoder)]
    elif isinstance(spec, AutoencoderTraining):
        given = [("init", "initialised_from", spec.init), ("perceptual", "trained_with", spec.perceptual)]
    elif isinstance(spec, StockDecoderTraining):
        given = [("student", "distilled_from", spec.student), ("perceptual", "trained_with", spec.perceptual)]
    elif isinstance(spec, ArtifactHeadTraining):
        given = [("student", "trained_on_outputs_of", spec.student)]
    elif isinstance(spec, ClassifierTraining):
        given = [("clip", "initialised_from", spec.clip)]
    return [(key, relation, str(name)) for key, relation, name in given if name is not None]


def _edges(relation: str, ref: ModelRef) -> list[Lineage]:
    # A folder's path says nothing elsewhere, and it may say too much.
    name = ref.name if ref.name.startswith(("embedded:", "toy:")) else ref.card.name
    return [Lineage(relation, name, ref.card.licence or "", ref.digest), *ref.card.lineage]


def _of_pairs(samples: Path) -> list[Lineage]:
    """Latents that a teacher made hand its terms on; its student's card, beside them, tells which they are."""
    card = read_card(samples.parent / "student")
    return [Lineage("distilled_from", f"{samples.name} of {card.name}", card.licence or ""), *card.lineage]
