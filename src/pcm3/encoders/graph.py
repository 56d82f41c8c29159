"""Graph convolutions over the joints of a body, and convolutions over its frames (ST-GCN, Yan et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcm3.errors import ConfigError

KINDS = 3
"""A joint's neighbours by where they lie: the joint itself, towards the root, away from it ("spatial", §3.3)."""
KERNEL = 9
"""Frames that a temporal convolution sees."""
MEANS = 4
"""Weighted means over the joints that make a feature."""


class GraphLayers(nn.Module):
    """Inputs of every joint (B, T, V, M, K) → features of every frame (B, T, W), means over joints and bodies.

    Each body goes through the same blocks by itself. They are W/4 wide, as ST-GCN's first are, since the cost of a
    temporal convolution is the square of its width. A feature is four weighted means over the joints side by side,
    where ST-GCN has one plain mean: the weights are learned, so it can tell an arm from a leg. There is no temporal
    stride: after L blocks a frame knows 4L frames before it and 4L after.

    Raises:
        ConfigError: a parent is no joint, or the width is not a multiple of 4.
    """

    def __init__(self, parents: Sequence[int], bodies: int, inputs_per_joint: int, width: int, layers: int) -> None:
        super().__init__()
        if width % MEANS:
            raise ConfigError(f"expected a width that is a multiple of {MEANS}, got {width}")
        joints, channels = len(parents), width // MEANS
        self.per_frame = (joints, bodies, inputs_per_joint)
        self.enter = nn.Linear(inputs_per_joint, channels)
        self.blocks = nn.ModuleList(GraphBlock(parents, channels) for _ in range(layers))
        self.mean_weights = nn.Parameter(torch.rand(1, MEANS, joints) * (2 / joints))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, V, M, K) → (B, T, W).

        Raises:
            ConfigError: other joints, bodies or inputs of a joint than were said.
        """
        if inputs.dim() != 5 or inputs.shape[2:] != self.per_frame:
            expected = " x ".join(map(str, self.per_frame))
            raise ConfigError(f"expected frames of {expected} (joints, bodies, inputs), got {tuple(inputs.shape)}")
        size, frames, _, bodies, _ = inputs.shape
        features = self.enter(inputs.permute(0, 3, 1, 2, 4).flatten(0, 1))
        for block in self.blocks:
            features = block(features)
        return _mixed(self.mean_weights, features).view(size, bodies, frames, -1).mean(dim=1)


class GraphBlock(nn.Module):
    """Joints' features (N, T, V, C) → the same shape, each knowing its neighbours, and 4 frames on either side."""

    def __init__(self, parents: Sequence[int], channels: int) -> None:
        super().__init__()
        # No biases: what follows takes the mean off.
        self.spatial = GraphConvolution(parents, channels, channels)
        self.spatial_norm = nn.BatchNorm1d(channels)
        self.temporal = nn.Conv2d(channels, channels, (KERNEL, 1), padding=(KERNEL // 2, 0), bias=False)
        self.temporal_norm = nn.BatchNorm1d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, T, V, C) → (N, T, V, C)."""
        among_joints = F.relu(_normed(self.spatial_norm, self.spatial(features)), inplace=True)
        # With the channels last in memory, which is how convolutions are quickest on a CPU.
        over_frames = self.temporal(among_joints.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return F.relu(features + _normed(self.temporal_norm, over_frames), inplace=True)


class GraphConvolution(nn.Module):
    """A joint's output: its neighbours of each kind averaged, each kind by its own weights (eq. 5 with 3 subsets).

    Each edge has a learned importance, 1 at the start (§3.4). A joint without neighbours of a kind has zeros there.
    """

    edges: Tensor
    shares: Tensor

    def __init__(self, parents: Sequence[int], inputs: int, outputs: int) -> None:
        super().__init__()
        self.joints = len(parents)
        edges, shares = _edges(parents)
        self.register_buffer("edges", edges, persistent=False)
        self.register_buffer("shares", shares, persistent=False)
        self.importance = nn.Parameter(torch.ones(len(edges)))
        self.weights = nn.Linear(KINDS * inputs, outputs, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(N, T, V, C) → (N, T, V, C')."""
        size, frames, joints, _ = features.shape
        empty = self.importance.new_zeros(joints * KINDS * joints)
        mixing = empty.index_add(0, self.edges, self.shares * self.importance).view(1, joints * KINDS, joints)
        neighbours = _mixed(mixing, features).view(size, frames, joints, -1)
        output: Tensor = self.weights(neighbours)
        return output


def _edges(parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of a tree's 3V - 2 edges, themselves included: place in a flat (V, kind, V) matrix, and share in the mean."""
    joints, parent = torch.arange(len(parents)), torch.tensor(parents, dtype=torch.long)
    if ((parent < 0) | (parent >= len(parents))).any():
        raise ConfigError(f"expected parents that are joints, 0 to {len(parents) - 1}, got {list(parents)}")
    child = joints[parent != joints]
    above = parent[child]
    children = parent[child].bincount(minlength=len(parents))
    shares = torch.cat([torch.ones(len(joints) + len(child)), 1 / children[above]])
    kinds = torch.arange(KINDS).repeat_interleave(torch.tensor([len(joints), len(child), len(child)]))
    to, source = torch.cat([joints, child, above]), torch.cat([joints, above, child])
    return (to * KINDS + kinds) * len(parents) + source, shares


def _mixed(weights: Tensor, features: Tensor) -> Tensor:
    """Sums over the joints, weights (1, S, V) and features (N, T, V, C) → (N·T, S, C): one small product a frame."""
    # Cast before they are repeated, as autocast would cast every repetition.
    repeated = weights.to(features.dtype).expand(features.shape[0] * features.shape[1], -1, -1)
    return torch.bmm(repeated, features.flatten(0, 1))


def _normed(norm: nn.BatchNorm1d, features: Tensor) -> Tensor:
    """(N, T, V, C) → the same, normalised over all but the channels."""
    rows: Tensor = norm(features.flatten(0, 2))
    return rows.view_as(features)
