"""Detectors and corruptions from outside the package: installed ones, and files in folders that the user names.

Code runs when it is imported, so nothing that a job or a profile says is ever loaded: an installed package is there by
the user's own act, and a folder is looked at only where the environment names it.
"""

import hashlib
import importlib.util
import inspect
import os
import stat
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.registry import plugins_of

FOLDERS = "QCGEN_PLUGINS"
"""The environment's list of folders, separated as in PATH."""
DETECTORS, CORRUPTIONS = "qcgen.detectors", "qcgen.corruptions"
"""Groups of entry points."""
_NEEDS = {
    DETECTORS: ("version", "unit", "range", "higher_is_better", "score"),
    CORRUPTIONS: ("unit", "parameters", "local", "apply"),
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """A class from outside. `tables`: the folder beside its file; `owned`: whether the user keeps that folder."""

    name: str
    kind: type
    tables: Path
    owned: bool


def user_tables() -> Path:
    """Where the tables of installed plug-ins are written: `$XDG_DATA_HOME/qcgen/tables`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "qcgen" / "tables"


def find_plugins(group: str, taken: Collection[str]) -> dict[str, Plugin]:
    """Every plug-in of a group, by name.

    Args:
        taken: names of the built-in ones; a plug-in cannot take the place of one.

    Raises:
        SpecError: a folder or file that others may write, a name that is taken, a class that lacks something.
        PrerequisiteError: one that cannot be imported.
    """
    found: dict[str, Plugin] = {}
    for where, plugin in (*_installed(group), *_in_folders(group)):
        lacking = [name for name in _NEEDS[group] if not hasattr(plugin.kind, name)]
        if lacking:
            raise SpecError(f"{where}: {plugin.name} lacks {', '.join(lacking)}. Cure: docs/qc.md has an example.")
        if plugin.name in taken or plugin.name in found or not plugin.name.isidentifier():
            why = "is no identifier" if not plugin.name.isidentifier() else "is taken"
            raise SpecError(f"{where}: the name {plugin.name!r} {why}. Cure: another name.")
        found[plugin.name] = plugin
    return found


def _installed(group: str) -> Iterator[tuple[str, Plugin]]:
    for point in sorted(entry_points(group=group), key=lambda one: one.name):
        where = f"entry point {point.name} of {group}"
        try:
            kind = point.load()
        except Exception as error:  # whatever the package's own code raises
            raise PrerequisiteError(
                f"{where}: {point.value} cannot be imported ({error!r}). Cure: mend or uninstall its package."
            ) from error
        if not inspect.isclass(kind) or not isinstance(name := getattr(kind, "name", None), str):
            raise SpecError(f"{where}: {point.value} is no class with a text `name`. Cure: docs/qc.md has an example.")
        yield where, Plugin(name, kind, Path(inspect.getfile(kind)).parent / "tables", owned=False)


def _in_folders(group: str) -> Iterator[tuple[str, Plugin]]:
    for text in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        folder = Path(text)
        if not folder.is_dir():
            raise SpecError(f"{FOLDERS}: {text!r} is no folder. Cure: correct it, or unset {FOLDERS}.")
        _refuse_shared(folder)
        for path in sorted(folder.glob("[!_]*.py")):
            _refuse_shared(path)
            for name, kind in _classes(path):
                if hasattr(kind, "score" if group == DETECTORS else "apply"):
                    yield str(path), Plugin(name, kind, folder / "tables", owned=True)


def _classes(path: Path) -> list[tuple[str, type]]:
    """Public classes with a text `name`; of a file that was imported before, the same ones."""
    name = f"qcgen_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # whatever the file's own code raises
            del sys.modules[name]
            raise PrerequisiteError(f"{path}: cannot be imported ({error!r}). Cure: mend it, or move it.") from error
    found = plugins_of(sys.modules[name])
    if not found:
        raise SpecError(
            f"{path}: registers nothing. Cure: a public class with a text `name`, or a name that begins with _."
        )
    return found


def _refuse_shared(path: Path) -> None:
    """Who may write the file decides what runs here."""
    about = path.stat()
    if about.st_uid not in (0, os.getuid()) or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SpecError(f"{FOLDERS}: others may write {path}, so it is not run. Cure: chmod go-w, and own it yourself.")
