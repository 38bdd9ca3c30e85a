"""The text tower of an open_clip model as a transformers CLIPTextModel and CLIPTokenizer, as diffusers' pipelines
want them."""

import json
from pathlib import Path

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel


def write_text_tower(clip: nn.Module, bpe: Path, model_cfg: dict[str, object], folder: Path) -> None:
    """Write `text_encoder/` and `tokenizer/` under `folder`; the hidden states equal those of the open_clip model.

    Args:
        clip: an open_clip CLIP (not CustomText).
        bpe: the merges file of its tokenizer.
        model_cfg: the `model_cfg` block of its open_clip_config.json.
    """
    text = model_cfg["text_cfg"]
    assert isinstance(text, dict)
    width, vocab = int(text["width"]), int(text["vocab_size"])
    config = CLIPTextConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=int(str(model_cfg["embed_dim"])),
        num_hidden_layers=int(text["layers"]),
        num_attention_heads=int(text["heads"]),
        max_position_embeddings=int(text["context_length"]),
        hidden_act="gelu",
        pad_token_id=0,
        bos_token_id=vocab - 2,
        eos_token_id=vocab - 1,
    )
    tower = CLIPTextModel(config)
    renamed = _rename(clip.state_dict(), width)
    prefix = "text_model." if any(name.startswith("text_model.") for name in tower.state_dict()) else ""
    missing, unexpected = tower.load_state_dict({prefix + name: t for name, t in renamed.items()}, strict=False)
    if [name for name in missing if "position_ids" not in name] or unexpected:
        raise ValueError(f"text tower does not fit: missing {missing}, unexpected {unexpected}")
    tower.half().save_pretrained(folder / "text_encoder")
    _write_tokenizer(bpe, int(text["context_length"]), folder / "tokenizer")


def _rename(state: dict[str, torch.Tensor], width: int) -> dict[str, torch.Tensor]:
    renamed = {
        "embeddings.token_embedding.weight": state["token_embedding.weight"],
        "embeddings.position_embedding.weight": state["positional_embedding"],
        "final_layer_norm.weight": state["ln_final.weight"],
        "final_layer_norm.bias": state["ln_final.bias"],
    }
    inner = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
        "attn.out_proj": "self_attn.out_proj",
    }
    for name, tensor in state.items():
        if not name.startswith("transformer.resblocks."):
            continue
        number, rest = name.removeprefix("transformer.resblocks.").split(".", 1)
        layer = f"encoder.layers.{number}."
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            for projection, part in zip(("q_proj", "k_proj", "v_proj"), tensor.split(width), strict=True):
                renamed[f"{layer}self_attn.{projection}.{kind}"] = part
            continue
        stem, kind = rest.rsplit(".", 1)
        renamed[f"{layer}{inner[stem]}.{kind}"] = tensor
    return renamed


def _write_tokenizer(bpe: Path, context_length: int, folder: Path) -> None:
    simple = SimpleTokenizer(bpe_path=str(bpe))
    folder.mkdir(parents=True, exist_ok=True)
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {special.get(token, token): number for token, number in simple.encoder.items()}
    merges = ["#version: 0.2", *(" ".join(pair) for pair in simple.bpe_ranks)]
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": context_length,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "!",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
