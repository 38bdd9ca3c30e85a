"""The folder scan finds plug-ins, and is loud about files that are none."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcgen.core.errors import QcgenError
from qcgen.core.registry import scan

PLUGIN = "class {name}:\n    name = '{word}'\n"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """An importable, empty package `plugins_under_test`."""
    folder = tmp_path / "plugins_under_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    sys.path.insert(0, str(tmp_path))
    yield folder
    sys.path.remove(str(tmp_path))
    for module in [name for name in sys.modules if name.startswith("plugins_under_test")]:
        del sys.modules[module]


def test_plugins_are_found_by_name(package: Path) -> None:
    (package / "b.py").write_text(
        PLUGIN.format(name="Blur", word="blur") + "class Params:\n    pass\n", encoding="utf-8"
    )
    (package / "a.py").write_text(
        f"from {package.name}.b import Blur\n" + PLUGIN.format(name="Crop", word="crop"), encoding="utf-8"
    )
    (package / "_private.py").write_text("x = 1\n", encoding="utf-8")
    found = scan(package.name)
    assert {name: plugin.__name__ for name, plugin in found.items()} == {"blur": "Blur", "crop": "Crop"}


def test_empty_files_and_repeated_names_are_all_named(package: Path) -> None:
    (package / "a.py").write_text(PLUGIN.format(name="A", word="same"), encoding="utf-8")
    (package / "b.py").write_text(PLUGIN.format(name="B", word="same"), encoding="utf-8")
    (package / "c.py").write_text("class NoPlugin:\n    pass\n", encoding="utf-8")
    with pytest.raises(QcgenError) as caught:
        scan(package.name)
    repeated, empty = str(caught.value).splitlines()
    assert str(package / "a.py") in repeated
    assert str(package / "b.py") in repeated
    assert str(package / "c.py") in empty
