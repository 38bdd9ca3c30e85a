"""The whole chain on a tiny image set: CLIP, autoencoder, teacher, distillation, a student that the engine loads."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.core.errors import BlockedError, PrerequisiteError, SpecError
from qcgen.core.events import EVENTS_FILE, read_events, rows_of
from qcgen.distill.stop import NonFiniteError
from qcgen.models.card import digest, read_card
from qcgen.models.embedded import load_encoder, load_student
from qcgen.models.find import resolve_model
from qcgen.pipeline.distill import prepare
from qcgen.pipeline.inloop import InLoop
from qcgen.pipeline.material import read_material
from tests.train.tinychain import distil, distillation


def test_the_student_draws_pictures_that_follow_the_noise_and_the_prompt(chain: Path) -> None:
    student = load_student(resolve_model(str(chain / "distilled" / "student")), dtype="float32")
    cond = student.embed(["a photo of a red dress", "a photo of a blue hat"])
    noise = torch.randn((1, *student.latent_shape), generator=torch.Generator().manual_seed(1))
    other = torch.randn((1, *student.latent_shape), generator=torch.Generator().manual_seed(2))
    picture = student.decode(student.generate(noise, cond[:1]))
    assert picture.shape == (1, 3, student.size_px, student.size_px) == (1, 3, 32, 32)
    assert bool(torch.isfinite(picture).all())
    torch.testing.assert_close(picture, student.decode(student.generate(noise, cond[:1])), rtol=0, atol=0)
    assert not torch.equal(picture, student.decode(student.generate(other, cond[:1])))
    assert not torch.equal(picture, student.decode(student.generate(noise, cond[1:])))


def test_the_students_card_pins_its_teacher(chain: Path) -> None:
    card = read_card(chain / "distilled" / "student")
    assert card.lineage[0].relation == "distilled_from"
    assert card.lineage[0].digest == digest(chain / "teacher")
    assert "last step" in card.notes["recipe"]


def test_a_picture_does_not_depend_on_its_batch(chain: Path) -> None:
    student = load_student(resolve_model(str(chain / "distilled" / "student")), dtype="float32")
    cond = student.embed(["a photo of a red dress"]).expand(4, -1, -1)
    noise = torch.randn((4, *student.latent_shape), generator=torch.Generator().manual_seed(3))
    together = student.generate(noise, cond)
    # float32 sums in another order differ by about 1e-6.
    torch.testing.assert_close(student.generate(noise[2:3], cond[:1]), together[2:3], rtol=1e-4, atol=1e-5)


def test_the_truncated_scheduler_makes_the_same_picture_and_refuses_more_steps(chain: Path) -> None:
    from diffusers import LCMScheduler

    folder = chain / "distilled" / "student"
    student = load_student(resolve_model(str(folder)), dtype="float32")
    scheduler = LCMScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(1)
    noise = torch.randn((1, *student.latent_shape), generator=torch.Generator().manual_seed(4))
    cond = student.embed(["a photo of a green hat"])
    output = student.unet(noise, scheduler.timesteps[0], cond).sample
    stock = scheduler.step(output, scheduler.timesteps[0], noise, return_dict=False)[1]
    torch.testing.assert_close(stock, student.generate(noise, cond), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"original_inference_steps|num_inference_steps"):
        scheduler.set_timesteps(4)


def test_training_logs_its_first_and_last_step_and_writes_its_measures(chain: Path) -> None:
    rows = [json.loads(line) for line in (chain / "teacher" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 5]
    assert (chain / "teacher" / "measured.json").exists()


def test_the_clip_names_its_measures_on_held_out_rows_and_loads_as_an_encoder(chain: Path) -> None:
    measured = json.loads((chain / "clip" / "measured.json").read_text())
    assert measured["held_out"]["n"] + measured["trained"]["n"] == 48
    encoder = load_encoder(str(chain / "clip"))
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    embedded = encoder.encode_images(images)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(encoder.encode_texts(["a hat", "a hat"])[0], encoder.encode_texts(["a hat"])[0])


def test_a_pickle_is_never_loaded(chain: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "student"
    shutil.copytree(chain / "distilled" / "student", folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(SpecError, match="is a pickle and is never loaded"):
        load_student(resolve_model(str(folder)))


def test_missing_parts_and_unknown_names_say_what_to_do(chain: Path, tmp_path: Path, tiny_set: Path) -> None:
    with pytest.raises(PrerequisiteError, match="Cure"):
        load_encoder(str(tmp_path))
    spec = distillation(chain, tiny_set, steps=1)
    with pytest.raises(SpecError, match="jensen_shannon"):
        distil(spec.model_copy(update={"divergence": DivergenceSpec(name="jensen_shanon")}))
    spec = spec.model_copy(update={"teacher": tmp_path})
    with pytest.raises(PrerequisiteError, match="lacks"):
        distil(spec)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ratio": {"bins": 50}}, r"ratio\.bins: the running statistics must hold at least 8 samples a bin"),
        ({"optim": {"batch": 4, "steps": 1, "accumulate": 3}}, r"optim\.accumulate: must divide optim\.batch 4"),
        ({"optim": {"batch": 64, "steps": 1}}, "too few pictures for one batch of 64"),
        ({"gan": {"data": "teacher"}, "pairs": {}}, "gan\\.data: teacher needs the teacher's samples"),
        ({"ratio": {"clip": (20.0, 0.1)}}, r"ratio\.clip: must be 0 < low < 1 < high \(got \[20, 0\.1\]\)"),
        ({"time": {"low": 0.9, "high": 0.5}}, r"time\.low: must be below time\.high"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_before_the_first_step(
    change: dict[str, dict[str, object]], told: str, chain: Path, tiny_set: Path
) -> None:
    base = distillation(chain, tiny_set, steps=1, out="refused").model_dump(mode="json", exclude_defaults=True)
    spec = type(distillation(chain, tiny_set, steps=1)).model_validate({**base, **change})
    with pytest.raises(SpecError, match=told):
        distil(spec)
    assert not (chain / "refused").exists()


def test_teachers_samples_may_stand_for_the_data(chain: Path, tiny_set: Path) -> None:
    base = distillation(chain, tiny_set, steps=2, out="from-teacher").model_dump(mode="json", exclude_defaults=True)
    spec = type(distillation(chain, tiny_set, steps=1)).model_validate(
        {
            **base,
            "gan": {"data": "teacher"},
            "optim": {"batch": 4, "steps": 2, "accumulate": 2, "gradient_checkpointing": True},
        }
    )
    assert (distil(spec) / "unet" / "diffusion_pytorch_model.safetensors").is_file()


def test_a_distillation_goes_on_from_an_earlier_student(chain: Path, tiny_set: Path) -> None:
    """One step at a rate of nothing gives the student that it started from."""
    first = chain / "distilled" / "student"
    base = distillation(chain, tiny_set, steps=1, out="refined").model_dump(mode="json", exclude_defaults=True)
    given = {**base, "student": {"init": first}, "pairs": {}, "optim": {"batch": 4, "steps": 1, "lr": 1e-12}}
    refined = distil(DistillSpec.model_validate(given))
    before, after = (load_file(folder / "unet" / "diffusion_pytorch_model.safetensors") for folder in (first, refined))
    assert all(torch.equal(before[name], after[name]) for name in before)
    unet = load_file(chain / "teacher" / "unet" / "diffusion_pytorch_model.safetensors")
    assert any(not torch.equal(unet[name].half(), after[name]) for name in unet)
    relations = [edge.relation for edge in read_card(refined).lineage]
    assert relations[0] == "distilled_from"
    assert "initialised_from" in relations
    assert all(any(edge == other for other in read_card(refined).lineage) for edge in read_card(first).lineage)


def test_the_licence_of_the_start_counts(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    """A student that was made for research alone cannot become a commercial one by training on."""
    start = tmp_path / "start"
    shutil.copytree(chain / "distilled" / "student", start)
    card = json.loads((start / "qcgen_model.json").read_text())
    card["lineage"].append({"relation": "trained_on", "parent": "rented photos", "licence": "CC-BY-NC-4.0"})
    (start / "qcgen_model.json").write_text(json.dumps(card))
    teacher = tmp_path / "teacher"
    shutil.copytree(chain / "teacher", teacher)
    own = {"relation": "trained_on", "parent": "own photos", "licence": "Apache-2.0"}
    declared = {"name": "t", "kind": "teacher", "licence": "Apache-2.0", "lineage": [own]}
    (teacher / "qcgen_model.json").write_text(json.dumps(declared))
    base = distillation(chain, tiny_set, steps=1, out="blocked").model_dump(mode="json", exclude_defaults=True)
    given = {**base, "teacher": teacher, "purpose": "commercial", "student": {"init": start}, "pairs": {}}
    with pytest.raises(BlockedError, match="rented photos"):
        distil(DistillSpec.model_validate(given))


def test_a_start_that_does_not_fit_is_refused(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    given = distillation(chain, tiny_set, steps=1, out="refused").model_dump(mode="json", exclude_defaults=True)
    student = chain / "distilled" / "student"
    with pytest.raises(PrerequisiteError, match=r"student.init: .* is missing. Cure"):
        distil(DistillSpec.model_validate({**given, "student": {"init": chain / "teacher"}}))
    with pytest.raises(SpecError, match=r"student.init: must live at the job's time \d+ \(got \d+\). Cure"):
        distil(DistillSpec.model_validate({**given, "student": {"init": student, "noise_to_signal": 1.0}}))
    lora = {**given["optim"], "lora": {"rank": 2, "alpha": 2}}
    with pytest.raises(SpecError, match=r"student.init: adapters begin at the teacher.*Cure"):
        distil(DistillSpec.model_validate({**given, "student": {"init": student}, "optim": lora}))
    other = tmp_path / "other"
    shutil.copytree(student, other)
    unet = UNet2DConditionModel.from_pretrained(student / "unet")
    wider = {**{k: v for k, v in unet.config.items() if not k.startswith("_")}, "block_out_channels": (32, 64)}
    UNet2DConditionModel.from_config(wider).save_pretrained(other / "unet")
    with pytest.raises(SpecError, match=r"student.init: .* is not a student of .*Cure"):
        distil(DistillSpec.model_validate({**given, "student": {"init": other}}))
    assert not (chain / "refused").exists()


def test_a_resume_with_another_encoder_of_the_same_name_is_refused(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    encoder = tmp_path / "clip"
    shutil.copytree(chain / "clip", encoder)
    base = distillation(chain, tiny_set, steps=1, out="pinned").model_dump(mode="json", exclude_defaults=True)
    spec = DistillSpec.model_validate({**base, "eval": {"every": 1, "n": 100, "clip": str(encoder)}})
    distil(spec)
    pairs = (spec.out / "pairs.safetensors").read_bytes()
    assert b"eval.clip" not in pairs, "they do not depend on it"
    weights = load_file(encoder / "open_clip_model.safetensors")
    save_file({**weights, "logit_scale": weights["logit_scale"] + 1}, encoder / "open_clip_model.safetensors")
    with pytest.raises(SpecError, match=r"eval\.clip weights changed since this checkpoint \(was .*\)\. Cure"):
        distil(spec, resume=True)
    shutil.rmtree(encoder)
    with pytest.raises(PrerequisiteError, match=r"eval\.clip: the folder .* does not exist\. Cure"):
        distil(spec, resume=True)


def test_the_averaged_student_is_measured_while_it_is_distilled(chain: Path, tiny_set: Path) -> None:
    base = distillation(chain, tiny_set, steps=2, out="measured").model_dump(mode="json", exclude_defaults=True)
    spec = type(distillation(chain, tiny_set, steps=1)).model_validate(
        {**base, "eval": {"every": 1, "n": 100, "clip": str(chain / "clip")}}
    )
    distil(spec)
    rows = rows_of(read_events(spec.out / EVENTS_FILE), "evaluation")
    assert [row["step"] for row in rows] == [1, 2]
    row = rows[-1]
    assert row["n"] == 100
    assert all(math.isfinite(float(str(row[key]))) for key in ("distance", "error", "precision", "recall"))
    ground = prepare(spec, say=print)
    material = read_material(spec, ground.parts, ground.data, device="cpu", check=lambda: None)
    measure = InLoop(spec, ground.parts, ground.data, material, device="cpu").measure
    with pytest.raises(NonFiniteError, match=r"non-finite numbers \(1 of the 64 seen\)"):
        measure(lambda noise, cond: torch.where(torch.arange(len(noise))[:, None, None, None] == 5, math.nan, noise))
    best = [path.name for path in spec.out.glob("best-*.safetensors")]
    assert best
    assert set(best) <= {"best-1.safetensors", "best-2.safetensors"}
