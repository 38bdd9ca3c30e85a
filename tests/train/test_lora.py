"""A distillation by adapters over one base: memory, gradients, checkpoints, exact resume, export."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.core.errors import PausedError
from qcgen.distill.blend import read_blend
from qcgen.distill.critics import update_critics
from qcgen.distill.material import Material, Sampler
from qcgen.distill.networks import Networks
from qcgen.distill.ratio import RatioEstimator
from qcgen.distill.student import update_student
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.models.checkpoint import load_state
from qcgen.models.embedded import load_student
from qcgen.models.find import resolve_model
from qcgen.models.lora import merged, trained
from qcgen.models.network import Network
from qcgen.models.parts import find_parts
from tests.train.test_families import make_spec
from tests.train.tinychain import distil
from tests.train.tinyfamilies import CAPTIONS, tiny_family

NAMES = ("sd15", "sdxl")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("lora")
    return {name: tiny_family(name, root / name) for name in NAMES}


def lora_spec(teacher: Path, tiny_set: Path, out: Path, **optim: object) -> DistillSpec:
    adapters = {"rank": 2, "alpha": 4.0}
    body = {"batch": 4, "steps": 6, "precision": "float32", "lora": adapters, "lr": 1e-2, **optim}
    return make_spec(teacher, tiny_set, out, optim=body, checkpoint_every=2)


def material_of(teacher: Path) -> Material:
    parts = find_parts(teacher)
    latents = torch.randn((1, 8, *parts.latent_shape), generator=torch.Generator().manual_seed(3))
    cond = parts.load_embedder("cpu")(["", *CAPTIONS])
    return Material(latents, torch.ones(8), torch.arange(8) % len(CAPTIONS) + 1, cond)


def networks_of(spec: DistillSpec) -> Networks:
    parts = find_parts(spec.teacher)
    network = parts.load_network("cpu")
    cond_dim = material_of(spec.teacher).cond.shape[-1]
    return Networks(spec, network, cond_dim=cond_dim, t_init=parts.schedule.time_for(2.5), device="cpu")


def role(networks: Networks, name: str) -> Network:
    network = getattr(networks, name)
    assert isinstance(network, Network)
    return network


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_three_roles_hold_one_base_and_only_their_adapters_move(
    name: str, checkpointing: bool, folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    spec = lora_spec(folders[name], tiny_set, tmp_path, gradient_checkpointing=checkpointing)
    networks = networks_of(spec)
    roles = {one: role(networks, one) for one in ("teacher", "student", "fake", "averaged_student")}
    base = {p.data_ptr() for p in roles["teacher"].parameters()}
    for one in ("student", "fake", "averaged_student"):
        assert {p.data_ptr() for p in roles[one].parameters() if not p.requires_grad} == base
    before = {one: _flat(network) for one, network in roles.items()}
    sampler = Sampler(spec, material_of(spec.teacher), networks.teacher.noising, _seeded(4), device="cpu")
    ratio, weighting = RatioEstimator(spec.ratio), read_blend(DivergenceSpec())
    # The first step moves only `up`, whose zeros hold back the gradient of `down`.
    for _ in range(2):
        update_critics(spec, networks, ratio, sampler.critic(4), clock=Clock())
        report = update_student(
            spec, networks, ratio, sampler.student(4), weighting, empty=sampler.empty(4), progress=0.5, clock=Clock()
        )
        assert report.numbers["grad_norm"] > 0
    for network in roles.values():
        assert torch.equal(_flat(network, learns=False), before["teacher"])
    for one in ("student", "fake", "averaged_student"):
        assert all(bool((parameter != 0).any()) for parameter in trained(roles[one]).values())


def test_the_adapted_student_has_the_gradient_of_the_whole_one(
    folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    """d loss / d up at up = 0 is scale * (d loss / d W) down^T."""
    spec = lora_spec(folders["sd15"], tiny_set, tmp_path)
    adapted, whole = networks_of(spec), networks_of(spec.model_copy(update={"optim": _whole(spec)}))
    noise, cond = torch.randn(2, 4, 8, 8, generator=_seeded(5)), material_of(spec.teacher).cond[1:3]
    for networks in (adapted, whole):
        networks.generate(networks.student, noise, cond).square().sum().backward()
    layers = dict(role(adapted, "student").named_modules())
    seen = 0
    for name, weight in role(whole, "student").named_parameters():
        layer = layers[name.removesuffix(".weight")] if name.endswith("to_q.weight") else None
        if layer is not None:
            expected = layer.scale * weight.grad @ layer.down.weight.T  # type: ignore[operator,union-attr]
            torch.testing.assert_close(layer.up.weight.grad, expected, rtol=1e-4, atol=1e-6)  # type: ignore[union-attr]
            seen += 1
    assert seen > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_paused_training_by_adapters_ends_bitwise_like_an_undisturbed_one(
    name: str, folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    ends = []
    for folder, pause in (("whole", None), ("parts", 3)):
        spec = lora_spec(folders[name], tiny_set, tmp_path / folder)
        if pause is not None:
            with pytest.raises(PausedError):
                trainer_of(spec, pause).run()
        outcome = trainer_of(spec, None).run()
        assert isinstance(outcome.student, nn.Module)
        ends.append((_tensors(load_state(spec.out / "checkpoint.safetensors")), _flat(merged(outcome.student))))
    (one, drawn), (other, again) = ends
    assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
    assert torch.equal(drawn, again)
    # Adapters, their moments and the discriminator; the base is in the teacher's folder.
    base = sum(p.numel() for p in find_parts(folders[name]).load_network("cpu").parameters())
    heads = sum(p.numel() for p in networks_of(spec).discriminator.parameters())
    assert sum(tensor.numel() for tensor in one) < 3 * heads + base


def test_a_student_by_adapters_comes_out_merged_and_loads_like_any_other(
    folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    spec = lora_spec(folders["sd15"], tiny_set, tmp_path / "out")
    folder = distil(spec)
    names = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors").keys()
    teacher = load_file(folders["sd15"] / "unet" / "diffusion_pytorch_model.safetensors").keys()
    assert names - {"time_embedding.cond_proj.weight"} == set(teacher)
    student = load_student(resolve_model(str(folder)), dtype="float32")
    noise = torch.randn(1, 4, 8, 8, generator=_seeded(6))
    drawn = student.decode(student.generate(noise, student.embed([CAPTIONS[0]])))
    assert bool(drawn.isfinite().all())


def trainer_of(spec: DistillSpec, pause: int | None) -> Trainer:
    spec.out.mkdir(parents=True, exist_ok=True)
    left = iter(range(10**6 if pause is None else pause))

    def check() -> None:
        if next(left, None) is None:
            raise PausedError("stop")

    hooks = Hooks(tell=lambda event: None, check=check)
    material, weighting = material_of(spec.teacher), read_blend(DivergenceSpec())
    return Trainer(spec, networks_of(spec), material, weighting, fingerprint={"job": "tiny"}, hooks=hooks)


def _whole(spec: DistillSpec) -> object:
    return spec.optim.model_copy(update={"lora": None})


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _flat(module: nn.Module, *, learns: bool | None = None) -> torch.Tensor:
    kept = [p for p in module.parameters() if learns is None or p.requires_grad == learns]
    return torch.cat([p.detach().flatten().clone() for p in kept])


def _tensors(node: object) -> list[torch.Tensor]:
    if isinstance(node, torch.Tensor):
        return [node]
    inner = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    return [tensor for one in inner for tensor in _tensors(one)]
