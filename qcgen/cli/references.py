"""`qcgen references`: what pictures must not copy."""

from pathlib import Path
from typing import Annotated

import typer

from qcgen.cli.console import print_result, progress_shown, warn
from qcgen.cli.options import Device, DeviceOption, Json
from qcgen.core.wording import several


def references(
    source: Annotated[
        Path, typer.Argument(metavar="SET|DIR", help="An image set (.npz) or a folder of pictures.", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.npz", help="The file that a profile's `references` names.")],
    clip: Annotated[
        str | None, typer.Option("--clip", metavar="MODEL", help="Write embeddings by this CLIP too.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Write the perceptual hashes of training or reference pictures, for the detector `memorisation`.

    Example: qcgen references photos/bought --to profiles/bought.npz
    """
    from qcgen.cli.wiring import open_encoder, pick_device, prepare_torch
    from qcgen.core.errors import SpecError
    from qcgen.pipeline.references import make_references

    if to.suffix != ".npz":
        raise SpecError(f"--to: must end in .npz (got {to.name!r}). Cure: --to {to.stem}.npz")
    if not source.exists():
        raise SpecError(f"SET|DIR: {str(source)!r} does not exist. Cure: an image set (.npz) or a folder of pictures.")
    prepare_torch()
    encoder = None if clip is None else open_encoder(clip, device=pick_device(device))
    with progress_shown("pictures") as show:
        made = make_references(source, to, encoder=encoder, tell=show)
    warn([f"{name}: left out, {reason}" for name, reason in made.left_out.items()])
    result = {"references": to, "pictures": made.count, "left_out": len(made.left_out), "bytes": to.stat().st_size}
    print_result(result, as_json=json, text=f"{to}: {several(made.count, 'picture')}, {len(made.left_out)} left out")
