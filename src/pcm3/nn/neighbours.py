"""Which of the queue's keys are nearest."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def nearest(relations: Float[Tensor, "B K"], count: int) -> Bool[Tensor, "B K"]:
    """True for the `count` largest of each row, or for all where there are no more."""
    rows = relations.topk(min(count, relations.shape[1]), dim=1).indices
    return torch.zeros_like(relations, dtype=torch.bool).scatter_(1, rows, True)
