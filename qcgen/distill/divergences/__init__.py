"""Divergences, one file each, named as in the job files: the integrand q f(p / q), and the weight h(r) = r^2 f''(r).

Everything is scaled to f''(1) = 1, so h(1) = 1, and computed from logs. May import torch, `distill.protocol` and
`core.errors`. To add one, write `x.py` with one frozen dataclass named `x` that follows `protocol.Divergence`; its
fields are the parameters that a job file may set. `qcgen selfcheck` and the tests find it by themselves.
"""
