"""A local open_clip model as an `ImageTextEncoder`: tensors in, unit embeddings out. Nothing is ever downloaded."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol, cast

import open_clip
import torch
from jaxtyping import Float, UInt8
from open_clip.factory import _find_checkpoint_in_dir
from safetensors import SafetensorError
from torch import Tensor, nn

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.card import digest
from qcgen.models.clipfile import ClipFile
from qcgen.models.preprocess import Preprocess, read_preprocess

_CONFIG = "open_clip_config.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


class _Clip(Protocol):
    """The two methods that all of open_clip's models have."""

    def encode_image(self, image: Tensor, *, normalize: bool) -> Tensor: ...

    def encode_text(self, text: Tensor, *, normalize: bool) -> Tensor: ...


class OpenClipEncoder:
    """Any open_clip model, frozen, in evaluation mode and float32.

    Pictures are prepared on the device; `preprocess` agrees with open_clip's own transform.

    Args:
        source: a folder in open_clip's `local-dir` format, or one weight file and what it is of.

    Attributes:
        notes: what a person should know of how the model was read.

    Raises:
        SpecError, PrerequisiteError: files are missing, do not fit each other, or are a pickle.
    """

    def __init__(self, source: Path | ClipFile, *, device: str = "cpu") -> None:
        self.notes: tuple[str, ...] = ()
        if isinstance(source, ClipFile):
            self.model, self.tokenizer = _open_file(source, device)
            self.digest = source.digest()
        else:
            self.model, self.tokenizer, self.notes = _open_folder(source, device)
            self.digest = digest(source)
        self.model = self.model.float().eval().requires_grad_(False)
        self._clip = cast(_Clip, self.model)
        where = str(source.weights if isinstance(source, ClipFile) else source)
        settings = cast(Mapping[str, object], cast(nn.Module, self.model.visual).preprocess_cfg)
        self.preprocess: Preprocess = read_preprocess(settings, where)
        _check_vocabulary(self.model, self.tokenizer, where)
        self.device = device
        self._text = lru_cache(maxsize=65536)(self._encode_text)

    @torch.no_grad()
    def encode_images(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        return self._clip.encode_image(self.preprocess(images, self.device), normalize=True)

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return torch.stack([self._text(text) for text in texts])

    @torch.no_grad()
    def _encode_text(self, text: str) -> Tensor:
        return self._clip.encode_text(self.tokenizer([text]).to(self.device), normalize=True)[0]


def _open_folder(folder: Path, device: str) -> tuple[nn.Module, open_clip.SimpleTokenizer, tuple[str, ...]]:
    config = _read_config(folder)
    found = _find_checkpoint_in_dir(folder)
    if found is None:
        raise PrerequisiteError(
            f"{folder}: lacks open_clip_model.safetensors. Cure: give an open_clip folder with safetensors weights."
        )
    if not found.endswith(".safetensors"):
        raise SpecError(
            f"{folder}: {Path(found).name} is a pickle and is never loaded. "
            "Cure: convert it to open_clip_model.safetensors and take it out of the folder."
        )
    text = _block(_block(config, "model_cfg"), "text_cfg")
    _refuse_hub_tower(text, str(folder))
    if text.get("hf_tokenizer_name") and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise PrerequisiteError(
            f"{folder}: its tokenizer ({text['hf_tokenizer_name']}) is not there. Cure: copy its tokenizer.json "
            "and tokenizer_config.json into the folder."
        )
    name = f"local-dir:{folder}"
    bpe = folder / "bpe.txt.gz"
    # open_clip takes a path in the configuration as it stands, not from the folder.
    options = {"bpe_path": str(bpe)} if bpe.is_file() else {}
    model = _create(str(folder), name, None, device=device)
    notes = () if config.get("preprocess_cfg") else (f"{folder}: {_CONFIG} has no preprocess_cfg; OpenAI's is taken.",)
    return model, open_clip.get_tokenizer(name, **options), notes


def _block(settings: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = settings.get(name)
    return found if isinstance(found, dict) else {}


def _read_config(folder: Path) -> Mapping[str, object]:
    path = folder / _CONFIG
    if not path.is_file():
        raise PrerequisiteError(
            f"{folder}: lacks {_CONFIG}. Cure: give a folder in open_clip's local-dir format, "
            "or one weight file as open_clip:ARCHITECTURE[/TAG]:FILE."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpecError(f"{path}: must be JSON ({error}). Cure: copy the file again.") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_cfg"), dict):
        raise SpecError(f"{path}: lacks model_cfg. Cure: open_clip's own configuration file.")
    return config


def _open_file(file: ClipFile, device: str) -> tuple[nn.Module, open_clip.SimpleTokenizer]:
    known = _trained_as(file)
    where = str(file.weights)
    text = open_clip.get_model_config(file.architecture)["text_cfg"]
    _refuse_hub_tower(text, where)
    if text.get("hf_tokenizer_name") or "siglip" in file.architecture.lower():
        raise PrerequisiteError(
            f"{where}: {file.architecture} needs a tokenizer that is no part of open_clip. "
            "Cure: give the model as a folder with its open_clip_config.json and tokenizer files."
        )
    options = {f"image_{name}": known[name] for name in _PREPROCESSING}
    quick = bool(known.get("quick_gelu", False))
    model = _create(where, file.architecture, where, device=device, force_quick_gelu=quick, **options)
    return model, open_clip.get_tokenizer(file.architecture)


def _trained_as(file: ClipFile) -> Mapping[str, object]:
    """Preprocessing and activation of the published trainings of an architecture; a bare file names neither, and with
    the wrong ones a model works badly and says nothing."""
    tags = open_clip.list_pretrained_tags_by_model(file.architecture)
    configs = {tag: open_clip.get_pretrained_cfg(file.architecture, tag) for tag in tags}
    if file.tag is not None:
        if file.tag not in configs:
            raise SpecError(
                f"{file.weights}: {file.architecture} was not trained as {file.tag!r}. Cure: one of "
                f"{', '.join(tags) or 'none; give a folder'}."
            )
        return configs[file.tag]
    if not configs:
        raise SpecError(
            f"{file.weights}: open_clip knows no published training of {file.architecture}, so not its preprocessing. "
            "Cure: give a folder with its own open_clip_config.json."
        )
    if len({_kind(config) for config in configs.values()}) > 1:
        raise SpecError(
            f"{file.weights}: {file.architecture} exists with several activations or preprocessings, and the file "
            f"does not say which it has. Cure: open_clip:{file.architecture}/TAG:FILE with one of {', '.join(tags)}."
        )
    return next(iter(configs.values()))


def _kind(config: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(str(config.get(name)) for name in (*_PREPROCESSING, "quick_gelu"))


def _refuse_hub_tower(text: Mapping[str, object], where: str) -> None:
    if text.get("hf_model_name"):
        raise SpecError(
            f"{where}: its text tower is described on a hub only ({text['hf_model_name']}). "
            "Cure: a model with open_clip's own text tower."
        )


def _create(where: str, name: str, weights: str | None, *, device: str, **options: object) -> nn.Module:
    try:
        return open_clip.create_model_from_pretrained(name, weights, return_transform=False, device=device, **options)
    except (RuntimeError, ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = " ".join(lines[:2])[:300] or type(error).__name__
        raise SpecError(
            f"{where}: weights and configuration do not fit ({told}). Cure: the weights of this model, whole, or "
            "the configuration that belongs to them."
        ) from error


def _check_vocabulary(model: nn.Module, tokenizer: object, where: str) -> None:
    """A tokenizer with more words than the text tower would index beyond its table."""
    inner = getattr(tokenizer, "tokenizer", None)
    words = len(inner) if inner is not None else int(getattr(tokenizer, "vocab_size", 0))
    rows = getattr(model, "vocab_size", None)
    if rows is not None and words > rows:
        raise SpecError(
            f"{where}: the tokenizer has {words} words, the text tower {rows}. "
            "Cure: put the model's own bpe.txt.gz or tokenizer files into the folder."
        )
