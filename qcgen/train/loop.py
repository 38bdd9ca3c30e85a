"""The loop that every training shares: steps, averaged weights, checkpoints, resume, a log of JSON lines."""

import json
import time
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qcgen.core.trainspec import OptimSpec
from qcgen.models.checkpoint import load_state, save_state


class Task(Protocol):
    """One kind of training.

    `module` holds every trained parameter; `loss` draws its own batch from `generator` and returns a scalar and
    numbers to log;
    `export` writes the averaged weights in the form that others load.
    """

    module: nn.Module

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]: ...

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]: ...


def fit(task: Task, optim: OptimSpec, *, folder: Path, seed: int, checkpoint_every: int) -> dict[str, object]:
    """Train to `optim.steps`, resuming from `folder` if it holds a checkpoint, and export.

    Returns:
        The numbers that the export measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(
        # Not fused: on the CPU that kernel mixes elements up when weights and moments differ in memory format, as they
        # do after a resume of a channels-last network.
        task.module.parameters(),
        lr=optim.lr,
        weight_decay=optim.weight_decay,
        betas=(0.9, 0.99),
    )
    warmup = torch.optim.lr_scheduler.LinearLR(optimiser, 1e-3, total_iters=max(optim.warmup, 1))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(optim.steps - optim.warmup, 1))
    schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [warmup, decay], [optim.warmup])
    averaged = AveragedModel(task.module, multi_avg_fn=get_ema_multi_avg_fn(optim.ema))
    generator = torch.Generator().manual_seed(seed)
    checkpoint = folder / "checkpoint.safetensors"
    start = 0
    if checkpoint.exists():
        state = cast(dict[str, dict[str, Tensor]], load_state(checkpoint))
        task.module.load_state_dict(state["module"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(cast(dict[str, object], state["schedule"]))
        generator.set_state(cast(Tensor, state["generator"]))
        start = cast(int, state["step"])
    task.module.train()
    began_s = time.monotonic()
    with (folder / "log.jsonl").open("a") as log:
        for step in range(start, optim.steps):
            loss, numbers = task.loss(step, generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(task.module.parameters(), optim.clip_norm)
            optimiser.step()
            schedule.step()
            averaged.update_parameters(task.module)
            if step % 20 == 0 or step + 1 == optim.steps:
                row = {"step": step, "loss": loss.item(), "grad_norm": norm.item(), **numbers}
                row["steps_per_s"] = (step + 1 - start) / (time.monotonic() - began_s)
                log.write(json.dumps({key: round(value, 5) for key, value in row.items()}) + "\n")
                log.flush()
            if (step + 1) % checkpoint_every == 0 or step + 1 == optim.steps:
                save_state(
                    checkpoint,
                    {
                        "step": step + 1,
                        "module": task.module.state_dict(),
                        "averaged": averaged.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "schedule": _plain(schedule.state_dict()),
                        "generator": generator.get_state(),
                    },
                )
    measured = task.export(averaged.module, folder)
    (folder / "measured.json").write_text(json.dumps(measured, indent=1) + "\n")
    return measured


def _plain(state: dict[str, object]) -> dict[str, object]:
    """Drop the nested schedulers' optimiser references, which cannot be saved and are restored by construction."""
    plain = {key: value for key, value in state.items() if key not in {"_schedulers", "_milestones"}}
    nested = cast(list[dict[str, object]], state.get("_schedulers", []))
    return {**plain, "_schedulers": [{k: v for k, v in one.items() if _savable(v)} for one in nested]}


def _savable(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str | list | tuple | Tensor)
