"""What every test runs under: no network, one thread, shapes checked at the border."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

import tests.typecheck

# Before any of these libraries is imported: they read their environment once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")

# Every public border with a tensor is checked under pytest; production pays nothing.
TENSOR_PACKAGES = ["qcgen.data", "qcgen.distill", "qcgen.generate", "qcgen.models", "qcgen.qc", "qcgen.train"]
install_import_hook(TENSOR_PACKAGES, f"{tests.typecheck.__name__}.check")

# A slow machine fails no test.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data packages beside the repository; a test that needs them is skipped, saying so, where they are missing."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data packages at {folder}")
    return folder
