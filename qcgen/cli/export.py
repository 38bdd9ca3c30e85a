"""`qcgen models export`: a student for programs that do not have qcgen."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qcgen.cli.console import print_result, say
from qcgen.cli.options import Json


class Purpose(StrEnum):
    COMMERCIAL = "commercial"
    RESEARCH = "research"


def export(
    student: Annotated[
        str, typer.Argument(metavar="STUDENT", help="A student's folder, or embedded:NAME.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.", show_default=False)],
    vae: Annotated[
        Path | None,
        typer.Option(
            "--vae",
            metavar="DIR",
            help="A stock autoencoder of the student's latents, in place of its own or the embedded one.",
        ),
    ] = None,
    purpose: Annotated[Purpose, typer.Option("--purpose", help="What the licence gate asks.")] = Purpose.RESEARCH,
    json: Json = False,
) -> None:
    """Write a student as a diffusers pipeline that loads without qcgen, compared with the student picture by picture.

    Example: qcgen models export embedded:apparel --out out/export/apparel
    """
    from qcgen.cli.wiring import prepare_torch
    from qcgen.models.find import resolve_model
    from qcgen.pipeline.export import export_stock

    prepare_torch()
    made = export_stock(resolve_model(student), out, vae=vae, purpose=purpose.value, say=say)
    facts = {"folder": made.folder, "latents": made.latents, "pixels": made.pixels, "decoder_db": made.decoder_db}
    print_result(facts, as_json=json, text=f"pipeline: {made.folder}\ncard: {made.folder / 'README.md'}")
