"""Features of joints without those that stand out most (AimCLR §3.3, after SimAM)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

FLOOR = 1e-4
"""Of a channel's variance, so that one that does not vary has no energy."""


def drop_energetic(features: Float[Tensor, "B S M V W"], threshold: float) -> Float[Tensor, "B S M V W"]:
    """The features with zeros for joints, and then for values, of a high energy; the others are larger for it.

    The energy of a value is sigmoid(½ + (x - μ)² / 4(σ² + ε)), over the frames and joints of its channel and body. A
    joint whose mean energy over frames and channels reaches the threshold is dropped, then every value whose own energy
    does. What is kept is multiplied by how many there were for each that is kept, in the whole batch. No gradient
    passes through what decides.

    Args:
        features: of every joint (`Encoder.joint_frames`).
        threshold: AimCLR's 0.7; the energy is between 0.62 and 1, and 1 drops nothing. The mean energy is at most that
            of the mean square, sigmoid(¾) = 0.679 (Jensen), so that from 0.68 on something of each body is kept.
    """
    if threshold >= 1:  # an energy may be rounded to it
        return features
    energy = _energy(features.detach())
    joints = energy.mean(dim=(1, 4), keepdim=True) < threshold
    return features * (_share(joints, features) * _share(energy < threshold, features))


def _energy(features: Float[Tensor, "B S M V W"]) -> Float[Tensor, "B S M V W"]:
    squares = (features - features.mean(dim=(1, 3), keepdim=True)).square()
    others = features.shape[1] * features.shape[3] - 1
    variance = squares.sum(dim=(1, 3), keepdim=True) / max(others, 1)
    return torch.sigmoid(squares / (4 * (variance + FLOOR)) + 0.5)


def _share(kept: Bool[Tensor, "*shape"], like: Tensor) -> Float[Tensor, "*shape"]:
    """1 / the share that is kept, where it is; of the type of `like`."""
    weight = kept.to(like.dtype)
    return weight * (kept.numel() / weight.sum().clamp(min=1))
