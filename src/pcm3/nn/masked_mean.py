"""Masks that reach the features: a clip's feature from some of its joints and frames alone."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def masked_mean(features: Float[Tensor, "B S M V W"], where: Bool[Tensor, "#B S V"]) -> Float[Tensor, "B W"]:
    """The mean of the joints' features over the places that are True, all bodies alike; zeros where none is.

    Args:
        features: of every joint (`Encoder.joint_frames`).
        where: of the features' frames; `in_feature_frames` makes it of one of the clips' frames.
    """
    share = where.to(features.dtype) / where.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    share = share.expand(len(features), -1, -1)
    return torch.einsum("bsmvw,bsv->bw", features, share) / features.shape[2]


def in_feature_frames(where: Bool[Tensor, "B T V"], stride: int) -> Bool[Tensor, "B S V"]:
    """A mask of clips' frames as one of their features', of which each stands for `stride` frames: by the first."""
    return where[:, ::stride]
