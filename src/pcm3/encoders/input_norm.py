"""Inputs of a frame normalised by one scale for each input feature, in place of a scale for every value of it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST = 1e-8
"""Added to the variances: what varies by less than a tenth of a millimetre counts for nothing."""
THIS_BATCH = 1.0
"""Momentum by which a BatchNorm keeps the statistics of one batch, the last. Of torch's own mean of all batches, which
no momentum stands for, the host of a GPU waits in every call."""


class SharedScale(nn.Module):
    """BatchNorm over all values of an input feature (its joints, coordinates and bodies) and frames together.

    A BatchNorm over each value by itself makes joints that hardly move as loud as those that do; of these, noise is
    most of what there is. Out of training it goes by the mean of the statistics of all batches, not by their moving
    average, in which the variance of 1 that it begins with outweighs motions of centimetres for a hundred batches.
    """

    def __init__(self, features: int) -> None:
        """`features`: input features, each with as many values."""
        super().__init__()
        self.features = features
        self.norm = nn.BatchNorm2d(features, eps=LEAST, momentum=THIS_BATCH)

    def forward(self, inputs: Float[Tensor, "N I"]) -> Float[Tensor, "N I"]:
        """The inputs, in which the values of a feature stand beside each other (`pcm3.encoders.inputs`)."""
        norm, each = self.norm, inputs.unflatten(1, (self.features, -1, 1))
        if not norm.training:
            settled: Tensor = norm(each)
            return settled.flatten(1)
        kept = [getattr(norm, name).clone() for name in ("running_mean", "running_var")]
        normed: Tensor = norm(each)
        batches = norm.num_batches_tracked
        assert batches is not None
        for name, before in zip(("running_mean", "running_var"), kept, strict=True):
            of_batch = getattr(norm, name).data  # past autograd, which holds these for a gradient that is not of them
            of_batch.copy_(torch.lerp(before, of_batch, batches.to(before.dtype).reciprocal()))
        return normed.flatten(1)
