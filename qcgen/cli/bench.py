"""`qcgen bench`: what the parts of the product are worth, measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import Show, print_result, progress_shown, table
from qcgen.cli.options import Clip, Device, DeviceOption, Json
from qcgen.core.errors import SpecError
from qcgen.core.wording import Problems, plain

if TYPE_CHECKING:
    from qcgen.core.qcbenchresult import QcBench
    from qcgen.pipeline.qcbench import Settings
    from qcgen.pipeline.qcdomains import Pictures
    from qcgen.qc.policy import Policy

app = typer.Typer(help="Measure the parts of the product.", no_args_is_help=True)

_SHARED = Path("../shared/data")
_STUDENT = "embedded:apparel"
_STUDENT_CLEAN = 2_000
"""With fewer, a flag rate of 2 % could not be told from 3 %."""
_PROFILES = ("apparel", "photos")


@app.callback()
def group() -> None:
    """Measure the parts of the product."""


@app.command()
def qc(
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME=PATH", help="A folder of clean pictures, or an image set (.npz)."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="DETECTOR", help="This detector; may be repeated.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few small pictures, severities 3 and 4: wide intervals.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of the split and the bootstrap.")] = 0,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="For qc.json, index.html and qc.md.")] = Path(
        "reports/bench-qc"
    ),
    write: Annotated[bool, typer.Option("--write", help="Write the tables that allow detectors to gate.")] = False,
    clip: Clip = "embedded:clip-apparel",
    teacher: Annotated[
        str, typer.Option("--teacher", metavar="MODEL", help="The diffusion model that diffusion_margin asks.")
    ] = "embedded:teacher-apparel",
    classifier: Annotated[
        str, typer.Option("--classifier", metavar="MODEL", help="What garment_class and colour_class ask.")
    ] = "embedded:classifier-apparel",
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Measure the detectors against planted defects, the layer on clean pictures, and both against people's marks.

    Without --data: the data packages in ../shared/data that are there, and what the embedded student makes.

    Example: qcgen bench qc --quick --only blur --data shoes=photos/shoes
    """
    import dataclasses

    from qcgen.cli.wiring import open_encoder, pick_device, prepare_torch
    from qcgen.core.qcbenchresult import RESULT_FILE, to_json
    from qcgen.models.classifier import check_classifier
    from qcgen.models.find import resolve_model
    from qcgen.pipeline.qcbench import FULL, QUICK, bench, for_the_layer
    from qcgen.qc.settings import Settings as QcSettings
    from qcgen.report.qcbench import write_qcbench_report

    names = _names(only)
    given = _given(data)
    settings = dataclasses.replace(QUICK if quick else FULL, seed=seed)
    prepare_torch()
    encoder = open_encoder(clip, device=pick_device(device))
    asking = QcSettings(
        teacher=resolve_model(teacher, key="--teacher"), classifier=resolve_model(classifier, key="--classifier")
    )
    if asking.classifier is not None:
        check_classifier(asking.classifier.folder)
    with progress_shown("pictures") as show:
        calibrate = for_the_layer(len(names), settings)
        domains = _domains(given, settings, calibrate=calibrate, device=pick_device(device), tell=show)
    policies = {} if only else {name: _policy(name) for name in _PROFILES}
    with progress_shown("corruptions") as show:
        result = bench(
            domains,
            names,
            settings=settings,
            encoder=encoder,
            asking=asking,
            policies=policies,
            device=pick_device(device),
            quality=_quality(),
            tell=show,
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULT_FILE).write_text(to_json(result), encoding="utf-8")
    page, _ = write_qcbench_report(result, out)
    written = _write(result) if write else []
    told = {"result": out / RESULT_FILE, "page": page, "tables": written, "seconds": result.seconds}
    counts = {state: sum(one.state == state for one in result.verdicts) for state in ("pass", "miss", "unmeasured")}
    print_result({**told, "targets": counts}, as_json=json, text=f"{render(result)}\n{page}")


def render(result: "QcBench") -> str:
    """The targets, the detectors, the layer and the cost as plain tables."""
    from qcgen.report.markdown import cell_text
    from qcgen.report.qcbench import cost_table, duplicates_table, layer_table, standing_table, targets_table

    shown = []
    for one in (
        targets_table(result),
        standing_table(result),
        layer_table(result),
        duplicates_table(result),
        cost_table(result),
    ):
        head = tuple(column.title for column in one.columns)
        shown.append(f"{one.caption}\n{table(head, [tuple(map(cell_text, row)) for row in one.rows])}")
    return "\n\n".join(shown)


