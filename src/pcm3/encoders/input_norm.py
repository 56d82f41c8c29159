"""Inputs of a frame normalised by one scale for each input feature, in place of a scale for every value of it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

LEAST = 1e-8
"""Added to the variances: what varies by less than a tenth of a millimetre counts for nothing."""


class SharedScale(nn.Module):
    """BatchNorm over all values of an input feature (its joints, coordinates and bodies) and frames together.

    A BatchNorm over each value by itself makes joints that hardly move as loud as those that do; of these, noise is
    most of what there is.
    """

    def __init__(self, features: int) -> None:
        """`features`: input features, each with as many values."""
        super().__init__()
        self.features, self.norm = features, nn.BatchNorm1d(features, eps=LEAST)

    def forward(self, inputs: Float[Tensor, "N I"]) -> Float[Tensor, "N I"]:
        """The inputs, in which the values of a feature stand beside each other (`pcm3.encoders.inputs`)."""
        each = inputs.unflatten(1, (self.features, -1)).transpose(1, 2)
        normed: Tensor = self.norm(each.flatten(0, 1))
        return normed.view(each.shape).transpose(1, 2).flatten(1)
