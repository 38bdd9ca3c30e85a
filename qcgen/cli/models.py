"""`qcgen models`: the models that jobs can name, with digests, licences and cards."""

from typing import Annotated

import typer

from qcgen.cli.console import plain, print_result, table
from qcgen.cli.options import Json

app = typer.Typer(help="The models that jobs can name.", no_args_is_help=True)


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
    lines += [f"{name}: {value}" for name, value in [*card.measures.items(), *card.notes.items()]]
    print_result(
        {"name": ref.name, "folder": ref.folder, "digest": ref.digest, "card": plain(card)},
        as_json=json,
        text="\n".join(lines),
    )
