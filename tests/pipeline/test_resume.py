"""Identity of a run, the folder's lock."""

import subprocess
import sys
from pathlib import Path

import pytest

from qcgen.core.errors import PausedError, SpecError
from qcgen.pipeline.resume import Identity, hold_folder, identify
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


def test_a_folder_is_held_by_one_process_and_free_afterwards(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qcgen.core.errors import PausedError\n"
        "from qcgen.pipeline.resume import hold_folder\n"
        "try:\n    with hold_folder(Path(sys.argv[1])): print('held')\n"
        "except PausedError: print('refused')"
    )

    def try_elsewhere() -> str:
        command = [sys.executable, "-c", code, str(tmp_path / "out")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with hold_folder(tmp_path / "out"):
        assert try_elsewhere() == "refused"
        with pytest.raises(PausedError, match="another qcgen run"), hold_folder(tmp_path / "out"):
            pass
    assert try_elsewhere() == "held"


def test_output_folder_below_a_file_is_a_spec_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match=r"output\.dir"), hold_folder(tmp_path / "file" / "out"):
        pass
