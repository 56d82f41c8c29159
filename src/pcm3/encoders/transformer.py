"""A small Transformer over the frames of a clip: every frame attends to every other, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pcm3.encoders.lengths import own_frames
from pcm3.encoders.network import Network, NetworkSize
from pcm3.errors import ConfigError
from pcm3.losses import accurate

SLOWEST = 10_000.0
"""Ratio of the longest to the shortest wavelength of the positions (Vaswani et al. 2017, §3.5)."""


def build(size: NetworkSize) -> Network:
    """Blocks of width 2H."""
    width = 2 * size.hidden_size
    return Network([AttentionLayers(size.in_features, width, size.layers)], width)


class AttentionLayers(nn.Module):
    """Inputs of every frame (B, T, I) → features of every frame (B, T, W), each knowing the whole clip.

    Pre-norm blocks (Xiong et al. 2020), as they need no warm-up of the learning rate; no dropout, so that nothing is
    random. The positions are fixed, so that any T can follow any other.

    Raises:
        ConfigError: the width cannot be shared out among the heads.
    """

    def __init__(self, inputs: int, width: int, layers: int, heads: int = 4) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"expected a width that is a multiple of the {heads} heads, got {width}")
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self, inputs: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T W"]:
        """Features of every frame; nobody attends to frames beyond a clip's length."""
        own = None if lengths is None else own_frames(lengths, inputs.shape[1])
        # The weights' type, float32 under bf16 autocast, is from here on that of the sum over the blocks.
        features = self.enter(inputs) + positions(inputs.shape[1], self.norm.weight)
        for block in self.blocks:
            features = block(features, own)
        normed: Tensor = self.norm(features)
        return normed


class AttentionBlock(nn.Module):
    """Self-attention over the frames, then an MLP on each, both added to what came in: (B, T, W) → (B, T, W)."""

    def __init__(self, width: int, heads: int, attention: Callable[..., Tensor] | None = None) -> None:
        """`attention`: `attend` unless it is another; `attend_to_many` for some hundred places."""
        super().__init__()
        self.heads, self.attention = heads, attention or attend
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.gather = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, features: Float[Tensor, "B T W"], own: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T W"]:
        """Features, each knowing the frames that are its clip's own."""
        attended = self.attention(self.project(self.norm(features)), self.heads, own)
        features = features + self.gather(attended)
        added: Tensor = features + self.mlp(features)
        return added


def attend(
    projected: Float[Tensor, "B T QKV"],
    heads: int,
    own: Bool[Tensor, "B T"] | None,
    dropout: nn.Module | None = None,
) -> Float[Tensor, "B T W"]:
    """What each frame takes from those that are its clip's own; queries, keys and values stand side by side."""
    # Each (B, heads, T, W / heads).
    query, key, value = projected.unflatten(-1, (3, heads, -1)).unbind(2)
    # Written out: on a CPU, at a clip's lengths, torch's fused attention takes five times as long.
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    if own is not None:
        scores = scores.masked_fill(~own[:, None, None], -torch.inf)
    weights = scores.softmax(dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    attended: Tensor = (weights @ value).transpose(1, 2).flatten(2)
    return attended


def attend_to_many(
    projected: Float[Tensor, "B T QKV"], heads: int, own: Bool[Tensor, "B T"] | None, dropout: float = 0.0
) -> Float[Tensor, "B T W"]:
    """The same as `attend` by torch's fused attention, which holds no (T, T) weights unless some are left out.

    On a CPU always in float32, in which it takes a third of `attend`'s time from some hundred places on; in bfloat16 it
    takes three times as long.
    """
    size = projected.shape[-1] // 3 // heads
    given = accurate(projected) if projected.device.type == "cpu" else projected
    query, key, value = (part.transpose(1, 2) for part in given.unflatten(-1, (3, heads, size)).unbind(2))
    mask = None if own is None else own[:, None, None]
    with torch.autocast(projected.device.type, enabled=False):
        attended = F.scaled_dot_product_attention(query, key, value, mask, dropout)
    return attended.transpose(1, 2).flatten(2).to(projected.dtype)


def heads_of(width: int) -> int:
    """Eight heads, four, two or one: the most that share a width out among them and have four values each."""
    return next((number for number in (8, 4, 2) if width % number == 0 and width >= 4 * number), 1)


def positions(frames: int, like: Float[Tensor, " W"]) -> Float[Tensor, "{frames} W"]:
    """In the type of `like`: the sines of W/2 wavelengths, then their cosines.

    Wavelengths are in geometric progression from 2π frames; of an odd width the last cosine is left out.
    """
    half = (len(like) + 1) // 2
    rates = torch.exp(torch.arange(half, device=like.device, dtype=like.dtype) * (-math.log(SLOWEST) / half))
    angles = torch.arange(frames, device=like.device, dtype=like.dtype).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, : len(like)]
