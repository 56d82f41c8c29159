"""A ViT over joints and frames, as in MAMP (Mao et al., ICCV 2023): a token for every joint over every four frames."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.lengths import own_frames, strided
from pcm3.encoders.network import Network, NetworkSize
from pcm3.encoders.per_joint import PerJointAdapter
from pcm3.encoders.transformer import AttentionBlock, attend_to_many, heads_of
from pcm3.errors import ConfigError

PATCH = 4
"""Frames of a token."""
SPREAD = 0.02
"""Standard deviation of the first positions."""


def build(size: NetworkSize) -> Network:
    """Blocks of width 2H; a feature for every fourth frame, the mean over joints and bodies."""
    if size.hidden_size < 1 or size.layers < 1 or size.frames < 1:
        raise ConfigError(
            "expected at least one layer, unit and frame for kind vit, got "
            f"{size.layers} layers, hidden_size {size.hidden_size}, {size.frames} frames"
        )
    layers = TokenTransformer(size)
    adapter = PerJointAdapter(layers, size.bodies, size.joints, size.features)
    return Network([adapter], 2 * size.hidden_size, time_stride=PATCH, norm=nn.Identity())


class TokenTransformer(nn.Module):
    """Inputs of every joint (B, T, V, M, K) → features (B, S, W), S = ⌈T / 4⌉: plain means over joints and bodies.

    Each body goes through the blocks by itself; in it every token attends to every other.
    """

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        width = 2 * size.hidden_size
        self.embed = nn.Linear(PATCH * size.joint_values, width)
        self.places = Places(-(-size.frames // PATCH), size.joints, width)
        self.blocks = Blocks(width, size.layers)

    def forward(
        self, inputs: Float[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S W"]:
        """Nobody attends to tokens that begin beyond a clip's length."""
        tokens, own = self.tokens(inputs, lengths), None
        bodies, joints = tokens.shape[1], tokens.shape[3]
        if lengths is not None:
            of_time = own_frames(strided(lengths, PATCH), tokens.shape[2])
            own = of_time.repeat_interleave(joints, dim=1).repeat_interleave(bodies, dim=0)
        features: Tensor = self.blocks(tokens.flatten(2, 3).flatten(0, 1), own)
        over_joints: Tensor = features.unflatten(1, (-1, joints)).mean(dim=2)
        over_bodies: Tensor = over_joints.unflatten(0, (-1, bodies)).mean(dim=1)
        return over_bodies

    def tokens(
        self, inputs: Float[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B M S V W"]:
        """The tokens of each body, which know their places."""
        values = patches(inputs, lengths)
        tokens: Tensor = self.embed(values) + self.places(values.shape[2], lengths)
        return tokens


class Places(nn.Module):
    """What tokens are told of where they are: a learned value of their joint, and one of their time."""

    def __init__(self, times: int, joints: int, width: int) -> None:
        super().__init__()
        self.of_time = nn.Parameter(torch.empty(times, width))
        self.of_joint = nn.Parameter(torch.empty(joints, width))
        for table in (self.of_time, self.of_joint):
            nn.init.normal_(table, std=SPREAD)

    def forward(self, times: int, lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "#B 1 {times} V W"]:
        """In clips of another length than those learned from, the same times are spread over a clip's own tokens."""
        known = self.of_time.shape[0]
        of_time = self.of_time.unsqueeze(0)
        if lengths is not None:
            of_time = spread_over(self.of_time, strided(lengths, PATCH), times)
        elif times != known:
            of_time = spread_over(self.of_time, torch.full((1,), times, device=self.of_time.device), times)
        return of_time[:, None, :, None] + self.of_joint


class Blocks(nn.Module):
    """Tokens (N, L, W) → (N, L, W): pre-norm blocks and a norm after the last."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(width, heads_of(width), attend_to_many) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Float[Tensor, "N L W"], own: Bool[Tensor, "N L"] | None = None) -> Float[Tensor, "N L W"]:
        """What tokens know of each other, of those that are a clip's own."""
        for block in self.blocks:
            tokens = block(tokens, own)
        normed: Tensor = self.norm(tokens)
        return normed


def tokens_and_blocks(encoder: Encoder, clips: Float[Tensor, "B T M V C"]) -> tuple[Float[Tensor, "B M L W"], Blocks]:
    """The tokens of clips in an encoder of kind vit, time by time, joint by joint, and the blocks that they go through.

    For a method that shows the blocks some of the tokens alone.
    """
    (adapter,) = encoder.layers
    assert isinstance(adapter, PerJointAdapter)
    assert isinstance(adapter.layers, TokenTransformer)
    tokens = adapter.layers.tokens(adapter.by_joint(encoder.build_inputs(clips)))
    return tokens.flatten(2, 3), adapter.layers.blocks


def patches(
    values: Shaped[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None = None
) -> Shaped[Tensor, "B M S V P"]:
    """The values of each joint over four frames, frame by frame; a clip's last frame stands for those that it lacks."""
    frames = values.shape[1]
    times = -(-frames // PATCH)
    if lengths is not None:
        frame = torch.arange(times * PATCH, device=values.device).minimum(lengths.unsqueeze(1) - 1)
        values = values[torch.arange(values.shape[0], device=values.device).unsqueeze(1), frame]
    elif frames % PATCH:
        missing = times * PATCH - frames
        values = torch.cat([values, values[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1)
    tokens: Tensor = values.unflatten(1, (times, PATCH)).permute(0, 4, 1, 3, 2, 5).flatten(4)
    return tokens


def spread_over(table: Float[Tensor, "S W"], own: Int[Tensor, " B"], count: int) -> Float[Tensor, "B {count} W"]:
    """The rows of a table as so many for each clip, linearly, at half-pixel centres; rows beyond them are the last."""
    rows = table.shape[0]
    centre = torch.arange(count, device=table.device, dtype=torch.float32) + 0.5
    place = (centre * (rows / own.unsqueeze(1)) - 0.5).clamp(0, rows - 1)
    before = place.long()
    after = (before + 1).clamp(max=rows - 1)
    return torch.lerp(table[before], table[after], (place - before).unsqueeze(-1).to(table.dtype))
