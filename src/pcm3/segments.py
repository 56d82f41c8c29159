"""The stretches of a clip that are masked, and predicted, each by itself."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

SEGMENTS = 8
"""A clip is masked in eight stretches, as equal in length as its frames allow, each with its own choice."""


def segment_of_frame(frames: int, device: torch.device) -> Int[Tensor, " T"]:
    """The number of the segment that each frame is in."""
    return torch.arange(frames, device=device) * SEGMENTS // frames


def mean_in_segments(frames: int, device: torch.device, dtype: torch.dtype) -> Float[Tensor, "T S"]:
    """What takes values of each frame to their means over each segment; a segment without frames has 0."""
    inside = segment_of_frame(frames, device)[:, None] == torch.arange(SEGMENTS, device=device)
    return inside / inside.sum(dim=0).clamp(min=1).to(dtype)
