"""`qcgen learn`: a better policy from what people decided, proposed and then accepted by a person."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import print_result
from qcgen.cli.options import DATABASE, Db, Json, Profile
from qcgen.core.errors import SpecError
from qcgen.core.wording import cure_of, show

if TYPE_CHECKING:
    from qcgen.pipeline.learn import Seen

_PRODUCT = "product"

app = typer.Typer(help="Importances from people's decisions.", no_args_is_help=True)


@app.command()
def propose(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs whose pictures were decided on.")],
    profile: Profile,
    decisions: Annotated[
        list[Path] | None,
        typer.Option("--decisions", metavar="CSV", help="Beside those stored, before which they go."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="FIELD", help="The field to cross-validate by.")] = _PRODUCT,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The proposal.")] = Path("proposal.json"),
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Fit importances to decisions and predict what they would change; sets nothing.

    Example: qcgen learn propose demo-apparel --profile apparel
    """
    from qcgen.cli.wiring import find_run, opened, read_decisions
    from qcgen.pipeline.gates import ENCODER_DIGEST, asked_by
    from qcgen.pipeline.learn import collect, describe_proposal
    from qcgen.pipeline.learn import propose as propose_policy
    from qcgen.qc.policy import load_policy
    from qcgen.qc.profile import find_profile, read_profile

    wanted = read_profile(find_profile(profile, key="--profile"))
    policy = load_policy(profile)
    said = [one for path in decisions or () for one in read_decisions(path)]
    seen = []
    encoder, model = policy.encoder_digest, policy.model_digest
    with opened(db, create=False) as store:
        for name in runs:
            run = find_run(store, name)
            encoder = run.environment.get(ENCODER_DIGEST, encoder)
            model = run.model_digest
            fitting = policy.fit(model_digest=model, encoder_digest=encoder, asked=asked_by(run))
            seen += collect(run.run_id, store.rows(run.run_id), said, fitting, by=by)
    _check_field(by, seen)
    made = propose_policy(seen, wanted, policy, name=profile, encoder=encoder, model=model)
    out.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
    facts = {"proposal": out, "decided": made.decided, "importances": made.importances, "predicted": made.predicted}
    text = f"{describe_proposal(made)}\nproposal: {out}\nnothing is set yet: qcgen learn accept {out} --by-whom NAME"
    print_result(facts, as_json=json, text=text)


def _check_field(by: str, seen: "Sequence[Seen]") -> None:
    """A misspelt field would go unseen: pictures without it are told apart by SKU, as those without a product are."""
    known = sorted({name for one in seen for name in one.fields})
    if seen and by not in (_PRODUCT, *known):
        raise SpecError(f"--by: no picture has the field {show(by)}. {cure_of(by, known)}")


@app.command()
def accept(
    proposal: Annotated[Path, typer.Argument(metavar="PROPOSAL", help="A file from `qcgen learn propose`.")],
    by_whom: Annotated[str, typer.Option("--by-whom", metavar="NAME", help="Who accepts it, for the audit trail.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the new profile goes.")] = Path("."),
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Make a proposal the next version of its policy and record who did; older versions are kept.

    Example: qcgen learn accept proposal.json --by-whom jdoe --to profiles
    """
    from qcgen.cli.wiring import opened
    from qcgen.pipeline.learn import accept_proposal, describe_proposal, read_proposal
    from qcgen.qc.policy import load_policy

    read = read_proposal(proposal)
    to.mkdir(parents=True, exist_ok=True)
    with opened(db, create=False) as store:
        path = accept_proposal(read, load_policy(read.profile), to)
        digest = load_policy(str(path)).sha256
        body = {"parent": read.parent, "policy_sha256": digest, "by": by_whom, "runs": " ".join(read.runs)}
        store.audit(f"policy:{read.new_profile.name}", "policy.accept", body)
    text = f"{describe_proposal(read)}\nprofile: {path}, policy {digest[:12]}, in place of {read.parent[:12]}"
    print_result({"profile": path, "policy_sha256": digest, "parent": read.parent}, as_json=json, text=text)
