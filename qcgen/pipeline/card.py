"""A model's card for people: CARD.md, rendered from qcgen_model.json and the files of the folder alone."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2
from safetensors import safe_open

from qcgen.core.errors import SpecError
from qcgen.core.types import Card, ModelRef
from qcgen.models.card import CARD_FILE, digest, read_card, shared_parts
from qcgen.pipeline.evaluate import Evaluation, compare, parse_evaluation, read_evaluation, to_json

PAGE = "CARD.md"
SHEET = "sheet.webp"
FIGURE = "nearest.svg"
SHEET_COLUMNS = 8

_WEIGHTS = ("artifact_head", "classifier", "diffusion_pytorch_model", "model", "open_clip_model")
"""Beginnings of weights' names: a training's checkpoint and latents, which may lie beside them, are no part."""
_SECTIONS = (("use", "Use"), ("limits", "Limits"), ("data", "Data"), ("recipe", "Recipe"))
"""Notes of qcgen_model.json that the card prints as a list; `summary` goes to the title, `background` to the end."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet: `columns` pictures a prompt, seeds from the first to the last in reading order."""

    prompts: tuple[str, ...]
    seeds: tuple[int, int]
    columns: int = SHEET_COLUMNS
    file: str = SHEET


def read_measures(ref: ModelRef, path: Path, teacher: Path | None = None) -> Evaluation:
    """An evaluation of exactly this model, beside its teacher's where one is given.

    Raises:
        SpecError: it was made of other weights, or the two do not compare.
    """
    mine = read_evaluation(path)
    if mine.model.digest != ref.digest:
        raise SpecError(
            f"{path}: measured {mine.model.name} with the digest {mine.model.digest[:16]}, but {ref.name} has "
            f"{ref.digest[:16]}. Cure: qcgen eval {ref.name} --data NPZ --out {path}"
        )
    return mine if teacher is None else compare(mine, read_evaluation(teacher))


def default_sheet(prompts: tuple[str, ...]) -> Sheet:
    """Eight seeds a prompt, counted from 0."""
    return Sheet(prompts, (0, SHEET_COLUMNS * len(prompts) - 1))


def write_facts(folder: Path, evaluation: Evaluation | None, sheet: Sheet | None) -> None:
    """Put the measures and the sheet's facts into qcgen_model.json; what is None stays as it is.

    Raises:
        SpecError: the folder has no card to put them in.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise SpecError(
            f"{folder}: has no {CARD_FILE}. Cure: write one with name, kind, licence and lineage, like those of the "
            "embedded models."
        )
    body = json.loads(path.read_text(encoding="utf-8"))
    if evaluation is not None:
        body["measures"] = to_json(evaluation, repeated=False)
    if sheet is not None:
        body["sheet"] = asdict(sheet)
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def write_page(folder: Path) -> Path:
    """Write CARD.md from what is in the folder; returns its path."""
    path = folder / PAGE
    path.write_text(render_page(folder), encoding="utf-8")
    return path


def render_page(folder: Path) -> str:
    """The text of CARD.md: a function of the folder's files.

    Raises:
        SpecError: qcgen_model.json is not a card.
    """
    card = read_card(folder)
    evaluation = card_evaluation(card)
    body = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qcgen.pipeline"),
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{PAGE}.j2").render(
        card=card,
        notes=card.notes,
        sections=_SECTIONS,
        parts=describe_parts(folder),
        digest=digest(folder),
        evaluation=evaluation,
        tables=None if evaluation else _tables(card.measures),
        copying=_copying(evaluation),
        figure=FIGURE if (folder / FIGURE).is_file() else None,
        sheet=body.get("sheet") if (folder / SHEET).is_file() else None,
    )


def card_evaluation(card: Card) -> Evaluation | None:
    """The evaluation that a card holds; None if its measures are of another kind."""
    if "nearest" not in card.measures or "encoder" not in card.measures:
        return None
    return parse_evaluation(json.dumps(card.measures), f"{card.name}: {CARD_FILE}: measures")


def describe_parts(folder: Path) -> list[str]:
    """Each network of a model folder: class, parameters in millions, where it is shared from."""
    shared = shared_parts(folder)
    parts = []
    for name in ("", "unet", "vae", "text_encoder"):
        place = shared.get(name, folder / name)
        weights = [file for file in sorted(place.glob("*.safetensors")) if file.name.startswith(_WEIGHTS)]
        if weights:
            origin = f", shared with {place.parent.name}" if name in shared else ""
            parts.append(f"{_class_of(place)}{_latents(place)} {_parameters(weights) / 1e6:.2f} M{origin}")
    return parts


def _class_of(place: Path) -> str:
    for file in ("config.json", "open_clip_config.json"):
        if (place / file).is_file():
            config = json.loads((place / file).read_text(encoding="utf-8"))
            named = config.get("_class_name") or (config.get("architectures") or ["open_clip"])[0]
            return f"{named}"
    return place.name


def _latents(place: Path) -> str:
    """` on 8 x 8 x 24 latents` for a UNet."""
    if place.name != "unet" or not (place / "config.json").is_file():
        return ""
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    side = config["sample_size"]
    return f" on {side} x {side} x {config['in_channels']} latents"


def _parameters(files: list[Path]) -> int:
    total = 0
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no mapping)
                size = 1
                for side in tensors.get_slice(name).get_shape():
                    size *= side
                total += size
    return total


def _copying(evaluation: Evaluation | None) -> str:
    """What the memorisation test says, in words."""
    if evaluation is None or "copying_z" not in evaluation.measures:
        return ""
    z, auc, tail = (evaluation.measures[f"copying_{name}"] for name in ("z", "auc", "tail"))
    if z.value < -3:
        verdict = "Nearer to the training pictures than new photos are: copies, or too little variety. Look at them."
    elif tail.value > 0.01 + 3 * tail.error:
        verdict = "Some pictures are nearer to the training pictures than new photos ever are. Look at them."
    else:
        verdict = "No sign of copies in these features."
    return (
        f"{verdict} In {auc} of pairs the generated picture is nearer to a training picture than the held-out photo is "
        f"(50 % is ideal; z = {z}, alarm below -3). {tail} are nearer than the nearest hundredth of held-out photos "
        "(1 % is ideal)."
    )


def _tables(measures: Mapping[str, object]) -> str:
    """Measures of other kinds (a CLIP's splits) as a Markdown table: a row for each mapping."""
    rows = {name: value for name, value in measures.items() if isinstance(value, Mapping)}
    if not rows:
        return ""
    names = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [f"| | {' | '.join(name.replace('_', ' ') for name in names)} |", "| --- |" + " ---: |" * len(names)]
    for title, row in rows.items():
        cells = [_number(row.get(name)) for name in names]
        lines.append(f"| {title.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
