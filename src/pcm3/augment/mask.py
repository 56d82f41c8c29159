"""Which joints are masked from the encoder, to be predicted (PCM³ §3.2, Figure 3; Table 10)."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from pcm3.augment.mix import part_of_joint
from pcm3.settings.pcm3 import MaskedBodies, MaskKind

SEGMENTS = 8
"""A clip is masked in eight stretches, as equal in length as its frames allow, each with its own choice."""


def draw_mask(
    shape: tuple[int, int, int, int],
    parts: tuple[tuple[int, ...], ...],
    kind: MaskKind,
    ratio: float,
    per_clip: bool,
    bodies: MaskedBodies,
    generator: torch.Generator,
) -> Bool[Tensor, "B T M V"]:
    """Where joints are masked, True where masked: whole body parts (`topology`) or single joints (`random`).

    Args:
        shape: (B, T, M, V).
        parts: joints of each body part.
        kind: what is masked together within a segment.
        ratio: share of the parts, or joints, masked in each segment; 0.6 is 3 of 5 parts.
        per_clip: draw for each clip, instead of once a batch (as released).
        bodies: mask joints of the `first` body only (as released), or the same joints of `all`.
        generator: source of randomness; its device is the result's.
    """
    size, frames, count, joints = shape
    device = generator.device
    units = len(parts) if kind == "topology" else joints
    draw = torch.rand((size if per_clip else 1, SEGMENTS, units), generator=generator, device=device)
    masked = draw.argsort(dim=-1).argsort(dim=-1) < round(ratio * units)
    if kind == "topology":
        masked = masked[:, :, part_of_joint(parts, joints, device)]
    segment = torch.arange(frames, device=device) * SEGMENTS // frames
    masked = masked[:, segment, None, :].expand(size, frames, count, joints)
    if bodies == "first":
        masked = masked & (torch.arange(count, device=device) == 0)[:, None]
    return masked
