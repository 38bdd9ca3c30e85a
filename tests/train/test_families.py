"""Every model family: its folder is recognised, its numbers are right, and the same distillation works on it."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import nn

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.core.errors import BlockedError, PrerequisiteError, SpecError
from qcgen.distill.blend import read_blend
from qcgen.distill.critics import update_critics
from qcgen.distill.material import Material, Sampler
from qcgen.distill.networks import Networks
from qcgen.distill.ratio import RatioEstimator
from qcgen.distill.student import update_student
from qcgen.generate.noise import stack_noise
from qcgen.models.card import read_card
from qcgen.models.embedded import load_student
from qcgen.models.families.sd15 import plain_attention
from qcgen.models.families.toy import MixtureParts
from qcgen.models.find import resolve_model
from qcgen.models.network import Network
from qcgen.models.parts import families, find_parts
from qcgen.models.protocol import ModelParts
from qcgen.pipeline.sampling import sample_teacher
from tests.train.tinychain import distil
from tests.train.tinyfamilies import CAPTIONS, FAMILIES, tiny_family

NAMES = sorted(FAMILIES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {name: tiny_family(name, root / name) for name in NAMES}


def network_of(parts: ModelParts) -> Network:
    network = parts.load_network("cpu")
    assert isinstance(network, Network)
    return network.eval()


def make_spec(teacher: Path, tiny_set: Path, out: Path, **changes: object) -> DistillSpec:
    flow, free = teacher.name == "sd3", teacher.name == "toy"
    body: dict[str, object] = {
        "version": 1,
        "name": f"tiny {teacher.name}",
        "teacher": teacher,
        "captions": tiny_set,
        "captions_licence": "CC0-1.0",
        "purpose": "commercial",
        "out": out,
        "guidance_scale": 1.0 if free else 1.5,
        "student": {"noise_to_signal": "end" if flow else 2.5},
        "gan": {"start": 0.0},
        "ratio": {"bins": 2},
        "fake": {"updates": 1, "warmup": 1},
        "optim": {"batch": 4, "steps": 2, "precision": "float32"},
        "threads": 1,
    }
    return DistillSpec.model_validate({**body, **changes})


def test_there_is_a_tiny_folder_of_every_family() -> None:
    assert set(families()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_family_recognises_its_own_folders_alone(name: str, folders: dict[str, Path]) -> None:
    assert [other for other in NAMES if families()[name].recognises(folders[other])] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_keeps_to_its_protocol(name: str, folders: dict[str, Path]) -> None:
    parts = find_parts(folders[name])
    network, noising = network_of(parts), parts.schedule
    assert parts.size_px == 32
    cond = parts.load_embedder("cpu")(["", *CAPTIONS[:2]])
    x_0 = torch.randn((3, *parts.latent_shape), generator=torch.Generator().manual_seed(1))
    t = noising.times(torch.tensor([0.3, 0.5, 0.7]), low=0.02, high=0.98)
    alpha, sigma = noising.coefficients(t, x_0)
    x_t = alpha * x_0 + sigma * torch.randn(x_0.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        mean, maps = network.denoise_with_features(x_t, t, cond)
        assert mean.shape == x_0.shape
        assert [one.shape[1] for one in maps] == network.channels
        # The maps alone are the same ones, and one sample is what it is in a batch.
        for one, other in zip(maps, network.features(x_t, t, cond), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        # float32 sums in another order; an epsilon network's error is multiplied by sigma / alpha.
        torch.testing.assert_close(network.denoise(x_t[1:2], t[1:2], cond[1:2]), mean[1:2], rtol=1e-3, atol=1e-4)
        # Without noise there is nothing to remove: D(x; sigma -> 0) = x, up to what an untrained network adds.
        least = noising.times(torch.zeros(3), low=0.0, high=1.0)
        quiet = noising.coefficients(least, x_0)[0] * x_0
        torch.testing.assert_close(network.denoise(quiet, least, cond), x_0, rtol=0, atol=0.2)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_step_teaches_critics_and_student_of_every_family(
    name: str, folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    parts = find_parts(folders[name])
    spec = make_spec(folders[name], tiny_set, tmp_path)
    cond = parts.load_embedder("cpu")(["", *CAPTIONS])
    latents = torch.randn((1, 8, *parts.latent_shape), generator=torch.Generator().manual_seed(3))
    material = Material(latents, torch.ones(8), torch.arange(8) % len(CAPTIONS) + 1, cond)
    t_init = parts.schedule.time_for(float("inf") if name == "sd3" else 2.5)
    networks = Networks(spec, network_of(parts), cond_dim=cond.shape[-1], t_init=t_init, device="cpu")
    sampler = Sampler(spec, material, parts.schedule, torch.Generator().manual_seed(4), device="cpu")
    ratio, weighting = RatioEstimator(spec.ratio), read_blend(DivergenceSpec())
    before = {role: _copy(getattr(networks, role)) for role in ("teacher", "student", "fake", "discriminator")}
    numbers = update_critics(spec, networks, ratio, sampler.critic(4), clock=Clock())
    assert all(bool(value.isfinite()) for value in numbers.values())
    report = update_student(
        spec, networks, ratio, sampler.student(4), weighting, empty=sampler.empty(4), progress=0.5, clock=Clock()
    )
    assert report.numbers["dm_norm"] > 0
    assert report.numbers["gan_norm"] > 0
    assert report.x_0.shape == (4, *parts.latent_shape)
    moved = {role: not torch.equal(old, _copy(getattr(networks, role))) for role, old in before.items()}
    assert moved == {"teacher": False, "student": True, "fake": True, "discriminator": True}


@pytest.mark.parametrize("name", NAMES)
def test_qcgen_distill_takes_a_folder_of_every_family(
    name: str, folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    spec = make_spec(folders[name], tiny_set, tmp_path / "out")
    folder = distil(spec)
    made = (tmp_path / "out" / "latents.safetensors").stat().st_mtime_ns
    student = load_student(resolve_model(str(folder)), dtype="float32")
    noise, cond = stack_noise([3, 4], student.latent_shape), student.embed(list(CAPTIONS[:2]))
    pictures = student.decode(student.generate(noise, cond))
    assert pictures.shape == (2, 3, 32, 32)
    assert bool(pictures.isfinite().all())
    assert not torch.equal(pictures[0], pictures[1])
    edges = [(edge.relation, edge.parent, edge.licence) for edge in read_card(folder).lineage]
    assert edges[0] == ("distilled_from", folders[name].name, "Apache-2.0")
    assert edges[-1] == ("trained_on", "tiny.npz", "CC0-1.0")
    # Where the teacher lay must neither travel nor change the digest.
    assert all("_name_or_path" not in path.read_text() for path in folder.rglob("*.json"))
    # Started again it has nothing to do, and makes no latents.
    assert distil(spec, resume=True) == folder
    assert (tmp_path / "out" / "latents.safetensors").stat().st_mtime_ns == made


def test_the_conditions_of_sdxl_and_sd3_are_those_of_their_pipelines(folders: dict[str, Path]) -> None:
    captions = list(CAPTIONS[:2])
    for name, kind in (("sdxl", StableDiffusionXLPipeline), ("sd3", StableDiffusion3Pipeline)):
        parts = find_parts(folders[name])
        pipeline = stock_pipeline(kind, folders[name])
        more = {"prompt_3": captions} if name == "sd3" else {}
        hidden, _, pooled, _ = pipeline.encode_prompt(captions, captions, **more, do_classifier_free_guidance=False)
        network, noise = network_of(parts), torch.randn(2, *parts.latent_shape)
        core, t = network.core, torch.full((2,), parts.schedule.time_for(2.5))
        with torch.no_grad():
            scaled, time = parts.schedule.network_input(noise, t)
            if name == "sdxl":
                ids = torch.tensor([[32.0, 32.0, 0.0, 0.0, 32.0, 32.0]] * 2)
                expected = core(scaled, time, hidden, added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}).sample
            else:
                expected = core(scaled, hidden, pooled, time).sample
            mine = network.predict(noise, t, parts.load_embedder("cpu")(captions))
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-5)


def test_sd3_without_t5_reads_as_many_zeros_as_its_pipeline_puts_there(folders: dict[str, Path]) -> None:
    parts, captions = find_parts(folders["sd3"]), list(CAPTIONS[:1])
    pipeline = stock_pipeline(StableDiffusion3Pipeline, folders["sd3"])
    hidden, *_ = pipeline.encode_prompt(captions, captions, captions, do_classifier_free_guidance=False)
    seen: list[torch.Tensor] = []
    network = network_of(parts)
    cond, noise = parts.load_embedder("cpu")(captions), torch.randn(1, *parts.latent_shape)
    network.core.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["encoder_hidden_states"]), with_kwargs=True
    )
    with torch.no_grad():
        network.predict(noise, torch.full((1,), parts.schedule.time_for(2.5)), cond)
    torch.testing.assert_close(seen[0], hidden, rtol=1e-5, atol=1e-6)
    assert cond.shape[1] < 100, "a condition does not carry the zeros"


def test_attention_is_plain_where_the_network_runs_on_a_cpu(folders: dict[str, Path]) -> None:
    kinds = {}
    for device in ("cpu", "cuda"):
        unet = UNet2DConditionModel.from_pretrained(folders["sd15"] / "unet", low_cpu_mem_usage=False)
        kinds[device] = {type(one) for one in plain_attention(unet, device).attn_processors.values()}
    assert kinds == {"cpu": {AttnProcessor}, "cuda": {AttnProcessor2_0}}


@pytest.mark.parametrize("name", NAMES)
def test_a_family_reads_its_numbers_without_loading_weights(name: str, folders: dict[str, Path]) -> None:
    shapes = {"edm": (3, 32, 32), "toy": (3, 32, 32), "sd15": (4, 8, 8), "sd3": (4, 8, 8), "sdxl": (4, 8, 8)}
    parts = find_parts(folders[name])
    assert parts.latent_shape == shapes[name]
    assert parts.size_px == 32
    assert parts.guidable is (name != "toy")


def stock_pipeline(kind: type, folder: Path) -> DiffusionPipeline:
    """The stock pipeline around a folder's towers alone: what is asked of it encodes prompts."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    first = CLIPTextModelWithProjection if kind is StableDiffusion3Pipeline else CLIPTextModel
    towers = {
        "text_encoder": first.from_pretrained(folder / "text_encoder"),
        "text_encoder_2": CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2"),
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        "tokenizer_2": CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
    }
    parts = find_parts(folder)
    core = network_of(parts).core
    body = {"transformer": core} if kind is StableDiffusion3Pipeline else {"unet": core}
    rest = {"text_encoder_3": None, "tokenizer_3": None} if kind is StableDiffusion3Pipeline else {}
    codec = parts.load_codec("cpu")
    return kind(vae=codec.vae, scheduler=None, **towers, **body, **rest)  # type: ignore[attr-defined,no-any-return]


