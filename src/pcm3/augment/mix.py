"""CutMix, ResizeMix and Mixup of two clips: the transformations between clips (PCM³ §3.1, eq. 2); CutMix alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

SEGMENTS = 16
"""Pasted stretches start and end at multiples of T / 16, rounded down (released: steps of 4 of 64 frames)."""
PARTS = (2, 3)
"""Fewest and most body parts that are pasted."""
STRETCH = (7, 11)
"""Shortest and longest pasted stretch in segments (released: 28 to 44 of 64 frames)."""


class Mixed(NamedTuple):
    """Clips that hold something of two."""

    clips: Float[Tensor, "B T M V C"]
    partner: Int[Tensor, " B"]
    """Index in the batch of the clip that was mixed in."""
    ratio: Float[Tensor, " B"]
    """λ, the share that comes from the partner."""


class Pasted(NamedTuple):
    """Clips into which a region of others was pasted."""

    clips: Float[Tensor, "B T M V C"]
    partner: Int[Tensor, " B"]
    """Index in the batch of the clip that it comes from."""
    region: Bool[Tensor, "B T V"]
    """True where it was pasted, in all bodies."""


def paste(
    clips: Float[Tensor, "B T M V C"],
    parts: tuple[tuple[int, ...], ...],
    per_clip: bool,
    generator: torch.Generator,
) -> Pasted:
    """Each clip with a stretch of some body parts replaced by a partner's: `mix`'s CutMix (SkeleMixCLR §3.3).

    Args:
        clips: of any number of frames.
        parts: joints of each body part.
        per_clip: draw the region for each clip, instead of once a batch (as released).
        generator: source of randomness.
    """
    size, frames, _, joints, _ = clips.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=clips.device)

    partner = _partner(uniform, size, clips.device)
    region, _ = _region(uniform, size if per_clip else 1, frames, joints, parts, clips.device)
    region = region.expand(size, -1, -1)
    return Pasted(torch.where(region[:, :, None, :, None], clips[partner], clips), partner, region)


def mix(
    clips: Float[Tensor, "B T M V C"],
    parts: tuple[tuple[int, ...], ...],
    per_clip: bool,
    generator: torch.Generator,
) -> Mixed:
    """Each clip mixed with a partner: ½ CutMix, ¼ ResizeMix, ¼ Mixup.

    CutMix replaces a stretch of some body parts with the partner's; ResizeMix does so with the partner's first
    2 · stretch frames (at most all) resampled to the stretch; Mixup interpolates with λ ~ U(0, 1). The partner
    is the batch rolled by n, 1 ≤ n ≤ B - 2.

    Args:
        clips: of any number of frames.
        parts: joints of each body part.
        per_clip: draw method, region and λ for each clip, instead of once a batch (as released).
        generator: source of randomness.
    """
    size, frames, _, joints, _ = clips.shape
    draws, device = size if per_clip else 1, clips.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    partner = _partner(uniform, size, device)
    method = uniform(draws, 1, 1)
    cut, interpolate = method > 0.5, method <= 0.25

    region, resampled = _region(uniform, draws, frames, joints, parts, device)
    weight = torch.where(interpolate, uniform(draws, 1, 1), region.to(clips.dtype)).to(clips.dtype)
    at = torch.where((cut | interpolate)[:, :, 0], torch.arange(frames, device=device), resampled)
    pasted = clips[partner[:, None], at.expand(size, frames)]
    mixed = torch.lerp(clips, pasted, weight[:, :, None, :, None].expand_as(clips))
    return Mixed(mixed, partner, weight.mean(dim=(1, 2)).expand(size))


def _partner(uniform: Callable[..., Tensor], size: int, device: torch.device) -> Int[Tensor, " B"]:
    """The batch rolled by n, 1 ≤ n ≤ B - 2."""
    roll = 1 + (uniform(1) * max(size - 2, 1)).long()
    partner: Tensor = (torch.arange(size, device=device) + roll) % size
    return partner


def _region(
    uniform: Callable[..., Tensor],
    draws: int,
    frames: int,
    joints: int,
    parts: tuple[tuple[int, ...], ...],
    device: torch.device,
) -> tuple[Bool[Tensor, "draws T V"], Int[Tensor, "draws T"]]:
    """Where something is pasted, and for each frame of it the partner's frame."""
    count = PARTS[0] + (uniform(draws, 1) * (PARTS[1] - PARTS[0] + 1)).long()
    chosen = uniform(draws, len(parts)).argsort(dim=1).argsort(dim=1) < count
    in_parts = chosen[:, part_of_joint(parts, joints, device)]

    segments = STRETCH[0] + (uniform(draws, 1) * (STRETCH[1] - STRETCH[0] + 1)).long()
    first = (uniform(draws, 1) * (SEGMENTS - segments + 1)).long()
    start = first * frames // SEGMENTS
    length = ((first + segments) * frames // SEGMENTS - start).clamp(min=1)
    since = torch.arange(frames, device=device) - start
    in_stretch = (since >= 0) & (since < length)
    resampled = (since.clamp(min=0) * (2 * length).clamp(max=frames) // length).clamp(max=frames - 1)
    return in_stretch[:, :, None] & in_parts[:, None, :], resampled


@lru_cache(maxsize=32)
def part_of_joint(parts: tuple[tuple[int, ...], ...], joints: int, device: torch.device) -> Int[Tensor, " V"]:
    """The number of the body part that each joint belongs to; not to be written to.

    It is kept, as a GPU would have to wait for such numbers in every step.
    """
    part = [next(index for index, part in enumerate(parts) if joint in part) for joint in range(joints)]
    with torch.inference_mode(False):  # what is made there cannot be used in training later
        return torch.tensor(part, device=device)
