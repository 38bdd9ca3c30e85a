"""A CLIP from a folder or a file: prepares pictures as open_clip does, refused in one message where it cannot work."""

import json
import shutil
from pathlib import Path

import open_clip
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from qcgen.core.errors import PrerequisiteError, QcgenError, SpecError
from qcgen.models.embedded import load_encoder
from qcgen.models.encoder import OpenClipEncoder
from qcgen.models.find import ASSETS, resolve_model
from qcgen.models.preprocess import Preprocess

EMBEDDED = ASSETS / "clip-apparel"
WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EMBEDDED, tmp_path / "clip"))


def _change(folder: Path, block: str, **values: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config[block].update(values)
    (folder / CONFIG).write_text(json.dumps(config))


def _photos() -> list[Image.Image]:
    """Real photographs, wide, high, small, large and odd."""
    named = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    sizes = [(512, 512), (301, 451), (37, 90), (640, 427)]
    photos = [Image.fromarray(codes) for codes in named]
    shaped = [photo.resize(size, Image.Resampling.LANCZOS) for photo, size in zip(photos, sizes, strict=True)]
    return [*photos, *shaped, photos[0].crop((100, 0, 163, 500)), photos[1].crop((0, 50, 597, 121))]


def _codes(photo: Image.Image) -> Tensor:
    return (
        torch.frombuffer(bytearray(photo.tobytes()), dtype=torch.uint8)
        .view(photo.height, photo.width, 3)
        .permute(2, 0, 1)[None]
    )


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_embeddings_agree_with_open_clips_own_transform(folder: Path, mode: str, interpolation: str) -> None:
    _change(folder, "preprocess_cfg", resize_mode=mode, interpolation=interpolation, fill_color=200)
    encoder = OpenClipEncoder(folder)
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**encoder.model.visual.preprocess_cfg), is_train=False
    )
    for photo in _photos():
        own = encoder.encode_images(_codes(photo))[0]
        wanted = encoder.model.encode_image(transform(photo)[None], normalize=True)[0]
        assert float(own @ wanted) >= 1 - 0.005, (mode, interpolation, photo.size)


@pytest.mark.parametrize("size", [(48, 32), (32, 48)])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_a_size_that_is_not_square_is_prepared_as_open_clip_does(mode: str, size: tuple[int, int]) -> None:
    settings = {"size": size, "mean": (0.5,) * 3, "std": (0.25,) * 3, "resize_mode": mode, "fill_color": 90}
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**settings), is_train=False)
    for photo in _photos():
        made, wanted = Preprocess(**settings)(_codes(photo))[0], transform(photo)  # type: ignore[arg-type]
        assert made.shape == wanted.shape
        # Two levels of 255, in units of a deviation of 0.25: PIL rounds between its two passes.
        assert float((made - wanted).abs().mean()) < 2 / 255 / 0.25, (mode, photo.size)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("shape", [(1, 1), (20_000, 3), (3, 20_000)])
def test_dots_and_strips_are_prepared_in_bounded_memory(mode: str, shape: tuple[int, int]) -> None:
    prepare = Preprocess((224, 224), (0.5,) * 3, (0.5,) * 3, resize_mode=mode)  # type: ignore[arg-type]
    made = prepare(torch.full((1, 3, *shape), 128, dtype=torch.uint8))
    assert made.shape == (1, 3, 224, 224)
    assert bool(torch.isfinite(made).all())


def test_a_model_is_frozen_and_in_evaluation_mode(folder: Path) -> None:
    model = OpenClipEncoder(folder).model
    assert not any(module.training for module in model.modules())
    assert not any(one.requires_grad for one in model.parameters())


def test_weights_may_have_any_of_open_clips_names(folder: Path) -> None:
    expected = OpenClipEncoder(folder).encode_texts(["a hat"])
    (folder / WEIGHTS).rename(folder / "model.safetensors")
    assert torch.equal(OpenClipEncoder(folder).encode_texts(["a hat"]), expected)


