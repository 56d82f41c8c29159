"""The encoder that learned nothing, beside which every result stands."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class RawCoordinates(nn.Module):
    """The baseline that learned nothing because it does nothing: the feature is the clip itself, laid out flat."""

    def __init__(self, frames: int, bodies: int, joints: int, coordinates: int = 3) -> None:
        super().__init__()
        self.width = frames * bodies * joints * coordinates

    def embed(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B D"]:
        """T·M·V·C coordinates of each clip."""
        return clips.flatten(1)
