"""The one place that knows the order of the inputs within a frame: (V, C, M), as in the released weights."""

from __future__ import annotations

from torch import Tensor


def flatten(clips: Tensor) -> Tensor:
    """(B, T, M, V, C) → (B, T, V·C·M): joint by joint, then coordinate, then body."""
    return clips.permute(0, 1, 3, 4, 2).flatten(2)


def unflatten(inputs: Tensor, bodies: int, joints: int) -> Tensor:
    """(B, T, V·C·M) → (B, T, M, V, C): the inverse of `flatten`."""
    size, frames, _ = inputs.shape
    return inputs.view(size, frames, joints, -1, bodies).permute(0, 1, 4, 2, 3)
