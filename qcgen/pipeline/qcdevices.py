"""The same pictures on the CPU and on another device: do the scores agree, and the verdicts?"""

from collections.abc import Sequence

import torch

from qcgen.core.qcbenchresult import Devices
from qcgen.core.types import Measure, Score
from qcgen.pipeline.qcdomains import Picture
from qcgen.pipeline.qclayer import flagged
from qcgen.qc.inspect import Inspector
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy

_BATCH = 32
_MOST = 2_000


def compare_devices(pictures: Sequence[Picture], policy: Policy, *, device: str) -> Devices:
    """Scores by the policy's detectors that need no encoder, and its verdicts; pictures of the first one's size."""
    alike = [one for one in pictures if one.image.shape == pictures[0].image.shape][:_MOST]
    apart: dict[str, float | None] = {}
    differ = []
    inspector = Inspector(policy, None)
    for start in range(0, len(alike), _BATCH):
        part = alike[start : start + _BATCH]
        images = torch.stack([one.image for one in part])
        prompts, fields = [one.prompt for one in part], [one.fields for one in part]
        here = inspector.measure(images, prompts, fields)
        # Within, so that what is moved is as what is made there.
        with torch.inference_mode():
            there = inspector.measure(images.to(device), prompts, fields)
        for first, second in zip(here, there, strict=True):
            differ.append(judge(first, policy).reasons != judge(second, policy).reasons)
            for one, other in zip(first, second, strict=True):
                if isinstance(one, Score) or isinstance(other, Score):
                    apart[one.detector] = _worse(apart.get(one.detector, 0.0), one, other)
    return Devices(device, apart, flagged(differ))


def _worse(so_far: float | None, one: Measure, other: Measure) -> float | None:
    if so_far is None or not isinstance(one, Score) or not isinstance(other, Score):
        return None
    return max(so_far, abs(one.value - other.value) / max(1.0, abs(one.value)))
