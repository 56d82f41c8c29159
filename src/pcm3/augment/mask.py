"""Which joints are hidden from the encoder, to be predicted (PCM³ §3.2, Figure 3; Table 10)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pcm3.augment.mix import part_of_joint

SEGMENTS = 8
"""A clip is masked in eight stretches of equal length, each with its own choice."""

MaskKind = Literal["topology", "random"]
MaskedBodies = Literal["first", "all"]


def draw_hidden(
    shape: tuple[int, int, int, int],
    parts: tuple[tuple[int, ...], ...],
    kind: MaskKind,
    ratio: float,
    per_clip: bool,
    bodies: MaskedBodies,
    generator: torch.Generator,
) -> Tensor:
    """Where joints are hidden, True where hidden: whole body parts (`topology`) or single joints (`random`).

    Args:
        shape: (B, T, M, V), T a multiple of 8.
        parts: joints of each body part.
        kind: what is hidden together within a segment.
        ratio: share of the parts, or joints, hidden in each segment; 0.6 is 3 of 5 parts.
        per_clip: draw for each clip, instead of once a batch (as released).
        bodies: hide joints of the `first` body only (as released), or the same joints of `all`.
        generator: source of randomness; its device is the result's.

    Returns:
        (B, T, M, V) bool.
    """
    size, frames, count, joints = shape
    device = generator.device
    units = len(parts) if kind == "topology" else joints
    draw = torch.rand((size if per_clip else 1, SEGMENTS, units), generator=generator, device=device)
    hidden = draw.argsort(dim=-1).argsort(dim=-1) < round(ratio * units)
    if kind == "topology":
        hidden = hidden[:, :, part_of_joint(parts, joints, device)]
    hidden = hidden.repeat_interleave(frames // SEGMENTS, dim=1)[:, :, None, :].expand(size, frames, count, joints)
    if bodies == "first":
        hidden = hidden & (torch.arange(count, device=device) == 0)[:, None]
    return hidden
