"""`qcgen calibrate`: thresholds from pictures that were accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import print_result, warn
from qcgen.cli.options import DATABASE, Clip, Db, Device, DeviceOption, Json, Profile
from qcgen.cli.score import Prompts
from qcgen.core.wording import file_name

if TYPE_CHECKING:
    from qcgen.core.types import Measure, RunInfo
    from qcgen.qc.policy import Policy
    from qcgen.qc.profile import Kept


@dataclass(frozen=True, slots=True)
class _Accepted:
    """Measures and fields (with the size) of each picture, what they are of, and the digests behind them."""

    measures: "list[tuple[Measure, ...]]"
    fields: list[Mapping[str, str]]
    source: str
    model: str | None
    encoder: str | None
    out_dir: Path | None = None
    ids: tuple[str, ...] = ()


def calibrate(
    source: Annotated[str, typer.Argument(metavar="RUN|DIR", help="A run, or a folder of good pictures.")],
    profile: Profile,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Instead of the profile's own file.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="FIELD", help="Own limits by an item field or size_px; again for finer ones."),
    ] = None,
    prompts: Prompts = None,
    clip: Clip = "embedded:clip-apparel",
    db: Db = DATABASE,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Make a calibration file from accepted pictures: those of a run, or a folder's.

    Of a run, those are taken that people accepted, and those that passed and nobody refused.

    Example: qcgen calibrate demo-apparel --profile apparel --group product --out calibrations/apparel.json
    """
    from qcgen.qc.asking import asked_of
    from qcgen.qc.calibrate import calibrate as calibrate_measures
    from qcgen.qc.calibrate import describe
    from qcgen.qc.policy import build_policy
    from qcgen.qc.profile import find_profile, read_profile, write_calibration

    path = find_profile(profile, key="--profile")
    wanted = read_profile(path)
    target = out or path.parent / (wanted.calibration or f"{wanted.name}.calibration.json")
    policy = build_policy(wanted, None, sha256="", folder=path.parent)
    folder = Path(source)
    if folder.is_dir():
        accepted = _of_folder(folder, policy, prompts=prompts, clip=clip, device=device)
    else:
        accepted = _of_run(source, policy, db=db)
    made = calibrate_measures(
        accepted.measures,
        wanted,
        source=accepted.source,
        encoder_digest=accepted.encoder,
        model_digest=accepted.model,
        fields=accepted.fields,
        group_by=group or (),
        asked=asked_of(policy.settings),
    )
    # The calibration comes last because it names the bytes of the other file.
    write_calibration(made.model_copy(update={"embeddings": _write_embeddings(accepted, target)}), target)
    groups = {"groups": len(made.groups), "backed_off": len(made.backed_off)}
    text = f"{describe(made)}\ncalibration: {target}"
    print_result({"calibration": target, "n": made.n, **groups}, as_json=json, text=text)


def _of_folder(folder: Path, policy: "Policy", *, prompts: Path | None, clip: str, device: Device) -> _Accepted:
    from qcgen.cli.score import How, list_files, score_listed
    from qcgen.models.find import resolve_model

    found = score_listed(list_files([folder], prompts), policy, How(clip, device))
    scored = [one for one in found if one.measures]
    left_out = [one for one in found if not one.measures]
    warn([f"{file_name(one.subject.path)}: {one.verdict.reasons[0].message}" for one in left_out])
    encoder = resolve_model(clip).digest if prompts else None
    measures, fields = [one.measures for one in scored], [one.fields for one in scored]
    return _Accepted(measures, fields, f"folder {folder.name}", None, encoder)


def _of_run(name: str, policy: "Policy", *, db: str) -> _Accepted:
    from qcgen.cli.wiring import find_run, opened
    from qcgen.core.job import JobSpec
    from qcgen.core.types import Outcome, Score
    from qcgen.models.find import resolve_model
    from qcgen.qc.groups import with_size

    versions = {rule.detector: rule.version for rule in policy.rules}
    with opened(db, create=False) as store:
        run = find_run(store, name)
        rows = [row for row in store.rows(run.run_id) if row.relpath is not None]
    _refuse_other_models(run, policy)
    taken = [
        row
        for row in rows
        if row.decision == Outcome.ACCEPT or (row.decision is None and row.outcome is Outcome.ACCEPT)
    ]
    looked_at = sum(row.decision is not None for row in taken)
    measures: list[tuple[Measure, ...]] = [
        tuple(Score(name, versions[name], value) for name, value in row.measures.items() if name in versions)
        for row in taken
    ]
    by_whom = f"{looked_at} accepted by people, {len(taken) - looked_at} by the policy and refused by nobody"
    encoder = resolve_model(JobSpec.model_validate_json(run.spec_json).qc.clip.model).digest
    fields = [with_size(row.fields, row.width, row.height) for row in taken]
    told = f"run {run.run_id} of {run.name}, {by_whom}"
    ids = tuple(row.image_id for row in taken)
    return _Accepted(measures, fields, told, run.model_digest, encoder, Path(run.out_dir), ids)


def _refuse_other_models(run: "RunInfo", policy: "Policy") -> None:
    """A calibration names the models behind its scores: those of the run must be the profile's."""
    from qcgen.core.errors import PrerequisiteError
    from qcgen.pipeline.gates import asked_by
    from qcgen.qc.asking import asked_of
    from qcgen.qc.stale import of_work

    problems = of_work(asked_by(run), asked_of(policy.settings))
    if problems:
        raise PrerequisiteError(
            f"run {run.run_id}: its scores are of other models than the profile names now. {'; '.join(problems)}. "
            "Cure: the models of that run, or another run of the job."
        )


def _write_embeddings(accepted: _Accepted, target: Path) -> "Kept | None":
    """Beside the calibration, for the gates on whole batches; an older file must not outlive its calibration."""
    from qcgen.pipeline.embeddings import embeddings_of
    from qcgen.qc.embeddings import write_embeddings
    from qcgen.qc.profile import embeddings_beside, keep_embeddings, naming

    path = embeddings_beside(target)
    shared = [other.name for other in naming(path) if other.name != target.name]
    if shared:
        warn([f"{path.name}: {', '.join(shared)} names it too. Cure: calibrate that profile again as well."])
    path.unlink(missing_ok=True)
    kept = None if accepted.out_dir is None else embeddings_of(accepted.out_dir, accepted.encoder)
    if kept is None or accepted.encoder is None:
        return None
    mine = kept.only(accepted.ids)
    vectors = mine.vectors.half().numpy()
    write_embeddings(path, encoder=accepted.encoder, ids=mine.ids, prompts=mine.prompts, vectors=vectors)
    return keep_embeddings(path)
