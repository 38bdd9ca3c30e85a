"""`qcgen score`: the checks on pictures made elsewhere."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import plain, print_result, progress_shown, say, table, warn
from qcgen.cli.options import AllowStale, Clip, Device, DeviceOption, Json, Profile
from qcgen.core.errors import PausedError, PrerequisiteError, QcgenError, SpecError
from qcgen.core.wording import file_name, part_of, several

if TYPE_CHECKING:
    from qcgen.core.evidence import Record
    from qcgen.data.decoder import Refused
    from qcgen.models.encoder import OpenClipEncoder
    from qcgen.pipeline.score import Scored, Subject
    from qcgen.qc.policy import Policy
    from qcgen.report.scored import ScoredFile

MEGAPIXELS = 50.0
"""The most that a picture may have."""
_UNASKED = ("no_encoder", "no_prompt")
"""Why a required score is missing where nobody says what was asked for."""

Pictures = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Picture files, or folders of them.")]
Prompts = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="CSV", help="Columns file, prompt and the items' fields (product, colour)."),
]


@dataclass(frozen=True, slots=True)
class How:
    """With what files are scored; `screen` px is the short side that a quick look keeps, 0 for none."""

    clip: str
    device: Device
    megapixels: float = MEGAPIXELS
    screen: int = 0

    @property
    def pixels(self) -> int:
        return round(1e6 * self.megapixels)


@dataclass(frozen=True, slots=True)
class Listed:
    """Files to score, those that cannot be with the reason, and the table of prompts where one was given."""

    subjects: "list[Subject]"
    refused: "list[tuple[Subject, Refused]]"
    columns: Mapping[str, Sequence[str]] | None

    @property
    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(dict.fromkeys(cells)) for name, cells in (self.columns or {}).items()}


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
    """Measure and judge pictures made elsewhere. Exit 1 if any is rejected or cannot be judged.

    Example: qcgen score photos --profile photos --out reports/scores
    """
    from qcgen.cli.wiring import open_policy
    from qcgen.core.types import Outcome
    from qcgen.pipeline.hold import hold_folder

    policy = open_policy(profile, key="--profile", allow_stale=allow_stale)
    listed = list_files(paths, prompts)
    how = How(clip, device, max_megapixels, screen)
    with nullcontext() if out is None else hold_folder(out, key="--out", say=say):
        scored = score_listed(listed, policy, how)
        written, lost = (None, None) if out is None else _report(scored, out, policy, listed, how)
    counts = {outcome.value: sum(one.verdict.outcome is outcome for one in scored) for outcome in Outcome}
    result = {"counts": counts, "report": written, "pictures": [_facts(one) for one in scored]}
    lines = [*_lines(scored, counts), *([] if written is None else [str(written)])]
    print_result(result | ({} if lost is None else {"problems": [str(lost)]}), as_json=json, text="\n".join(lines))
    if listed.columns is None:
        _tell_unasked(scored, policy)
    if lost is not None:
        say(f"{lost}\nThe verdicts are printed; the report is not whole.")
    code = _exit_code(scored, policy) if lost is None else lost.exit_code
    if code:
        raise typer.Exit(code)


def _tell_unasked(scored: list["Scored"], policy: "Policy") -> None:
    """Where a profile requires what only prompts give, every picture is flagged and none can be mended."""
    lacking = [
        {one.evidence["detector"] for one in each.verdict.reasons if one.evidence.get("reason") in _UNASKED}
        for each in scored
    ]
    names = sorted(set().union(*lacking))
    if names:
        which = part_of(sum(map(bool, lacking)), len(scored), "file", "cannot", "cannot")
        say(
            f"profile {policy.name} requires {', '.join(names)}, of which nothing can be said without what was asked "
            f"for: {which} be accepted. Cure: --prompts CSV with the columns file (the end of a picture's path), "
            "prompt and the items' fields; or a profile that requires none, such as photos."
        )


def _exit_code(scored: list["Scored"], policy: "Policy") -> int:
    """That of a finding, or where the calibration fits no picture at all, that of something missing."""
    from qcgen.core.types import Outcome
    from qcgen.pipeline.score import fits_none

    if fits_none(scored):
        say(
            f"profile {policy.name}: its calibration fits no picture here, so none was judged. Cure: another profile, "
            "such as photos; qcgen calibrate on pictures of this size; or --allow-stale."
        )
        return PrerequisiteError.exit_code
    bad = any(one.verdict.outcome in (Outcome.REJECT, Outcome.FAILED) for one in scored)
    return QcgenError.exit_code if bad else 0


def list_files(paths: list[Path], prompts: Path | None) -> Listed:
    """Find the pictures and what was asked for of each.

    Raises:
        SpecError: a path does not exist, there is nothing to score, or the table does not fit.
    """
    from qcgen.cli.wiring import read_columns
    from qcgen.data.pictures import ENDINGS, find_files
    from qcgen.pipeline.score import Subject, describe

    columns = None if prompts is None else read_columns(prompts)
    found = find_files(paths)
    if not found.pictures and not found.refused:
        given = ", ".join(map(file_name, paths))
        raise SpecError(f"no pictures in {given}. Cure: name a folder that holds {', '.join(sorted(ENDINGS))}.")
    if found.without_ending:
        what = several(found.without_ending, "file without an ending was", "files without an ending were")
        warn([f"{what} left out. Cure: name the pictures among them .png, .jpg or what they are."])
    subjects = describe(found.pictures, columns)
    return Listed(subjects, [(Subject(path, "", {}), why) for path, why in found.refused], columns)


def score_listed(listed: Listed, policy: "Policy", how: "How") -> list["Scored"]:
    """Score the pictures, with a row for each file that cannot be read.

    Without prompts nothing is compared with a text, and the CLIP is loaded only for what needs none.
    """
    from qcgen.cli.wiring import prepare_torch
    from qcgen.data.decoder import Limits
    from qcgen.pipeline.score import refuse, score_files
    from qcgen.qc.inspect import Inspector

    prepare_torch()
    references = policy.settings.references
    encoder = _encoder(listed, policy, how, always=bool(references and references.encoder))
    policy = policy.fit(encoder_digest=None if encoder is None else encoder.digest)
    refused = [refuse(subject, why, policy) for subject, why in listed.refused]
    with progress_shown("score") as show:
        scored = score_files(
            listed.subjects,
            Inspector(policy, encoder, listed.vocabulary),
            policy,
            tell=lambda done: show(done, len(listed.subjects)),
            limits=Limits(pixels=how.pixels),
            least_side=how.screen,
        )
    return [*scored, *refused]


def _encoder(listed: Listed, policy: "Policy", how: "How", *, always: bool = False) -> "OpenClipEncoder | None":
    from qcgen.cli.wiring import open_encoder, pick_device

    if listed.columns is None and not policy.settings.unwanted and not always:
        return None
    return open_encoder(how.clip, device=pick_device(how.device))


def _report(
    scored: list["Scored"], folder: Path, policy: "Policy", listed: Listed, how: "How"
) -> tuple[Path | None, QcgenError | None]:
    """The report's page, or why there is none. The results come first; evidence takes only what place they leave."""
    from qcgen.generate.write import explain
    from qcgen.report.scored import SCORES, write_scores

    rows = [_row(one, None) for one in scored]
    path = folder / SCORES
    try:
        write_scores(rows, folder)
        path = _write_page(rows, folder, policy)
    except OSError as error:
        told = explain(error, path, key="--out")
        return None, told if isinstance(told, QcgenError) else PausedError(f"--out: {told}. Cure: another folder.")
    _show(scored, folder, policy, listed, how)
    return path, None