def test_an_empty_caption_of_sdxl_is_zeros_unless_its_pipeline_says_otherwise(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    embed = find_parts(folders["sdxl"]).load_embedder("cpu")
    assert bool((embed(["", "a hat"])[0] == 0).all())
    said = tiny_family("sdxl", tmp_path / "sdxl")
    (said / "model_index.json").write_text(json.dumps({"force_zeros_for_empty_prompt": False}))
    assert bool((find_parts(said).load_embedder("cpu")([""])[0] != 0).any())


def test_a_mixtures_denoiser_is_its_posterior_mean(folders: dict[str, Path]) -> None:
    parts = find_parts(folders["toy"])
    assert isinstance(parts, MixtureParts)
    network = network_of(parts)
    means = network.core.means.detach().flatten(1).double()  # type: ignore[union-attr,operator]
    masses, deviation = torch.tensor([0.4, 0.3, 0.1, 0.1, 0.1]).double(), 0.2
    sigma = torch.tensor([0.5, 20.0])
    x_t = means[:2] + sigma[:, None] * torch.randn(2, means.shape[1], generator=torch.Generator().manual_seed(9))
    variance = deviation**2 + sigma.double()[:, None] ** 2
    log = masses.log() - torch.cdist(x_t, means).square() / (2 * variance)
    nearest = log.softmax(1) @ means
    expected = nearest + deviation**2 / variance * (x_t - nearest)
    with torch.no_grad():
        mean = network.denoise(x_t.float().reshape(2, 3, 32, 32), sigma, torch.zeros(2, 1, 1))
    # float32 squares of 3,072 numbers of up to 40, divided by the variance, decide between modes.
    torch.testing.assert_close(mean.flatten(1).double(), expected, rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_is_refused_in_every_family(name: str, tmp_path: Path) -> None:
    folder = tiny_family(name, tmp_path / name)
    weights = next(
        path for part in ("unet", "transformer", "mixture") for path in (folder / part).glob("*.safetensors")
    )
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(SpecError, match=r"is a pickle and is never loaded\. Cure: convert it to safetensors"):
        find_parts(folder)


def test_folders_that_no_family_knows_say_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="lacks a unet or transformer"):
        find_parts(tmp_path, where="teacher")
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text('{"_class_name": "FluxTransformer2DModel"}')
    with pytest.raises(SpecError, match=r"teacher: .* edm, sd15, sd3, sdxl, toy \(got transformer: Flux.*Cure:"):
        find_parts(tmp_path, where="teacher")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("toy", {"guidance_scale": 2.0}, r"guidance_scale: must be 1 for a teacher without an empty caption"),
        ("sd15", {"captions_licence": ""}, r"No licence is declared for trained_on tiny\.npz"),
    ],
)
def test_what_a_family_cannot_do_is_refused_before_the_first_step(
    name: str, change: dict[str, object], told: str, folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    with pytest.raises((SpecError, BlockedError), match=told):
        distil(make_spec(folders[name], tiny_set, tmp_path / "out", **change))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rescale_betas_zero_snr": True}, r"student\.noise_to_signal: an epsilon teacher needs signal .* Cure"),
        ({"prediction_type": "score"}, r"prediction_type is unknown \(got 'score'\)\. Cure"),
    ],
)
def test_a_parametrisation_without_a_posterior_mean_is_refused(
    change: dict[str, object], told: str, tiny_set: Path, tmp_path: Path
) -> None:
    teacher = tiny_family("sd15", tmp_path / "sd15")
    path = teacher / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SpecError, match=told):
        distil(make_spec(teacher, tiny_set, tmp_path / "out", student={"noise_to_signal": "end"}))
    assert not (tmp_path / "out").exists()