def test_a_folder_without_preprocessing_is_told(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({"model_cfg": config["model_cfg"]}))
    assert "no preprocess_cfg" in OpenClipEncoder(folder).notes[0]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / CONFIG).unlink(), "lacks open_clip_config.json"),
        (lambda folder: (folder / WEIGHTS).unlink(), "lacks open_clip_model.safetensors"),
        (lambda folder: (folder / CONFIG).write_text("{"), "must be JSON"),
        (lambda folder: (folder / CONFIG).write_text("{}"), "lacks model_cfg"),
        (lambda folder: (folder / WEIGHTS).rename(folder / "open_clip_pytorch_model.bin"), "is a pickle"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"\0" * 64), "do not fit"),
        (lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:9000]), "do not fit"),
        (lambda folder: (folder / "bpe.txt.gz").unlink(), "the tokenizer has 49408 words, the text tower 2514"),
        (lambda folder: _change(folder, "model_cfg", embed_dim=64), "do not fit"),
        (lambda folder: _change(folder, "model_cfg", vision_cfg={"image_size": 64}), "do not fit"),
        (lambda folder: _change(folder, "preprocess_cfg", resize_mode="crop"), "resize_mode"),
        (lambda folder: _change(folder, "model_cfg", text_cfg={"hf_model_name": "roberta"}), "on a hub only"),
        (lambda folder: _change(folder, "model_cfg", text_cfg={"hf_tokenizer_name": "t5"}), "its tokenizer"),
    ],
)
def test_a_folder_that_cannot_work_is_refused_in_one_message(folder: Path, spoil, told: str) -> None:  # type: ignore[no-untyped-def]
    spoil(folder)
    with pytest.raises(QcgenError, match=told) as error:
        OpenClipEncoder(folder)
    assert isinstance(error.value, SpecError | PrerequisiteError)
    assert "Cure: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RN50 drawn at random: an architecture whose published trainings all have OpenAI's activation."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "drawn.safetensors"
    state = open_clip.create_model("RN50").state_dict()
    save_file({name: one.half().contiguous() for name, one in state.items()}, path)
    return path


def test_a_single_file_gets_the_activation_and_preprocessing_of_its_trainings(weights: Path) -> None:
    encoder = load_encoder(f"open_clip:RN50:{weights}")
    quick = open_clip.create_model_from_pretrained("RN50-quickgelu", str(weights), return_transform=False).eval()
    with torch.no_grad():
        wanted = quick.encode_text(encoder.tokenizer(["a red dress"]), normalize=True)
    torch.testing.assert_close(encoder.encode_texts(["a red dress"]), wanted, rtol=0, atol=1e-5)
    assert encoder.preprocess.mean == open_clip.OPENAI_DATASET_MEAN
    assert encoder.digest == resolve_model(f"open_clip:RN50:{weights}").digest
    assert encoder.digest != resolve_model(f"open_clip:RN50/openai:{weights}").digest


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("open_clip:RN50", "must be open_clip:ARCHITECTURE"),
        ("open_clip:RN51:{}", "no architecture 'RN51'. Did you mean 'RN50'"),
        ("open_clip:RN50:missing.safetensors", "does not exist"),
        ("open_clip:RN50:{}.pt", "is no .safetensors file"),
        ("open_clip:RN50/laion:{}", "was not trained as 'laion'"),
        ("open_clip:ViT-B-32:{}", "does not say which it has"),
        ("open_clip:ViT-S-32-alt:{}", "no published training"),
        ("open_clip:ViT-B-16-SigLIP:{}", "needs a tokenizer that is no part of open_clip"),
        ("open_clip:RN101:{}", "do not fit"),
    ],
)
def test_a_single_file_that_cannot_work_is_refused_in_one_message(weights: Path, name: str, told: str) -> None:
    pickle = weights.with_suffix(".safetensors.pt")
    pickle.write_bytes(b"\x80\x04")
    with pytest.raises(QcgenError, match=told) as error:
        load_encoder(name.format(weights))
    assert "Cure: " in str(error.value)
    assert "\n" not in str(error.value)
