"""The one place that knows the order of the inputs within a frame: (V, C, M), as in the released weights."""

from __future__ import annotations

from jaxtyping import Shaped
from torch import Tensor


def flatten(clips: Shaped[Tensor, "B T M V C"]) -> Shaped[Tensor, "B T V*C*M"]:
    """Joint by joint, then coordinate, then body."""
    return clips.permute(0, 1, 3, 4, 2).flatten(2)


def unflatten(inputs: Shaped[Tensor, "B T I"], bodies: int, joints: int) -> Shaped[Tensor, "B T {bodies} {joints} C"]:
    """The inverse of `flatten`: (B, T, V·C·M) → (B, T, M, V, C)."""
    size, frames, _ = inputs.shape
    return inputs.view(size, frames, joints, -1, bodies).permute(0, 1, 4, 2, 3)
