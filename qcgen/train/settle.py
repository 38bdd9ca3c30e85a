"""Batch statistics for averaged weights."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def settle(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give averaged weights the statistics of their own activations, those of the last step belong to others; leaves
    the module in evaluation mode."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    module.train()
    for batch in batches:
        module(batch)
    module.eval()
