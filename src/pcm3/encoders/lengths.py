"""Clips of different lengths in one batch: which frames are a clip's own, the others being padding."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn


def own_frames(lengths: Int[Tensor, " B"], frames: int) -> Bool[Tensor, "B T"]:
    """True where a frame is the clip's own."""
    return torch.arange(frames, device=lengths.device) < lengths.unsqueeze(1)


def strided(lengths: Int[Tensor, " B"], stride: int) -> Int[Tensor, " B"]:
    """How many frames of features clips of these lengths have where every `stride`-th frame has one."""
    return (lengths + (stride - 1)) // stride


def normalised(
    norm: nn.Module, features: Float[Tensor, "B T *rest C"], own: Bool[Tensor, "B T"] | None
) -> Float[Tensor, "B T *rest C"]:
    """The features by a BatchNorm over rows (N, C); in training by the statistics of the clips' own frames alone.

    Padding then becomes zeros, unless nothing is normalised. None: all frames are the clips' own.
    """
    if own is None or not norm.training or isinstance(norm, nn.Identity):
        rows: Tensor = norm(features.flatten(0, -2))
        return rows.view_as(features)
    values: Tensor = norm(features[own].flatten(0, -2))
    mask = own.view(*own.shape, *[1] * (features.dim() - 2))
    return values.new_zeros(features.shape).masked_scatter(mask, values)


def hold_last(clips: Shaped[Tensor, "B T M V C"], lengths: Int[Tensor, " B"]) -> Shaped[Tensor, "B T M V C"]:
    """The clips with their last own frame in place of all padding, so that nothing moves there."""
    frame = torch.arange(clips.shape[1], device=clips.device).minimum(lengths.unsqueeze(1) - 1)
    return clips[torch.arange(len(clips), device=clips.device).unsqueeze(1), frame]


def reversed_in_place(features: Shaped[Tensor, "B T W"], lengths: Int[Tensor, " B"]) -> Shaped[Tensor, "B T W"]:
    """Each clip's own frames in the opposite order, padding where it was; its own inverse."""
    frame = torch.arange(features.shape[1], device=features.device).expand(len(features), -1)
    source = torch.where(own_frames(lengths, features.shape[1]), lengths.unsqueeze(1) - 1 - frame, frame)
    return features.gather(1, source.unsqueeze(-1).expand_as(features))
