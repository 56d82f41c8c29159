"""The encoder that learned nothing, beside which every result stands."""

from __future__ import annotations

from torch import Tensor, nn


class RawCoordinates(nn.Module):
    """The baseline that learned nothing because it does nothing: the feature is the clip itself, laid out flat."""

    def __init__(self, frames: int, bodies: int, joints: int, coordinates: int = 3) -> None:
        super().__init__()
        self.width = frames * bodies * joints * coordinates

    def embed(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → (B, T·M·V·C)."""
        return clips.flatten(1)
