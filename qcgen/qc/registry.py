"""The detectors and the set metrics that come with the package."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from qcgen.core.registry import scan
from qcgen.qc.protocol import Detector, SetMetric


@lru_cache(maxsize=1)
def find_detectors() -> Mapping[str, Detector]:
    """Every detector of the folder, by name."""
    return MappingProxyType({name: cast(Detector, plugin()) for name, plugin in scan("qcgen.qc.detectors").items()})


def make_metrics() -> Mapping[str, SetMetric]:
    """A new object of every set metric of the folder, by name; each keeps the rows it is given."""
    return {name: cast(SetMetric, kind()) for name, kind in scan("qcgen.qc.metrics").items()}
