"""The detectors, the set metrics and the corruptions that come with the package, and the user's own."""

import os
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from qcgen.core.registry import scan
from qcgen.qc.corruption import Corruption
from qcgen.qc.plugins import CORRUPTIONS, DETECTORS, FOLDERS, Plugin, find_plugins
from qcgen.qc.protocol import Detector, SetMetric

_DETECTORS, _CORRUPTIONS = "qcgen.qc.detectors", "qcgen.qc.corruptions"


def find_detectors() -> Mapping[str, Detector]:
    """Every detector, by name: those of the folder, then plug-ins (`plugins.py`)."""
    return _detectors(os.environ.get(FOLDERS, ""))


def detector_plugins() -> Mapping[str, Plugin]:
    """The detectors among them that come from outside, by name."""
    return _plugins(DETECTORS, os.environ.get(FOLDERS, ""))


def make_metrics() -> Mapping[str, SetMetric]:
    """A new object of every set metric of the folder, by name; each keeps the rows it is given."""
    return {name: cast(SetMetric, kind()) for name, kind in scan("qcgen.qc.metrics").items()}


def find_corruptions() -> Mapping[str, Corruption]:
    """Every corruption, by name: those of the folder, then plug-ins."""
    return _corruptions(os.environ.get(FOLDERS, ""))


@lru_cache(maxsize=8)
def _detectors(folders: str) -> Mapping[str, Detector]:
    own = {name: cast(Detector, plugin()) for name, plugin in scan(_DETECTORS).items()}
    others = {name: cast(Detector, one.kind()) for name, one in _plugins(DETECTORS, folders).items()}
    return MappingProxyType(own | others)


@lru_cache(maxsize=8)
def _corruptions(folders: str) -> Mapping[str, Corruption]:
    own = {name: cast(Corruption, kind()) for name, kind in scan(_CORRUPTIONS).items()}
    others = {name: cast(Corruption, one.kind()) for name, one in _plugins(CORRUPTIONS, folders).items()}
    return MappingProxyType(own | others)


@lru_cache(maxsize=16)
def _plugins(group: str, folders: str) -> Mapping[str, Plugin]:
    """`folders` is what the environment says now: another value is another answer."""
    taken = scan(_DETECTORS if group == DETECTORS else _CORRUPTIONS)
    return MappingProxyType(find_plugins(group, taken))