def _show(scored: list["Scored"], folder: Path, policy: "Policy", listed: Listed, how: "How") -> None:
    """The page again, with evidence. What goes wrong is told and costs the evidence alone."""
    from qcgen.core.evidence import keep_only

    try:
        shown = _explain(scored, folder, policy, listed, how)
        if shown:
            _write_page([_row(one, shown.get(one.subject.path)) for one in scored], folder, policy)
    except (OSError, QcgenError) as error:
        keep_only(folder, set())
        why = getattr(error, "strerror", None) or error
        warn([f"evidence: the page has none ({why}). The verdicts stand. Cure: free space, then the same command."])


def _write_page(rows: list["ScoredFile"], folder: Path, policy: "Policy") -> Path:
    from qcgen.report.scored import write_scored_page

    return write_scored_page(rows, folder, policy=f"profile {policy.name}")


def _explain(
    scored: list["Scored"], folder: Path, policy: "Policy", listed: Listed, how: "How"
) -> dict[Path, "Record"]:
    """What shows why the doubtful files are doubtful, in the report's folder."""
    from qcgen.cli.evidence import explain_scored
    from qcgen.qc.inspect import Inspector

    def inspector() -> Inspector:
        return Inspector(policy, _encoder(listed, policy, how), listed.vocabulary)

    return explain_scored(scored, folder, policy, inspector, pixels=how.pixels, screen=how.screen)


def _lines(scored: list["Scored"], counts: Mapping[str, int]) -> list[str]:
    """The table of what is not accepted, and the counts."""
    bad = [one for one in scored if str(one.verdict.outcome) != "accept"]
    rows = [(file_name(one.subject.path), str(one.verdict.outcome), "; ".join(_messages(one))) for one in bad]
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    return [*([table(("file", "verdict", "reasons"), rows)] if rows else []), f"{several(len(scored), 'file')}: {told}"]


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
