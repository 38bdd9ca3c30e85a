"""What a network may predict: the same analytic teacher as noise, velocity and sample gives the same posterior mean."""

from collections.abc import Iterator
from typing import ClassVar

import torch

from qcgen.distill.analytic import mixture_1d
from qcgen.distill.selfcheck import Check
from qcgen.models.noising import Schedule

TEACHER = mixture_1d((0.6, -1.5, 0.7), (0.4, 1.2, 0.5))


class Parametrisations:
    """`Schedule.x_0` on the outputs that an ideal network of each kind would give."""

    name: ClassVar[str] = "parametrisations"
    title: ClassVar[str] = "One teacher as noise, velocity and sample"

    def checks(self) -> Iterator[Check]:
        # alpha from nearly 1 to exactly 0, where a velocity is still finite and a noise says nothing of x_0.
        alpha = torch.linspace(0.999, 0.0, 40, dtype=torch.float64)
        sigma = (1 - alpha.square()).sqrt()
        t = torch.arange(len(alpha))
        x_t = 2 * torch.randn((len(alpha), 1), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        mean = TEACHER.posterior_mean(x_t, alpha, sigma)
        noise = (x_t - alpha[:, None] * mean) / sigma[:, None]
        outputs = {
            "sample": mean,
            "v_prediction": alpha[:, None] * noise - sigma[:, None] * mean,
            "epsilon": noise,
        }
        for kind, output in outputs.items():
            schedule = Schedule(alpha.square(), kind)
            for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
                got = schedule.x_0(output.to(dtype), x_t.to(dtype), t).double()
                # A noise prediction's rounding is amplified by sigma / alpha; the last, alpha = 0, has no answer.
                kept = slice(None, -1) if kind == "epsilon" else slice(None)
                gain = 1 + (sigma / alpha)[kept, None] if kind == "epsilon" else 1.0
                off = ((got - mean)[kept].abs() / gain).max().item()
                yield Check(f"{kind}, {str(dtype)[6:]}: posterior mean", "9", off, 0.0, 4 * tolerance)
        at_end = Schedule(alpha.square(), "epsilon").x_0(outputs["epsilon"], x_t, t)[-1]
        yield Check("epsilon at alpha = 0 gives no number", "9", float(at_end.isfinite().all()), 0.0, 0.0)
