"""Identity of a run."""

from pathlib import Path

from qcgen.pipeline.resume import Identity, identify
from tests.pipeline.toyjob import make_job


def identity(
    out: Path = Path("/a"), *, items: str = "i", model: str = "m", policy: str = "p", seed: int = 7
) -> Identity:
    job = make_job(out, seed=seed)
    return identify(job, items_digest=items, planned=9, model_digest=model, policy_sha256=policy, out_dir=out)


def test_same_job_has_the_same_identity() -> None:
    assert identity() == identity()


def test_every_part_of_the_recipe_changes_the_run() -> None:
    variants = [identity(), identity(items="x"), identity(model="x"), identity(policy="x"), identity(seed=8)]
    assert len({one.recipe for one in variants}) == len(variants)


def test_another_folder_is_another_run_of_the_same_recipe() -> None:
    here, there = identity(Path("/a")), identity(Path("/b"))
    assert (here.recipe, here.spec_sha256) == (there.recipe, there.spec_sha256)
    assert here.run_id != there.run_id
    assert here.run_id.startswith(here.recipe)
    assert len(here.run_id) == 32
