"""Which joints are masked from the encoder, to be predicted (PCM³ §3.2, Figure 3; Table 10)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pcm3.augment.mix import part_of_joint
from pcm3.geometry import motion
from pcm3.segments import SEGMENTS, mean_in_segments, segment_of_frame
from pcm3.settings.pcm3 import MaskedBodies, MaskKind

SHARPNESS = 1 / 0.75
"""How strongly motion decides what is masked: the reciprocal of MAMP's temperature."""


def draw_mask(
    shape: tuple[int, int, int, int],
    parts: tuple[tuple[int, ...], ...],
    kind: MaskKind,
    ratio: float,
    per_clip: bool,
    bodies: MaskedBodies,
    generator: torch.Generator,
    motion: Float[Tensor, "B S U"] | None = None,
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
        motion: how much each part (or joint) moves in each segment, over the mean of the segment (`motion_of_units`):
            those that move are masked more often, those that move alike, alike often; None: all alike. Only with
            masks for each clip.
    """
    size, frames, count, joints = shape
    device = generator.device
    units = len(parts) if kind == "topology" else joints
    draw = torch.rand((size if per_clip else 1, SEGMENTS, units), generator=generator, device=device)
    if motion is not None:
        # The greatest of logits with Gumbel noise are drawn without replacement, as often as a softmax has them.
        draw = -(SHARPNESS * motion - (-draw.clamp(1e-12, 1 - 1e-7).log()).log())
    masked = draw.argsort(dim=-1).argsort(dim=-1) < round(ratio * units)
    if kind == "topology":
        masked = masked[:, :, part_of_joint(parts, joints, device)]
    masked = masked[:, segment_of_frame(frames, device), None, :].expand(size, frames, count, joints)
    if bodies == "first":
        masked = masked & (torch.arange(count, device=device) == 0)[:, None]
    return masked


def motion_of_units(
    clips: Float[Tensor, "B T M V C"], parts: tuple[tuple[int, ...], ...], kind: MaskKind, gaps: bool = False
) -> Float[Tensor, "B S U"]:
    """How far each part (`topology`) or joint (`random`) goes in each segment, over the mean of its segment.

    Of the body that moves most; 1 everywhere where nothing moves. A segment's motion is the mean way from each of
    its frames to the next (MAMP §3.2 takes the same of its patches). With `gaps`, nothing moves to or from where a
    joint is absent.
    """
    ways = motion(clips, gaps)[:, :-1].norm(dim=-1).amax(dim=2)
    ways = torch.cat([ways, ways[:, -1:]], dim=1)
    share = mean_in_segments(clips.shape[1], clips.device, ways.dtype)
    moved = torch.einsum("ts,btv->bsv", share, ways)
    if kind == "topology":
        of_part = part_of_joint(parts, clips.shape[3], clips.device)[:, None]
        inside = of_part == torch.arange(len(parts), device=clips.device)
        moved = moved @ (inside / inside.sum(dim=0).to(ways.dtype))
    mean = moved.mean(dim=-1, keepdim=True)
    return torch.where(mean > 0, moved / mean.clamp(min=1e-12), torch.ones_like(moved))


def mask_joints_of_frames(
    clips: Float[Tensor, "B T M V C"], ratio: float, generator: torch.Generator
) -> Bool[Tensor, "B T V"]:
    """In each frame of each clip a share of the joints by itself, rounded down, for all bodies alike (HiCLR)."""
    size, frames, _, joints, _ = clips.shape
    draw = torch.rand((size, frames, joints), generator=generator, device=clips.device)
    return draw.argsort(dim=-1).argsort(dim=-1) < int(ratio * joints)
