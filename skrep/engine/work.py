"""What a network costs."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["training_flops"]


@torch.no_grad()
def training_flops(module: nn.Module, inputs: Any) -> int:
    """FLOPs of a training step: those of the forward pass, and twice as many for gradients."""
    was_training = module.training
    module.eval()  # batch statistics stay as they are
    try:
        with FlopCounterMode(display=False) as counter:
            module(inputs)
    finally:
        module.train(was_training)
    return 3 * int(counter.get_total_flops())
