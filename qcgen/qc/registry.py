"""The detectors, the set metrics and the corruptions that come with the package."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from qcgen.core.registry import scan
from qcgen.qc.corruption import Corruption
from qcgen.qc.protocol import Detector, SetMetric


@lru_cache(maxsize=1)
def find_detectors() -> Mapping[str, Detector]:
    """Every detector of the folder, by name."""
    return MappingProxyType({name: cast(Detector, plugin()) for name, plugin in scan("qcgen.qc.detectors").items()})


def make_metrics() -> Mapping[str, SetMetric]:
    """A new object of every set metric of the folder, by name; each keeps the rows it is given."""
    return {name: cast(SetMetric, kind()) for name, kind in scan("qcgen.qc.metrics").items()}


@lru_cache(maxsize=1)
def find_corruptions() -> Mapping[str, Corruption]:
    """Every corruption of the folder, by name."""
    return MappingProxyType({name: cast(Corruption, kind()) for name, kind in scan("qcgen.qc.corruptions").items()})
