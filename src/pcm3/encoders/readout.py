"""From the features of a clip's frames to one feature of the clip."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pcm3.encoders.lengths import own_frames
from pcm3.settings.encoder import Pooling


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
        """A readout that changes no scale until it is fitted; `backward`: the features' second half runs backward."""
        super().__init__()
        self.pooling, self.backward, self.normalise_features = pooling, backward, normalise_features
        self.width = pooled_width(pooling, features)
        if pooling == "attention":
            self.score = nn.Linear(features, 1)
        if normalise_features:
            self.register_buffer("centre", torch.zeros(self.width))
            self.register_buffer("scale", torch.ones(()))

    def pool(self, features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B D"]:
        """Frame features → pooled; lengths count a clip's own frames of features, the others are left out."""
        return POOLINGS[self.pooling](self, features, lengths)

    def finish(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Pooled features → clip features: normalised where that was asked for."""
        return self.normalised(pooled) if self.normalise_features else pooled

    def forward(self, features: Float[Tensor, "B S W"]) -> Float[Tensor, "B D"]:
        """Frame features → clip feature."""
        return self.finish(self.pool(features))

    def normalised(self, pooled: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Pooled features of length 1, then as they were fitted."""
        return (F.normalize(pooled, dim=-1) - self.centre) / self.scale

    @torch.no_grad()
    def fit_normalisation(self, pooled: Float[Tensor, "N D"]) -> None:
        """From now on clips with these pooled features, N > 1, have the mean 0 and the mean square 1.

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


def _last(
    readout: Readout, features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None
) -> Float[Tensor, "B W"]:
    last = features[:, -1]
    if lengths is not None:
        last = features[torch.arange(len(features), device=features.device), lengths - 1]
    if not readout.backward:
        return last
    half = features.shape[-1] // 2
    return torch.cat([last[:, :half], features[:, 0, half:]], dim=-1)


def _attended(
    readout: Readout, features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None
) -> Float[Tensor, "B W"]:
    score = readout.score(features).float()
    if lengths is not None:
        score = score.masked_fill(~_own(features, lengths), -torch.inf)
    weight = score.softmax(dim=1).to(features.dtype)
    pooled: Tensor = (weight * features).sum(dim=1)
    return pooled


def _own(features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"]) -> Bool[Tensor, "B S 1"]:
    return own_frames(lengths, features.shape[1]).unsqueeze(-1)


def _mean(features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B W"]:
    if lengths is None:
        return features.mean(dim=1)
    return features.masked_fill(~_own(features, lengths), 0).sum(dim=1) / lengths.unsqueeze(1)


def _max(features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B W"]:
    own = features if lengths is None else features.masked_fill(~_own(features, lengths), -torch.inf)
    return own.amax(dim=1)


def _min(features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B W"]:
    own = features if lengths is None else features.masked_fill(~_own(features, lengths), torch.inf)
    return own.amin(dim=1)


OVER_FRAMES: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {"mean": _mean, "max": _max, "min": _min}


def _side_by_side(
    readout: Readout, features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None
) -> Float[Tensor, "B D"]:
    return torch.cat([OVER_FRAMES[part](features, lengths) for part in readout.pooling.split("_")], dim=-1)


POOLINGS: dict[str, Callable[[Readout, Tensor, Tensor | None], Tensor]] = {
    "last": _last,
    **dict.fromkeys(("mean", "max", "mean_max", "max_min", "mean_max_min"), _side_by_side),
    "attention": _attended,
}
"""The ways to pool."""
