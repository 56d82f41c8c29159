"""GL-Transformer's encoder (Kim et al., ECCV 2022): attention among the joints of a frame and among frames, in turn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from pcm3.encoders.lengths import own_frames
from pcm3.encoders.network import Network, NetworkSize
from pcm3.encoders.per_joint import PerJointAdapter
from pcm3.encoders.transformer import attend_to_many, heads_of
from pcm3.encoders.vit import spread_over
from pcm3.errors import ConfigError


def build(size: NetworkSize) -> Network:
    """Blocks of `size.channels` values for every joint of every body, or so many that a frame has about 2H."""
    if size.hidden_size < 1 or size.layers < 1 or size.frames < 1 or size.channels < 0 or not 0 <= size.dropout < 1:
        raise ConfigError(
            "expected at least one layer, unit and frame and a dropout from 0 to below 1 for kind gl_transformer, got "
            f"{size.layers} layers, hidden_size {size.hidden_size}, {size.frames} frames, {size.channels} channels, "
            f"dropout {size.dropout}"
        )
    adapter = PerJointAdapter(JointsAndFrames(size), size.bodies, size.joints, size.features)
    return Network([adapter], 2 * size.hidden_size, norm=nn.Identity())


class JointsAndFrames(nn.Module):
    """Inputs of every joint (B, T, V, M, K) → features of every frame (B, T, W).

    All joints are seen from the root of their body, and that one, which stands for the body's place, from the origin.
    """

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        self.root = root_of(size.parents)
        places, width = size.bodies * size.joints, 2 * size.hidden_size
        channels = size.channels or 4 * -(-width // (4 * places))
        self.embed, self.embed_place = (nn.Linear(size.joint_values, channels) for _ in range(2))
        self.dropout = nn.Dropout(size.dropout)
        self.blocks = nn.ModuleList(
            Block(places, channels, size.frames, size.dropout, size.dropout * number / max(1, size.layers - 1))
            for number in range(size.layers)
        )
        self.norm = nn.LayerNorm(places * channels)
        self.mlp = nn.Sequential(
            nn.Linear(places * channels, width), nn.GELU(), nn.LayerNorm(width),
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width),
        )  # fmt: skip

    def forward(
        self, inputs: Float[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T W"]:
        """Nobody attends to frames beyond a clip's length."""
        own = None if lengths is None else own_frames(lengths, inputs.shape[1])
        values, root = relative_to_root(inputs, self.root), self.root
        place = self.embed_place(values[:, :, root : root + 1])
        tokens = torch.cat([self.embed(values[:, :, :root]), place, self.embed(values[:, :, root + 1 :])], dim=2)
        features = self.dropout(tokens.flatten(2, 3))
        for block in self.blocks:
            features = block(features, own, lengths)
        output: Tensor = self.mlp(self.norm(features.flatten(2)))
        return output


class Block(nn.Module):
    """Joints (B, T, J, C) → the same: among the joints of each frame, among frames as wholes, then an MLP on each."""

    def __init__(self, joints: int, channels: int, frames: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        width = joints * channels
        self.places = nn.Parameter(torch.zeros(frames, joints, channels))
        self.among_joints = Attention(channels, dropout)
        self.among_frames = Attention(width, dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(2 * width, width), nn.Dropout(dropout),
        )  # fmt: skip
        self.drop_path = DropPath(drop_path)

    def forward(
        self, features: Float[Tensor, "B T J C"], own: Bool[Tensor, "B T"] | None, lengths: Int[Tensor, " B"] | None
    ) -> Float[Tensor, "B T J C"]:
        """What frames beyond a clip's own come to, nothing else is told."""
        places, shape = self._places(features.shape[1], lengths), features.shape
        joints = (features + places).flatten(0, 1)
        joints = joints + self.drop_path(self.among_joints(joints, None))
        frames = (joints.view(shape) + places).flatten(2)
        frames = frames + self.drop_path(self.among_frames(frames, own))
        output: Tensor = frames + self.drop_path(self.mlp(frames))
        return output.view(shape)

    def _places(self, frames: int, lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "#B {frames} J C"]:
        """Of the first frames; in clips that are longer than those learned from, all are spread over a clip's own."""
        known = self.places.shape[0]
        if frames <= known:
            return self.places[:frames].unsqueeze(0)
        own = torch.full((1,), frames, device=self.places.device) if lengths is None else lengths.clamp(min=known)
        spread: Tensor = spread_over(self.places.flatten(1), own, frames).unflatten(-1, self.places.shape[1:])
        return spread


class Attention(nn.Module):
    """A norm and self-attention: (N, L, W) → (N, L, W)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project, self.gather = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.heads, self.share, self.dropout = heads_of(width), dropout, nn.Dropout(dropout)

    def forward(self, places: Float[Tensor, "N L W"], own: Bool[Tensor, "N L"] | None = None) -> Float[Tensor, "N L W"]:
        """What each takes from those that are a clip's own."""
        share = self.share if self.training else 0.0
        taken = attend_to_many(self.project(self.norm(places)), self.heads, own, share)
        output: Tensor = self.dropout(self.gather(taken))
        return output


class DropPath(nn.Module):
    """In training leaves out whole rows, for which the others count (Huang et al. 2016): (N, L, W) → (N, L, W)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.rows = nn.Dropout(share)

    def forward(self, values: Float[Tensor, "N L W"]) -> Float[Tensor, "N L W"]:
        """The rows that are left."""
        if not self.training or not self.rows.p:
            return values
        kept: Tensor = self.rows(torch.ones_like(values[:, :1, :1]))
        return values * kept


def root_of(parents: Sequence[int]) -> int:
    """The joint that is its own parent."""
    return next(joint for joint, parent in enumerate(parents) if joint == parent)


def relative_to_root(values: Shaped[Tensor, "B T V M K"], root: int) -> Shaped[Tensor, "B T V M K"]:
    """The values of each joint of each body, less those of its root, which is left as it is."""
    relative = values - values[:, :, root : root + 1]
    return torch.cat([relative[:, :, :root], values[:, :, root : root + 1], relative[:, :, root + 1 :]], dim=2)
