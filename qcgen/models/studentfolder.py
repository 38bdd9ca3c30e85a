"""A student as a folder of parts in diffusers' layout, with a scheduler that ends where the student lives."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from diffusers import LCMScheduler, ModelMixin, UNet2DConditionModel
from torch import nn

from qcgen.models.card import STUDENT_FILE
from qcgen.models.noising import Schedule, read_noising

_GUIDANCE_WIDTH = 8


def write_student_folder(
    networks: Mapping[str, nn.Module], copied: Mapping[str, Path], folder: Path, *, t_init: float, size_px: int
) -> None:
    """Write the trained network, the scheduler and `qcgen_student.json`, and copy the parts that the teacher gives.

    The scheduler of a variance-preserving student ends at `t_init`, so that a one-step call lands exactly there and any
    other number of steps raises; others keep the teacher's. A conditional UNet gets a zero guidance embedding:
    pipelines then never run classifier-free guidance.

    Args:
        networks: what was trained, by part name; float16 on the disk.
        copied: the teacher's folders by part name, `scheduler` among them.
    """
    schedule = read_noising(copied["scheduler"])
    for name, network in networks.items():
        proofed = guidance_proof(network) if isinstance(network, UNet2DConditionModel) else cast(ModelMixin, network)
        proofed.half().save_pretrained(folder / name)
    for name, place in copied.items():
        if name == "scheduler" and isinstance(schedule, Schedule):
            truncated_scheduler(schedule, int(t_init)).save_pretrained(folder / name)
        else:
            shutil.copytree(place, folder / name, dirs_exist_ok=True)
    time = int(t_init) if float(t_init).is_integer() and isinstance(schedule, Schedule) else t_init
    facts = {"t_init": time, "steps": 1, "guidance_scale": 0, "size_px": size_px}
    forget_places(folder)
    (folder / STUDENT_FILE).write_text(json.dumps(facts, indent=1) + "\n")


def forget_places(folder: Path) -> None:
    """Take out of every configuration where its part was loaded from: a path that must not travel."""
    for path in folder.rglob("*.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(config, dict) and config.pop("_name_or_path", None) is not None:
            part = path.with_suffix(".part")
            part.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            os.replace(part, path)


def truncated_scheduler(schedule: Schedule, t_init: int) -> LCMScheduler:
    """One step from `t_init` to x_0, and no other number of steps."""
    return LCMScheduler(
        num_train_timesteps=t_init + 1,
        trained_betas=schedule.betas[: t_init + 1].tolist(),
        prediction_type=schedule.prediction,
        original_inference_steps=1,
        clip_sample=False,
        set_alpha_to_one=True,
        # What pipelines set anyhow, after a warning; the one step does not depend on it.
        steps_offset=1,
    )


def guidance_proof(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same UNet with a guidance embedding of weight zero: pipelines then make one call at any guidance scale."""
    if unet.config.time_cond_proj_dim is not None:
        return unet
    # Names that begin with an underscore tell where this copy was loaded from: a path that must not travel.
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    proofed = UNet2DConditionModel.from_config({**config, "time_cond_proj_dim": _GUIDANCE_WIDTH})
    missing, unexpected = proofed.load_state_dict(unet.state_dict(), strict=False)
    if missing != ["time_embedding.cond_proj.weight"] or unexpected:
        raise ValueError(f"the UNet does not fit its own configuration: missing {missing}, unexpected {unexpected}")
    torch.nn.init.zeros_(proofed.time_embedding.cond_proj.weight)
    return proofed
