"""Clips of which parts are missing: frames in which much moves, and joints that have many neighbours (PSTL §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pcm3.geometry import motion


def drop_moving_frames(
    clips: Float[Tensor, "B T M V C"], count: int, generator: torch.Generator, gaps: bool = False
) -> Float[Tensor, "B S M V C"]:
    """The clips without the `count` frames from which most moves to the next, and without as many random ones.

    S = T - 2 count; of the last frame nothing moves.

    Args:
        clips: of more than 2 count frames.
        count: at least 0.
        generator: source of randomness.
        gaps: single joints are absent from some frames, as zeros; nothing moves to or from there.
    """
    size, frames = clips.shape[:2]
    moves = motion(clips, gaps).square().mean(dim=(2, 3, 4))
    still = moves.argsort(dim=1, stable=True)[:, : frames - count]
    order = torch.rand(still.shape, generator=generator, device=clips.device).argsort(dim=1)
    kept = still.gather(1, order[:, : frames - 2 * count]).sort(dim=1).values
    return clips[torch.arange(size, device=clips.device)[:, None], kept]


def draw_joints(parents: Sequence[int], count: int, generator: torch.Generator) -> Int[Tensor, " J"]:
    """Those joints that stay when `count` of V are dropped, in order; J = V - count.

    They are dropped one after the other, each as often, among those that are left, as it has neighbours in the graph.

    Args:
        parents: of every joint (V); the root is its own.
        count: from 0 to below V.
        generator: source of randomness; its device is the result's.
    """
    neighbours = _neighbours(tuple(parents), generator.device)
    draw = torch.rand(neighbours.shape, generator=generator, device=generator.device)
    # The smallest of exponential times at these rates come in the order of draws without replacement.
    first_dropped = (-draw.clamp(1e-12, 1 - 1e-7).log() / neighbours).argsort()
    return first_dropped[count:].sort().values


@lru_cache(maxsize=32)
def _neighbours(parents: tuple[int, ...], device: torch.device) -> Float[Tensor, " V"]:
    """How many bones each joint is an end of; not to be written to."""
    bones = [(joint, parent) for joint, parent in enumerate(parents) if joint != parent]
    ends = [joint for bone in bones for joint in bone]
    with torch.inference_mode(False):
        return torch.tensor([float(ends.count(joint)) for joint in range(len(parents))], device=device)