def test_pictures_of_another_size_and_captions_that_are_no_class_are_refused(
    folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    for folder, key, value, told in (
        ("edm", "sample_size", 16, "captions: must be pictures of 16 px"),
        ("edm", "num_class_embeds", 3, "id2label must name all 3 classes"),
    ):
        changed = tiny_family(folder, tmp_path / key / folder)
        path = changed / "unet" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
        with pytest.raises(SpecError, match=told):
            distil(make_spec(changed, tiny_set, tmp_path / "out"))
    embed = find_parts(folders["edm"]).load_embedder("cpu")
    with pytest.raises(SpecError, match=r"captions: must be classes of .* \(got 1 other, such as 'a photo of a boat'"):
        embed(["a photo of a boat"])


def test_a_card_that_is_no_card_is_told_wherever_it_is_read_first(
    folders: dict[str, Path], tiny_set: Path, tmp_path: Path
) -> None:
    teacher = tiny_family("sd15", tmp_path / "sd15")
    for text in ("{oops", "[]", '{"shared": []}'):
        (teacher / "qcgen_model.json").write_text(text)
        with pytest.raises(SpecError, match=r"qcgen_model.json: not a model card .*Cure"):
            distil(make_spec(teacher, tiny_set, tmp_path / "out"))


def test_an_autoencoder_with_a_shift_is_none_of_sd15s(tmp_path: Path) -> None:
    teacher = tiny_family("sd15", tmp_path / "sd15")
    path = teacher / "vae" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "shift_factor": 0.1}))
    with pytest.raises(SpecError, match=r"the vae has a shift_factor.*Cure"):
        find_parts(teacher)


def test_a_teacher_without_an_empty_caption_is_not_guided(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tiny_family("edm", tmp_path / "edm")
    scheduler = folder / "scheduler" / "scheduler_config.json"
    plain = {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "prediction_type": "epsilon"}
    scheduler.write_text(json.dumps(plain))
    names = ("a boat", *CAPTIONS)
    (folder / "model_index.json").write_text(json.dumps({"id2label": {str(i): name for i, name in enumerate(names)}}))
    assert not find_parts(folder).guidable
    with pytest.raises(SpecError, match=r"--guidance: must be 1 for a teacher without an empty caption \(got 4\)"):
        sample_teacher(resolve_model(str(folder)), steps=4, guidance_scale=4)


def _copy(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])
