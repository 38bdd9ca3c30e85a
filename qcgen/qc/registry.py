"""Finds the detectors and the set metrics by scanning their folders, loudly: nothing is skipped or overridden."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType, ModuleType
from typing import cast

from qcgen.core import registry
from qcgen.core.errors import SpecError
from qcgen.qc import detectors
from qcgen.qc.protocol import Detector, SetMetric

_FACTS = ("name", "version", "unit", "range", "higher_is_better", "score")


@lru_cache(maxsize=1)
def find_detectors() -> Mapping[str, Detector]:
    """Every detector that comes with the package, by name."""
    return scan(detectors)


def make_metrics() -> Mapping[str, SetMetric]:
    """A new object of every set metric that comes with the package, by name; each keeps the rows it is given."""
    return {name: cast(SetMetric, kind()) for name, kind in registry.scan("qcgen.qc.metrics").items()}


def scan(package: ModuleType) -> Mapping[str, Detector]:
    """The detectors of a package: exactly one public class with the facts of `Detector` in each file.

    Raises:
        SpecError: lists the files that hold none or several, and names that two files claim.
    """
    found: dict[str, Detector] = {}
    files: dict[str, str] = {}
    problems: list[str] = []
    for entry in sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name):
        module = importlib.import_module(f"{package.__name__}.{entry.name}")
        file = module.__file__ or module.__name__
        classes = _detectors_in(module)
        if len(classes) != 1:
            problems.append(
                f"{file}: must define exactly one public class with {', '.join(_FACTS)} (got {len(classes)}). "
                "Cure: one file, one detector; helpers belong beside the folder."
            )
            continue
        detector = classes[0]()
        if detector.name in found:
            problems.append(f"{file}: the name {detector.name!r} is taken by {files[detector.name]}. Cure: rename one.")
            continue
        found[detector.name], files[detector.name] = detector, file
    if problems:
        raise SpecError(problems)
    return MappingProxyType(found)


def _detectors_in(module: ModuleType) -> list[Callable[[], Detector]]:
    public = [member for name, member in vars(module).items() if not name.startswith("_")]
    return [
        cast(Callable[[], Detector], member)
        for member in public
        if inspect.isclass(member)
        and member.__module__ == module.__name__
        and all(hasattr(member, fact) for fact in _FACTS)
    ]
