"""From the features of a clip's frames to one feature of the clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Pooling = Literal["last", "mean", "max", "mean_max", "max_min", "mean_max_min", "attention"]


class Readout(nn.Module):
    """Frame features (B, T, D) → clip feature (B, `width`): pooled, and normalised where that was asked for.

    `last`: each half where it has seen the whole clip (its last frame; the first, for a half that runs backward).
    `mean`, `max`: over the frames. `mean_max`, `max_min`, `mean_max_min`: these and the minimum, side by side.
    `attention`: a mean whose weights are a softmax over the frames of a learned score.
    """

    centre: Tensor
    """(width,) what is subtracted from a pooled feature of length 1."""
    scale: Tensor
    """() what it is then divided by."""

    def __init__(self, features: int, pooling: Pooling, backward: bool, normalise_features: bool) -> None:
        """A readout that changes no scale until it is fitted.

        Args:
            features: D, of a frame.
            pooling: see above.
            backward: the second half of the features runs backward.
            normalise_features: have a centre and a scale, which `fit_normalisation` sets.
        """
        super().__init__()
        self.pooling, self.backward, self.normalise_features = pooling, backward, normalise_features
        self.width = pooled_width(pooling, features)
        if pooling == "attention":
            self.score = nn.Linear(features, 1)
        if normalise_features:
            self.register_buffer("centre", torch.zeros(self.width))
            self.register_buffer("scale", torch.ones(()))

    def pool(self, features: Tensor) -> Tensor:
        """Frame features (B, T, D) → pooled, (B, width)."""
        return POOLINGS[self.pooling](self, features)

    def forward(self, features: Tensor) -> Tensor:
        """Frame features (B, T, D) → clip feature (B, width)."""
        pooled = self.pool(features)
        return self.normalised(pooled) if self.normalise_features else pooled

    def normalised(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, width) of length 1, then as they were fitted."""
        return (F.normalize(pooled, dim=-1) - self.centre) / self.scale

    @torch.no_grad()
    def fit_normalisation(self, pooled: Tensor) -> None:
        """From now on clips with these pooled features (N, width), N > 1, have the mean 0 and the mean square 1.

        Their lengths are dropped first: how large or fast the same movement is done tells the person more than the
        action, and a centre that fits the large ones would be far from the small ones. One scale for all values, so
        that no direction is blown up in which clips hardly differ.
        """
        exact = F.normalize(pooled.double(), dim=-1)
        self.centre.copy_(exact.mean(dim=0))
        self.scale.copy_((exact - exact.mean(dim=0)).square().mean().sqrt().clamp(min=1e-6))


def pooled_width(pooling: Pooling, features: int) -> int:
    """The width of what a pooling makes of frames of so many features: its parts stand side by side."""
    return features * len(pooling.split("_"))


def _last(readout: Readout, features: Tensor) -> Tensor:
    if not readout.backward:
        return features[:, -1]
    half = features.shape[-1] // 2
    return torch.cat([features[:, -1, :half], features[:, 0, half:]], dim=-1)


def _attended(readout: Readout, features: Tensor) -> Tensor:
    weight = readout.score(features).float().softmax(dim=1).to(features.dtype)
    pooled: Tensor = (weight * features).sum(dim=1)
    return pooled


OVER_FRAMES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda features: features.mean(dim=1),
    "max": lambda features: features.amax(dim=1),
    "min": lambda features: features.amin(dim=1),
}


def _side_by_side(readout: Readout, features: Tensor) -> Tensor:
    return torch.cat([OVER_FRAMES[part](features) for part in readout.pooling.split("_")], dim=-1)


POOLINGS: dict[str, Callable[[Readout, Tensor], Tensor]] = {
    "last": _last,
    **dict.fromkeys(("mean", "max", "mean_max", "max_min", "mean_max_min"), _side_by_side),
    "attention": _attended,
}
"""The ways to pool."""
