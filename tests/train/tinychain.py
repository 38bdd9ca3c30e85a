"""A whole chain on the tiny image set: CLIP, autoencoder, teacher, student, each trained for a few steps."""

from pathlib import Path

from qcgen.core.distillspec import DistillSpec
from qcgen.core.trainspec import AutoencoderTraining, ClipTraining, DataSpec, OptimSpec, TeacherTraining
from qcgen.pipeline.distill import run_distillation
from qcgen.pipeline.train import run_training


def _quiet(_: str) -> None:
    return


def train_chain(root: Path, tiny_set: Path) -> None:
    """A folder with `clip`, `autoencoder`, `teacher` and `distilled/student`, each trained for a few steps."""
    data = DataSpec(path=tiny_set)
    common = {"version": 1, "data": data, "data_licence": "CC0-1.0", "threads": 1}
    run_training(
        ClipTraining(
            kind="clip",
            name="clip",
            out=root / "clip",
            optim=_optim(4),
            image_size=32,
            vision_width=8,
            vision_layers=(1, 1, 1, 1),
            text_layers=1,
            **common,
        ),
        say=_quiet,
    )
    run_training(
        AutoencoderTraining(
            kind="autoencoder",
            name="ae",
            out=root / "autoencoder",
            optim=_optim(4),
            patch=8,
            latent_channels=4,
            width=16,
            blocks=1,
            crop=24,
            perceptual=root / "clip",
            **common,
        ),
        say=_quiet,
    )
    run_training(teacher_training(root, tiny_set, root / "teacher"), say=_quiet)
    distil(distillation(root, tiny_set, steps=3))


def teacher_training(root: Path, tiny_set: Path, out: Path, *, data_licence: str = "CC0-1.0") -> TeacherTraining:
    """The chain's teacher, in any folder."""
    return TeacherTraining(
        version=1,
        kind="teacher",
        name="t",
        out=out,
        data=DataSpec(path=tiny_set),
        data_licence=data_licence,
        optim=_optim(6),
        clip=root / "clip",
        autoencoder=root / "autoencoder",
        channels=(32, 48),
        cross_attention=(True, False),
        augmentations=2,
        threads=1,
    )


def _optim(steps: int) -> OptimSpec:
    return OptimSpec(lr=1e-3, batch=8, steps=steps, warmup=2, ema=0.5)


def distillation(root: Path, tiny_set: Path, *, steps: int, out: str = "distilled") -> DistillSpec:
    return DistillSpec.model_validate(
        {
            "version": 1,
            "name": "d",
            "teacher": root / "teacher",
            "captions": tiny_set,
            "out": root / out,
            "pairs": {"count": 4, "solver_steps": 4, "steps": 2},
            "gan": {"start": 0.0},
            "ratio": {"bins": 2},
            "fake": {"updates": 1, "warmup": 1},
            "optim": {"batch": 4, "steps": steps},
            "threads": 1,
        }
    )


def distil(spec: DistillSpec, *, resume: bool = False) -> Path:
    return run_distillation(spec, resume=resume, device="cpu", say=_quiet, tell=lambda event: None)
