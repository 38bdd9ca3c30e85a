"""`qcgen eval`: what a model's pictures are worth, each number with n, seed and error."""

import dataclasses
import io
import json as jsonlib
import math
import shutil
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import print_result, progress_shown
from qcgen.cli.options import Clip, Device, DeviceOption, Json
from qcgen.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qcgen.core.types import ModelRef
    from qcgen.pipeline.evaluate import Evaluation
    from qcgen.pipeline.realset import Show
    from qcgen.pipeline.sampling import Sampler

STEPS = 20
GUIDANCE = 2.0


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="embedded:NAME or a folder; a student or a teacher.")],
    data: Annotated[Path, typer.Option("--data", metavar="NPZ", help="The image set that the model learned from.")],
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="Pictures to make.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of captions, noise and errors.")] = 0,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="MODEL", help="Measure this one on the same captions and seeds; print ratios."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=2, metavar="N", help=f"Solver steps of a teacher ({STEPS}).")
    ] = None,
    guidance: Annotated[
        str | None,
        typer.Option("--guidance", metavar="G[,G...]", help=f"Of a teacher ({GUIDANCE:g}); several are compared."),
    ] = None,
    clip: Clip = "embedded:clip-apparel",
    other_encoder: Annotated[
        bool, typer.Option("--other-encoder", help="Although the card's numbers were made with another encoder.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Of the real set's columns.", show_default="~/.cache/qcgen"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="JSON", help="Instead of MODEL.eval.json beside the model's folder.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Measure a model against real pictures: distances, precision and recall, agreement, diversity, drift, copying.

    Example: qcgen eval embedded:apparel --data clothing128.npz --against embedded:teacher-apparel
    """
    from qcgen.cli.wiring import cache_folder, open_encoder, pick_device, prepare_torch
    from qcgen.data.imageset import read_image_set
    from qcgen.models.find import resolve_model
    from qcgen.pipeline.evaluate import Source, compare, to_json
    from qcgen.pipeline.measure import check_encoder, measure
    from qcgen.pipeline.sampling import model_kind

    scales = _read_scales(guidance)
    refs = [resolve_model(name) for name in (model, against) if name is not None]
    _check_settings([model_kind(ref) for ref in refs], steps, scales)
    prepare_torch()
    place = pick_device(device)
    encoder = open_encoder(clip, device=place)
    for ref in refs:
        if not other_encoder:
            check_encoder(ref, encoder.digest)
    pictures = read_image_set(data)

    def measured(ref: "ModelRef", scale: float) -> "Evaluation":
        sampler = load_sampler(ref, steps=steps or STEPS, guidance_scale=scale, device=place)
        found = measure(sampler, pictures, encoder, n=count, seed=seed, cache=cache or cache_folder(), watch=_shown)
        return dataclasses.replace(
            found, encoder=Source(clip, encoder.digest), data=Source(data.name, found.data.digest)
        )

    found = [measured(refs[0], scale) for scale in scales or (GUIDANCE,)]
    if against is not None:
        found = [compare(found[0], measured(refs[1], (scales or (GUIDANCE,))[0]))]
    path = out or _place(refs[0])
    best = best_scales(found)
    result = to_json(found[0]) if len(found) == 1 else {"sweep": [to_json(one) for one in found], "best": best}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(jsonlib.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = render(found) + "".join(f"\nbest by {name}: guidance {said}" for name, said in best.items())
    print_result({**result, "out": path}, as_json=json, text=f"{text}\n{path}")


def load_sampler(ref: "ModelRef", *, steps: int, guidance_scale: float, device: str) -> "Sampler":
    """A student, or a teacher with its settings."""
    from qcgen.models.embedded import load_student
    from qcgen.pipeline.sampling import model_kind, sample_student, sample_teacher

    if model_kind(ref) == "student":
        return sample_student(load_student(ref, device=device), device=device)
    return sample_teacher(ref, steps=steps, guidance_scale=guidance_scale, device=device)


def best_scales(found: "Sequence[Evaluation]") -> dict[str, str]:
    """For a sweep, the guidance with the lowest Frechet distance and that with the highest top-1, and how sure that is:
    the paired ratio to the next best."""
    from qcgen.pipeline.evaluate import compare

    if len(found) < 2:
        return {}
    said = {}
    for name, sign in (("frechet", 1), ("product_top1", -1)):
        first, second = sorted(found, key=lambda one: sign * one.measures[name].value)[:2]
        ratio = compare(first, second).ratios.get(name)
        sure = "" if ratio is None else f" ({ratio} of that of {second.guidance_scale:g})"
        said[name] = f"{first.guidance_scale:g}{sure}"
    return said


def render(found: "Sequence[Evaluation]") -> str:
    """The measures as a table: one column a model, ratios where there are two, the real pictures' numbers."""
    from rich.console import Console
    from rich.table import Table

    shown = [*found, *(one.against for one in found if one.against is not None)]
    first = found[0]
    grid = Table(
        title=f"n {first.n}, seed {first.seed}, {first.encoder.name} on {first.data.name}", title_justify="left"
    )
    grid.add_column("measure")
    for one in shown:
        head = "\n".join((one.model.name, *one.label.split(", ")))
        grid.add_column(head, justify="right", no_wrap=True)
    if first.ratios:
        grid.add_column("ratio", justify="right")
    grid.add_column("real", justify="right")
    grid.add_column("better")
    for name, estimate in first.measures.items():
        cells = [str(one.measures[name]) if name in one.measures else "" for one in shown]
        if first.ratios:
            cells.append(str(first.ratios.get(name, "")))
        better = "as real" if estimate.better == "real" else estimate.better
        grid.add_row(name.replace("_", " "), *cells, estimate.real_words, better)
    written = io.StringIO()
    width = max(shutil.get_terminal_size().columns, 120)
    Console(file=written, width=width, force_terminal=sys.stdout.isatty()).print(grid)
    return written.getvalue().rstrip()


def _read_scales(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(1 <= scale < math.inf for scale in scales):
        raise SpecError(f"--guidance: must be numbers of at least 1 (got {text!r}). Cure: --guidance 1.5,2,3")
    return scales


def _check_settings(kinds: Sequence[str], steps: int | None, scales: Sequence[float]) -> None:
    problems = []
    if "teacher" not in kinds:
        given = {"--steps": steps is not None, "--guidance": bool(scales)}
        problems += [
            f"{name}: is for a teacher, and a one-step student takes none. Cure: leave it out."
            for name, there in given.items()
            if there
        ]
    if len(kinds) > 1 and len(scales) > 1:
        problems.append(
            f"--guidance: must be one number with --against (got {len(scales)}). Cure: sweep the teacher alone first."
        )
    if problems:
        raise SpecError(problems)


def _place(ref: "ModelRef") -> Path:
    """Beside the model's folder, not in it: a file inside would change the model's digest."""
    if ref.name.startswith(("embedded:", "toy:")):
        return Path("out/eval") / f"{ref.name.replace(':', '-')}.json"
    folder = ref.folder.resolve()
    return folder.with_name(f"{folder.name}.eval.json")


@contextmanager
def _shown(label: str) -> "Iterator[Show]":
    with progress_shown(label) as show:
        yield lambda done, total: show(done, total)
