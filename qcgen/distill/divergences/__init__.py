"""Divergences, one file each: `f`, and the weight h(r) = r^2 f''(r) scaled to h(1) = 1. May import torch only."""
