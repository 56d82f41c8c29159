"""The stretches of a clip that are masked, and predicted, each by itself."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

SEGMENTS = 8
"""A clip is masked in eight stretches, as equal in length as its frames allow, each with its own choice."""


def segment_of_frame(frames: int, device: torch.device) -> Int[Tensor, " T"]:
    """The number of the segment that each frame is in."""
    return torch.arange(frames, device=device) * SEGMENTS // frames