def _names(only: Sequence[str] | None) -> list[str]:
    from qcgen.qc.profile import add_unknown
    from qcgen.qc.registry import find_detectors

    problems = Problems()
    add_unknown(problems, only or (), lambda name: f"--only {plain(name)}")
    problems.stop_if_any()
    return list(only or find_detectors())


def _policy(name: str) -> "Policy | str":
    from qcgen.core.errors import PrerequisiteError
    from qcgen.qc.policy import read_policy

    try:
        return read_policy(name)
    except PrerequisiteError as error:
        # A detector that has just changed makes every calibration stale, and is measured before it is calibrated.
        return str(error)


def _quality() -> list[str]:
    """What gates pictures of any kind: nothing in it knows what was asked for."""
    from qcgen.qc.profile import find_profile, read_profile

    return [name for name, rule in read_profile(find_profile("photos")).detectors.items() if rule.importance > 0]


def _given(data: Sequence[str] | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    problems = []
    for text in data or ():
        name, _, place = text.partition("=")
        if not name or not place or not all(letter.isalnum() or letter in "-_" for letter in name):
            problems.append(
                f"--data: must be NAME=PATH, NAME of letters, digits, - and _ (got {text!r}). Cure: shoes=photos."
            )
        elif name in found:
            problems.append(f"--data: the name {name!r} is given twice. Cure: rename one.")
        elif not Path(place).exists():
            problems.append(f"--data: {place} does not exist. Cure: check the path.")
        found[name] = Path(place)
    if problems:
        raise SpecError(problems)
    return found


def _domains(
    given: dict[str, Path], settings: "Settings", *, calibrate: int, device: str, tell: Show
) -> "list[Pictures]":
    """The given places, or what is there of the data packages; without any there is nothing to measure on."""
    from qcgen.pipeline.packshots import packshots
    from qcgen.pipeline.qcdomains import by_group, read_folder, read_packed

    sizes = settings.sizes
    if given:
        return [
            read_packed(name, place, sizes=sizes, seed=settings.seed)
            if place.suffix == ".npz"
            else read_folder(name, place, side=sizes.side)
            for name, place in given.items()
        ]
    photos, catalog = _SHARED / "qc-photos" / "images", _SHARED / "catalog-eshop" / "images"
    packed, marked = _SHARED / "clothing128" / "clothing128.npz", _SHARED / "qc-aigc" / "images"
    found: list[Pictures] = []
    if packed.is_file():
        clothing = read_packed("clothing128", packed, sizes=sizes, seed=settings.seed)
        found += [clothing, _student(clothing, calibrate, settings, device=device, tell=tell)]
    if photos.is_dir():
        found += by_group(read_folder("photos", photos, side=sizes.side))
    found += [read_folder("eshop", catalog, side=sizes.side)] if catalog.is_dir() else []
    found += [read_folder("aigc", marked, side=sizes.side)] if marked.is_dir() else []
    whole = packshots([one for one in found if one.name != "student"])
    found += [] if whole is None else [whole]
    if not found:
        raise SpecError(f"--data: nothing to measure on, and no data packages in {_SHARED}. Cure: --data NAME=DIR.")
    return found


def _student(like: "Pictures", calibrate: int, settings: "Settings", *, device: str, tell: Show) -> "Pictures":
    from qcgen.models.embedded import load_student
    from qcgen.models.find import resolve_model
    from qcgen.pipeline.qcdomains import draw_student
    from qcgen.pipeline.sampling import sample_student

    sampler = sample_student(load_student(resolve_model(_STUDENT), device=device), device=device)
    sizes, seed = settings.sizes, settings.seed
    clean = 0 if settings.quick else _STUDENT_CLEAN
    return draw_student("student", sampler, like, sizes=sizes, calibrate=calibrate, clean=clean, seed=seed, tell=tell)


def _write(result: "QcBench") -> list[Path]:
    from qcgen.qc.proof import write_proofs

    return write_proofs(
        result.standings, domains=[one.name for one in result.domains], made=result.created, quick=result.quick
    )
