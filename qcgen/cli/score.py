"""`qcgen score`: the checks on pictures made elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import plain, print_result, progress_shown, table
from qcgen.cli.options import AllowStale, Clip, Device, DeviceOption, Json, Profile
from qcgen.core.errors import QcgenError

if TYPE_CHECKING:
    from qcgen.pipeline.score import Scored
    from qcgen.qc.policy import Policy

Pictures = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Picture files, or folders of them.")]
Prompts = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="CSV", help="Columns file, prompt and the items' fields (product, colour)."),
]


def score(
    paths: Pictures,
    profile: Profile = "apparel",
    prompts: Prompts = None,
    clip: Clip = "embedded:clip-apparel",
    device: DeviceOption = Device.AUTO,
    allow_stale: AllowStale = False,
    json: Json = False,
) -> None:
    """Measure and judge pictures made elsewhere. Exit 1 if any is rejected.

    Example: qcgen score out/demo-apparel/images --profile apparel
    """
    from qcgen.cli.wiring import open_policy
    from qcgen.core.types import Outcome

    policy = open_policy(profile, allow_stale=allow_stale)
    scored = score_paths(paths, policy, prompts=prompts, clip=clip, device=device)
    counts = {outcome.value: sum(one.verdict.outcome is outcome for one in scored) for outcome in Outcome}
    bad = [one for one in scored if one.verdict.outcome is not Outcome.ACCEPT]
    rows = [(str(one.subject.path), str(one.verdict.outcome), "; ".join(_messages(one))) for one in bad]
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    text = "\n".join(
        [*([table(("file", "verdict", "reasons"), rows)] if rows else []), f"{len(scored)} pictures: {told}"]
    )
    print_result({"counts": counts, "pictures": [_facts(one) for one in scored]}, as_json=json, text=text)
    if counts["reject"] or counts["failed"]:
        raise typer.Exit(QcgenError.exit_code)


def score_paths(
    paths: list[Path], policy: "Policy", *, prompts: Path | None, clip: str, device: Device
) -> list["Scored"]:
    """Find, describe and score the pictures; without prompts nothing is compared with a text, and no CLIP is loaded."""
    from qcgen.cli.wiring import pick_device, prepare_torch, read_columns
    from qcgen.models.embedded import load_encoder
    from qcgen.pipeline.score import describe, find_pictures, score_files
    from qcgen.qc.inspect import Inspector

    columns = None if prompts is None else read_columns(prompts)
    subjects = describe(find_pictures(paths), columns)
    prepare_torch()
    encoder = None if columns is None else load_encoder(clip, device=pick_device(device))
    policy = policy.fit(encoder_digest=None if encoder is None else encoder.digest)
    vocabulary = {name: tuple(dict.fromkeys(cells)) for name, cells in (columns or {}).items()}
    with progress_shown("score") as show:
        return score_files(
            subjects, Inspector(policy, encoder, vocabulary), policy, tell=lambda done: show(done, len(subjects))
        )


def _messages(one: "Scored") -> list[str]:
    return [reason.message for reason in one.verdict.reasons]


def _facts(one: "Scored") -> dict[str, object]:
    return {
        "file": one.subject.path,
        "sha256": one.sha256,
        "verdict": str(one.verdict.outcome),
        "joint_p": one.verdict.joint_p,
        "reasons": plain(one.verdict.reasons),
        "measures": plain(one.measures),
    }
