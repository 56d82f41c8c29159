"""The same motion by a worse sensor: with noise, or with joints lost in single frames (ours, docs/FIDELITY.md 52)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def add_noise(
    clips: Float[Tensor, "B T M V C"], metres: float, generator: torch.Generator
) -> Float[Tensor, "B T M V C"]:
    """The clips with normal noise on every coordinate; each clip's has a deviation of its own, U[0, metres].

    A body that is absent, all zero in a frame, stays so.
    """
    deviation = _strength(clips, metres, generator)
    noise = torch.randn(clips.shape, generator=generator, device=clips.device, dtype=clips.dtype)
    present = (clips != 0).flatten(-2).any(dim=-1)[..., None, None]
    return clips + noise * deviation * present


def lose_joints(
    clips: Float[Tensor, "B T M V C"], share: float, generator: torch.Generator
) -> Float[Tensor, "B T M V C"]:
    """The clips with joints of single frames at zero, as absent ones are: of each clip a share of all, U[0, share]."""
    of_clip = _strength(clips, share, generator)[..., 0]
    lost = torch.rand(clips.shape[:-1], generator=generator, device=clips.device) < of_clip
    return clips.masked_fill(lost.unsqueeze(-1), 0)


def absent_as_in(before: Float[Tensor, "B T M V C"], after: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B T M V C"]:
    """What clips have become, with zeros where joints were zeros before: none can be seen where it was not there."""
    return after * (before != 0).any(dim=-1, keepdim=True)


def _strength(clips: Float[Tensor, "B T M V C"], most: float, generator: torch.Generator) -> Float[Tensor, "B 1 1 1 1"]:
    """For each clip, of up to so much."""
    drawn = torch.rand(len(clips), generator=generator, device=clips.device, dtype=clips.dtype)
    return (most * drawn)[:, None, None, None, None]
