"""Networks that lie in parts at two processes train like whole ones, and their checkpoints are whole."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from qcgen.core.distillspec import DivergenceSpec
from qcgen.core.errors import PausedError, SpecError
from qcgen.distill.blend import read_blend
from qcgen.distill.networks import Networks
from qcgen.distill.ranks import Ranks
from qcgen.distill.sharding import is_sharded
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.models.checkpoint import load_state, save_state
from qcgen.models.parts import find_parts
from tests.distill.processes import FailedError, run_together
from tests.train.test_families import make_spec
from tests.train.test_lora import material_of
from tests.train.tinyfamilies import tiny_family

# Both gradients of a student's step, a probe with its own, and features of a network that learns.
KINDS: dict[str, dict[str, object]] = {
    "plain": {"gan": {"start": 0.0, "weight": 0.05}},
    "fake": {
        "gan": {"start": 0.0, "weight": 0.05, "features": "fake"},
        "gradient_checkpointing": True,
    },
}


def _train(
    ranks: Ranks,
    folder: Path,
    *,
    teacher: Path,
    kind: str = "plain",
    sharding: str = "full",
    compiled: str = "off",
    pause: int | None = None,
) -> None:
    # As many threads in each process: sums in another order are not what is compared.
    torch.set_num_threads(1)
    changes = dict(KINDS[kind])
    gan = changes.pop("gan")
    # One process adds the same parts up as two; in another order Adam makes whole steps of what is rounding alone.
    changes["accumulate"] = 2 // ranks.world
    body = {
        "batch": 4,
        "steps": 3,
        "lr": 1e-3,
        "warmup": 0,
        "precision": "float32",
        "sharding": sharding,
        "compile": compiled,
    }
    spec = make_spec(
        teacher,
        folder,
        folder,
        gan=gan,
        optim={**body, **changes},
        checkpoint_every=2,
        monitor={"every": 1, "probe_every": 2},
        eval={"every": 2},
    )
    left = iter(range(10**6 if pause is None else pause))

    def check() -> None:
        if next(left, None) is None:
            raise PausedError("stop here")

    parts = find_parts(teacher)
    material = material_of(teacher)
    cond_dim, t_init = material.cond.shape[-1], parts.schedule.time_for(2.5)
    network = parts.load_network("cpu")
    networks = Networks(spec, network, cond_dim=cond_dim, t_init=t_init, device="cpu", ranks=ranks)
    if sharding == "full":
        for role in (networks.teacher, networks.student, networks.fake, networks.averaged_student):
            assert isinstance(role, nn.Module)
            assert all(is_sharded(one) for one in role.parameters())
        moments = networks.optimisers["student"].param_groups[0]["params"]
        assert all(is_sharded(one) for one in moments)
    evaluate = (lambda generate: {"distance": _far(generate, material.cond), "error": 0.1}) if ranks.first else None
    hooks = Hooks(tell=lambda event: None, check=check, evaluate=evaluate)
    folder.mkdir(parents=True, exist_ok=True)
    weighting = read_blend(DivergenceSpec())
    outcome = Trainer(spec, networks, material, weighting, fingerprint={"job": "tiny"}, hooks=hooks).run()
    if ranks.first:
        assert isinstance(outcome.student, nn.Module)
        save_state(folder / "outcome.safetensors", dict(outcome.student.state_dict()))


def _far(generate: object, cond: torch.Tensor) -> float:
    assert callable(generate)
    noise = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return float(generate(noise, cond[1:5]).square().mean())


def _tensors(state: object, prefix: str = "") -> dict[str, torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return {prefix: state}
    nodes = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    return {name: one for key, node in nodes for name, one in _tensors(node, f"{prefix}/{key}").items()}


def assert_same_end(one: Path, other: Path) -> None:
    for file in ("checkpoint", "outcome"):
        first, second = (_tensors(load_state(folder / f"{file}.safetensors")) for folder in (one, other))
        assert first.keys() == second.keys()
        assert not any("_orig_mod" in name for name in first)
        far = {name: float((first[name].double() - second[name].double()).abs().max()) for name in first}
        # The norm that gradients are clipped by is summed in another order.
        assert max(far.values()) < 1e-5, sorted(far.items(), key=lambda pair: -pair[1])[:5]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_family("sd15", tmp_path_factory.mktemp("sharding") / "sd15")


@pytest.mark.parametrize("kind", KINDS)
def test_sharded_networks_train_like_whole_ones_and_go_on_whole(kind: str, teacher: Path, tmp_path: Path) -> None:
    work = partial(_train, teacher=teacher, kind=kind)
    work(Ranks(), tmp_path / "alone", sharding="none")
    run_together(work, tmp_path / "sharded")
    assert_same_end(tmp_path / "alone", tmp_path / "sharded")
    with pytest.raises(FailedError, match="stop here"):
        run_together(partial(work, pause=2), tmp_path / "parts")
    work(Ranks(), tmp_path / "parts", sharding="none")
    assert_same_end(tmp_path / "alone", tmp_path / "parts")


def test_a_training_that_began_whole_goes_on_sharded(teacher: Path, tmp_path: Path) -> None:
    work = partial(_train, teacher=teacher)
    work(Ranks(), tmp_path / "alone", sharding="none")
    with pytest.raises(PausedError):
        work(Ranks(), tmp_path / "parts", sharding="none", pause=2)
    run_together(work, tmp_path / "parts")
    assert_same_end(tmp_path / "alone", tmp_path / "parts")


def test_a_network_without_blocks_is_refused_with_a_cure(tmp_path: Path) -> None:
    toy = tiny_family("toy", tmp_path / "toy")
    with pytest.raises(SpecError, match=r"optim.compile: must find blocks .* Cure: compile: off"):
        _train(Ranks(), tmp_path, teacher=toy, sharding="none", compiled="on")
    with pytest.raises(FailedError, match=r"optim.sharding: full needs a network of blocks.* Cure: sharding: none"):
        run_together(partial(_train, teacher=toy), tmp_path)
