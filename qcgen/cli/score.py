"""`qcgen score`: the checks on pictures made elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import plain, print_result, progress_shown, table
from qcgen.cli.options import AllowStale, Clip, Device, DeviceOption, Json, Profile
from qcgen.core.errors import QcgenError, SpecError
from qcgen.core.wording import file_name

if TYPE_CHECKING:
    from qcgen.core.evidence import Record
    from qcgen.pipeline.score import Scored
    from qcgen.qc.policy import Policy
    from qcgen.report.scored import ScoredFile

MEGAPIXELS = 50.0
"""The most that a picture may have."""

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
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write index.html, scores.csv and evidence there.")
    ] = None,
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", min=0.01, max=1000, help="Larger pictures are not scored.")
    ] = MEGAPIXELS,
    screen: Annotated[
        int,
        typer.Option(
            "--screen",
            metavar="PX",
            min=0,
            help="A quick look: shrink larger pictures by 2, 4 or 8 to no less than this short side. 0: as they are.",
        ),
    ] = 0,
    device: DeviceOption = Device.AUTO,
    allow_stale: AllowStale = False,
    json: Json = False,
) -> None:
    """Measure and judge pictures made elsewhere. Exit 1 if any is rejected or cannot be read.

    Example: qcgen score out/demo-apparel/images --profile apparel --out reports/scores
    """
    from qcgen.cli.wiring import open_policy
    from qcgen.core.types import Outcome

    policy = open_policy(profile, allow_stale=allow_stale)
    scored = score_paths(
        paths, policy, prompts=prompts, clip=clip, device=device, megapixels=max_megapixels, screen=screen
    )
    counts = {outcome.value: sum(one.verdict.outcome is outcome for one in scored) for outcome in Outcome}
    bad = [one for one in scored if one.verdict.outcome is not Outcome.ACCEPT]
    rows = [(file_name(one.subject.path), str(one.verdict.outcome), "; ".join(_messages(one))) for one in bad]
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    lines = [table(("file", "verdict", "reasons"), rows)] if rows else []
    lines.append(f"{len(scored)} files: {told}")
    written = None
    if out is not None:
        shown = _explain(
            scored, out, policy, prompts=prompts, clip=clip, device=device, megapixels=max_megapixels, screen=screen
        )
        written = _write(scored, out, policy, shown)
    lines += [] if written is None else [str(written)]
    result = {"counts": counts, "report": written, "pictures": [_facts(one) for one in scored]}
    print_result(result, as_json=json, text="\n".join(lines))
    if counts["reject"] or counts["failed"]:
        raise typer.Exit(QcgenError.exit_code)


def score_paths(
    paths: list[Path],
    policy: "Policy",
    *,
    prompts: Path | None,
    clip: str,
    device: Device,
    megapixels: float = MEGAPIXELS,
    screen: int = 0,
) -> list["Scored"]:
    """Find, describe and score the pictures, with a row for each file that cannot be read.

    Without prompts nothing is compared with a text, and the CLIP is loaded only for what needs none.
    """
    from qcgen.cli.wiring import open_encoder, pick_device, prepare_torch, read_columns
    from qcgen.data.decoder import Limits
    from qcgen.data.pictures import ENDINGS, find_files
    from qcgen.pipeline.score import Subject, describe, refuse, score_files
    from qcgen.qc.inspect import Inspector

    columns = None if prompts is None else read_columns(prompts)
    found = find_files(paths)
    if not found.pictures and not found.refused:
        given = ", ".join(map(file_name, paths))
        raise SpecError(f"no pictures in {given}. Cure: name a folder that holds {', '.join(sorted(ENDINGS))}.")
    subjects = describe(found.pictures, columns)
    prepare_torch()
    references = policy.settings.references
    asked = columns is not None or policy.settings.unwanted or (references and references.encoder)
    encoder = open_encoder(clip, device=pick_device(device)) if asked else None
    policy = policy.fit(encoder_digest=None if encoder is None else encoder.digest)
    vocabulary = {name: tuple(dict.fromkeys(cells)) for name, cells in (columns or {}).items()}
    refused = [refuse(Subject(path, "", {}), why, policy) for path, why in found.refused]
    with progress_shown("score") as show:
        scored = score_files(
            subjects,
            Inspector(policy, encoder, vocabulary),
            policy,
            tell=lambda done: show(done, len(subjects)),
            limits=Limits(pixels=round(1e6 * megapixels)),
            least_side=screen,
        )
    return [*scored, *refused]


def _explain(
    scored: list["Scored"],
    folder: Path,
    policy: "Policy",
    *,
    prompts: Path | None,
    clip: str,
    device: Device,
    megapixels: float,
    screen: int,
) -> dict[Path, "Record"]:
    """What shows why the doubtful files are doubtful, in the report's folder."""
    from qcgen.cli.evidence import explain_scored
    from qcgen.cli.wiring import open_encoder, pick_device, read_columns
    from qcgen.qc.inspect import Inspector

    def inspector() -> Inspector:
        columns = None if prompts is None else read_columns(prompts)
        asked = columns is not None or policy.settings.unwanted
        encoder = open_encoder(clip, device=pick_device(device)) if asked else None
        return Inspector(
            policy, encoder, {name: tuple(dict.fromkeys(cells)) for name, cells in (columns or {}).items()}
        )

    return explain_scored(scored, folder, policy, inspector, pixels=round(1e6 * megapixels), screen=screen)


def _write(scored: list["Scored"], folder: Path, policy: "Policy", shown: dict[Path, "Record"]) -> Path:
    from qcgen.report.scored import write_scored_report

    rows = [_row(one, shown.get(one.subject.path)) for one in scored]
    return write_scored_report(rows, folder, policy=f"profile {policy.name}")[0]


def _row(one: "Scored", evidence: "Record | None") -> "ScoredFile":
    from qcgen.core.types import Score, Unscored
    from qcgen.report.scored import ScoredFile

    return ScoredFile(
        name=file_name(one.subject.path),
        sha256=one.sha256,
        outcome=one.verdict.outcome,
        joint_p=one.verdict.joint_p,
        reasons=one.verdict.reasons,
        measures={each.detector: each.value for each in one.measures if isinstance(each, Score)},
        unscored={each.detector: each.reason for each in one.measures if isinstance(each, Unscored)},
        evidence=evidence,
    )


def _messages(one: "Scored") -> list[str]:
    return [reason.message for reason in one.verdict.reasons]


def _facts(one: "Scored") -> dict[str, object]:
    return {
        "file": file_name(one.subject.path),
        "sha256": one.sha256,
        "verdict": str(one.verdict.outcome),
        "joint_p": one.verdict.joint_p,
        "reasons": plain(one.verdict.reasons),
        "measures": plain(one.measures),
    }
