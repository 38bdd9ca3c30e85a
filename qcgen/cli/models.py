"""`qcgen models`: the models that jobs can name, with digests, licences and cards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli import export
from qcgen.cli.console import plain, print_result, table
from qcgen.cli.options import Device, DeviceOption, Json
from qcgen.core.errors import SpecError
from qcgen.core.types import Card, ModelRef

if TYPE_CHECKING:
    from qcgen.pipeline.evaluate import Evaluation

app = typer.Typer(help="The models that jobs can name.", no_args_is_help=True)
app.command()(export.export)


@app.command("list")
def list_models(json: Json = False) -> None:
    """List the embedded models.

    Example: qcgen models list
    """
    from qcgen.models.find import embedded_models, resolve_model

    refs = [resolve_model(f"embedded:{name}") for name in embedded_models()]
    rows = [(ref.name, ref.card.kind, ref.card.licence or "-", ref.digest[:16]) for ref in refs]
    result = {"models": [{"name": ref.name, "digest": ref.digest, "card": plain(ref.card)} for ref in refs]}
    print_result(result, as_json=json, text=table(("name", "kind", "licence", "digest"), rows))


@app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="embedded:NAME or a folder.")],
    json: Json = False,
) -> None:
    """Show a model's card: licence, lineage, measures.

    Example: qcgen models show embedded:apparel
    """
    from qcgen.models.find import resolve_model

    ref = resolve_model(model)
    card = ref.card
    lines = [
        f"{ref.name} ({card.kind})",
        f"folder   {ref.folder}",
        f"digest   {ref.digest}",
        f"licence  {card.licence or 'not declared'}",
    ]
    lines += [f"lineage  {edge.relation} {edge.parent} ({edge.licence})" for edge in card.lineage]
    if not card.declared:
        lines.append("lineage  not declared: commercial jobs will not run with it")
    lines += [f"{name}: {value}" for name, value in card.notes.items()]
    lines += _measures(card)
    print_result(
        {"name": ref.name, "folder": ref.folder, "digest": ref.digest, "card": plain(card)},
        as_json=json,
        text="\n".join(lines),
    )


@app.command()
def card(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="embedded:NAME or a published folder.")],
    measured: Annotated[
        Path | None, typer.Option("--eval", metavar="JSON", help="What `qcgen eval MODEL` wrote of these weights.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option("--teacher-eval", metavar="JSON", help="The teacher's, for a column and ratios.")
    ] = None,
    sheet: Annotated[bool, typer.Option(help="Draw the contact sheet of unpicked pictures anew.")] = True,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Write a published model's CARD.md, contact sheet and figure from its qcgen_model.json and its evaluation.

    Without --eval the page is written again from the facts that are there.

    Example: qcgen models card embedded:apparel --eval student.json
    """
    from qcgen.models.find import resolve_model
    from qcgen.pipeline.card import read_measures, write_facts, write_page

    if teacher is not None and measured is None:
        raise SpecError("--teacher-eval: needs --eval beside it. Cure: give both, or neither.")
    ref = resolve_model(model)
    evaluation = None if measured is None else read_measures(ref, measured, teacher)
    write_facts(ref.folder, evaluation, None)
    if evaluation is not None:
        _draw_figure(ref, evaluation)
        if sheet:
            _draw_sheet(ref, evaluation, device)
    page = write_page(ref.folder)
    print_result({"model": ref.name, "digest": ref.digest, "card": page}, as_json=json, text=str(page))


def _draw_figure(ref: ModelRef, evaluation: "Evaluation") -> None:
    from qcgen.pipeline.card import FIGURE
    from qcgen.report.figure import two_histograms

    found = evaluation.nearest
    drawn = two_histograms(
        "cosine distance to the nearest training picture",
        edges=found.edges,
        one=("generated pictures", found.generated),
        other=("held-out photos", found.held_out),
    )
    (ref.folder / FIGURE).write_text(drawn, encoding="utf-8")


def _draw_sheet(ref: ModelRef, evaluation: "Evaluation", device: Device) -> None:
    from qcgen.cli.evaluate import load_sampler
    from qcgen.cli.wiring import pick_device, prepare_torch
    from qcgen.pipeline.card import default_sheet, write_facts
    from qcgen.pipeline.measure import contact_sheet

    prepare_torch()
    sampler = load_sampler(
        ref,
        steps=evaluation.solver_steps or max(evaluation.network_calls // 2, 1),
        guidance_scale=evaluation.guidance_scale or 1.0,
        device=pick_device(device),
    )
    facts = default_sheet(evaluation.prompts)
    first, last = facts.seeds
    prompts = [prompt for prompt in facts.prompts for _ in range(facts.columns)]
    contact_sheet(sampler, prompts, list(range(first, last + 1)), ref.folder / facts.file, columns=facts.columns)
    write_facts(ref.folder, None, facts)


def _measures(card: Card) -> list[str]:
    """An evaluation's measures one a line, other kinds as they are."""
    from qcgen.pipeline.card import card_evaluation

    evaluation = card_evaluation(card)
    if evaluation is None:
        return [f"{name}: {value}" for name, value in card.measures.items()]
    head = [f"measured: n {evaluation.n}, seed {evaluation.seed}, {evaluation.encoder.name} on {evaluation.data.name}"]
    return head + [f"{name}: {estimate}" for name, estimate in evaluation.measures.items()]
