"""Prompts: learned vectors that tell the networks which kind of view comes, and for which task (PCM³ §3.4)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcm3.settings.pcm3 import PromptPlace, PromptUnit


class Prompt(nn.Module):
    """A learned vector; domain prompts add it to every frame of the flat input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Xavier uniform, with the fans of the released parameters' shape: (1, 1, width).
        self.vector = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, 1, width)).flatten())

    def forward(self, inputs: Float[Tensor, "*batch W"]) -> Float[Tensor, "*batch W"]:
        """The inputs, the prompt added."""
        return inputs + self.vector


class TaskPrompt(nn.Module):
    """A learned vector that is shorter than the feature, added at places drawn anew each time.

    `window`: half of it in each half of the feature, at one random contiguous window (as released).
    `channels`: at random channels of the feature (the paper's text).

    Its values are features (`absolute`, as released), or count the `spread` of the features that they are added to.
    """

    def __init__(
        self,
        features: int,
        width: int,
        place: PromptPlace,
        amplitude: float | None = None,
        unit: PromptUnit = "absolute",
    ) -> None:
        """A prompt of uniform values in ±amplitude; None: in the bound of Xavier for its own shape, as released."""
        super().__init__()
        self.features, self.place, self.unit = features, place, unit
        # `window` holds `width` values for each half, as released; `channels` holds r = width in all (§3.4).
        values = 2 * width if place == "window" else width
        # As released: there the shape is (1, values), so that a narrow prompt starts large (±0.43 for 32 values).
        vector = nn.init.xavier_uniform_(torch.empty(1, values)).flatten()
        bound = math.sqrt(6 / (1 + values))
        self.vector = nn.Parameter(vector if amplitude is None else vector * (amplitude / bound))

    def forward(self, features: Float[Tensor, "*batch D"], generator: torch.Generator) -> Float[Tensor, "*batch D"]:
        """The features, the prompt added at places that `generator` draws."""
        vector = self.vector
        if self.place == "channels":
            order = torch.rand(self.features, generator=generator, device=vector.device).argsort()
            where = order[: len(vector)]
        else:
            half, width = self.features // 2, len(vector) // 2
            places = max(half - width, 1)  # as released: the last possible offset is never drawn
            offset = (torch.rand(1, generator=generator, device=vector.device) * places).long()
            within = torch.arange(width, device=vector.device) + offset
            where = torch.cat([within, within + half])
        added = torch.zeros(self.features, device=vector.device, dtype=vector.dtype).index_add(0, where, vector)
        return features + (added if self.unit == "absolute" else added * typical_spread(features))


def typical_spread(features: Float[Tensor, "*batch D"]) -> Float[Tensor, ""]:
    """The mean over the channels of their standard deviation over everything else; no gradient goes there."""
    flat = features.detach().reshape(-1, features.shape[-1]).to(torch.promote_types(features.dtype, torch.float32))
    return flat.std(dim=0, correction=0).mean()
