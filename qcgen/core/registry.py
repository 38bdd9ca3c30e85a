"""A loud folder scan that finds plug-ins: one file in the folder, one name in the job files."""

import importlib
import inspect
import pkgutil
from types import ModuleType

from qcgen.core.errors import QcgenError


def scan(package: str) -> dict[str, type]:
    """All plug-in classes in a package's modules, by name, sorted.

    A plug-in is a public class, defined in the module itself, whose class attribute `name` is a text. A module
    may define several. Modules whose name begins with an underscore are not plug-ins. Importing a plug-in must be
    cheap: heavy imports belong into its `load`.

        detectors = scan("qcgen.qc.detectors")
        blur = detectors["blur"]()

    Args:
        package: dotted name of the folder, such as `qcgen.govern.rules`.

    Raises:
        QcgenError: a module that registers nothing, or a name given twice; all of them at once, with their files.
    """
    root = importlib.import_module(package)
    found: dict[str, type] = {}
    problems: list[str] = []
    for info in sorted(pkgutil.iter_modules(root.__path__), key=lambda info: info.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package}.{info.name}")
        classes = plugins_of(module)
        if not classes:
            cure = "Define a public class with a text `name`, or move the file."
            problems.append(f"{module.__file__}: registers nothing. {cure}")
        for name, plugin in classes:
            if name in found:
                other = inspect.getsourcefile(found[name])
                problems.append(f"{module.__file__}: the name {name!r} is taken by {other}. Rename one.")
            found.setdefault(name, plugin)
    if problems:
        raise QcgenError("\n".join(problems))
    return dict(sorted(found.items()))


def plugins_of(module: ModuleType) -> list[tuple[str, type]]:
    """Public classes that a module defines itself and that carry a text `name`, with that text."""
    classes = [value for key, value in vars(module).items() if inspect.isclass(value) and not key.startswith("_")]
    own = [plugin for plugin in classes if plugin.__module__ == module.__name__]
    return [(name, plugin) for plugin in own if isinstance(name := plugin.__dict__.get("name"), str)]
