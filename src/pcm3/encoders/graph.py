"""Graph convolutions over the joints of a body and convolutions over its frames, of our own measure.

After ST-GCN (Yan et al. 2018), which itself is `pcm3.encoders.stgcn`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pcm3.encoders.lengths import normalised, own_frames
from pcm3.encoders.network import Network, NetworkSize
from pcm3.encoders.per_joint import PerJointAdapter
from pcm3.errors import ConfigError

PARTITIONS = 3
"""A joint's neighbours by where they lie: the joint itself, towards the root, away from it ("spatial", §3.3)."""
KERNEL = 9
"""Frames that a temporal convolution sees."""
MEANS = 4
"""Weighted means over the joints that make a feature."""


def build(size: NetworkSize) -> Network:
    """Blocks of width H/2, a feature of four means over the joints."""
    width = 2 * size.hidden_size
    layers = GraphLayers(size.parents, size.bodies, size.joint_values, width, size.layers)
    adapter = PerJointAdapter(layers, size.bodies, size.joints, size.features)
    return Network([adapter], width, batch_norms=True)


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

    def forward(
        self, inputs: Float[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T W"]:
        """Features of every frame.

        Raises:
            ConfigError: other joints, bodies or inputs of a joint than were said.
        """
        if inputs.dim() != 5 or inputs.shape[2:] != self.per_frame:
            expected = " x ".join(map(str, self.per_frame))
            raise ConfigError(f"expected frames of {expected} (joints, bodies, inputs), got {tuple(inputs.shape)}")
        size, frames, _, bodies, _ = inputs.shape
        features = self.enter(inputs.permute(0, 3, 1, 2, 4).flatten(0, 1))
        own = None if lengths is None else own_frames(lengths, frames).repeat_interleave(bodies, dim=0)
        for block in self.blocks:
            features = block(features, own)
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

    def forward(
        self, features: Float[Tensor, "N T V C"], own: Bool[Tensor, "N T"] | None = None
    ) -> Float[Tensor, "N T V C"]:
        """The next features; frames that are not a clip's own count as beyond its ends, as zeros."""
        among_joints = F.relu(normalised(self.spatial_norm, self.spatial(features), own), inplace=True)
        if own is not None:
            among_joints = among_joints * own[..., None, None]
        # With the channels last in memory, which is how convolutions are quickest on a CPU.
        over_frames = self.temporal(among_joints.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return F.relu(features + normalised(self.temporal_norm, over_frames, own), inplace=True)


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
        self.weights = nn.Linear(PARTITIONS * inputs, outputs, bias=False)

    def forward(self, features: Float[Tensor, "N T V C"]) -> Float[Tensor, "N T V C2"]:
        """A joint's neighbours of each kind, weighted."""
        size, frames, joints, _ = features.shape
        empty = self.importance.new_zeros(joints * PARTITIONS * joints)
        mixing = empty.index_add(0, self.edges, self.shares * self.importance).view(1, joints * PARTITIONS, joints)
        neighbours = _mixed(mixing, features).view(size, frames, joints, -1)
        output: Tensor = self.weights(neighbours)
        return output


def _edges(parents: Sequence[int]) -> tuple[Int[Tensor, " E"], Float[Tensor, " E"]]:
    """Of a tree's 3V - 2 edges, themselves included: place in a flat (V, kind, V) matrix, and share in the mean."""
    joints = range(len(parents))
    if not all(parent in joints for parent in parents):
        raise ConfigError(f"expected parents that are joints, 0 to {len(parents) - 1}, got {list(parents)}")
    bones = [(joint, parent) for joint, parent in enumerate(parents) if parent != joint]
    children = Counter(parent for _, parent in bones)
    to_from = [
        *((joint, 0, joint, 1.0) for joint in joints),
        *((joint, 1, parent, 1.0) for joint, parent in bones),
        *((parent, 2, joint, 1 / children[parent]) for joint, parent in bones),
    ]
    places = [(to * PARTITIONS + kind) * len(parents) + source for to, kind, source, _ in to_from]
    return torch.tensor(places), torch.tensor([share for *_, share in to_from])


def _mixed(weights: Float[Tensor, "1 S V"], features: Float[Tensor, "N T V C"]) -> Float[Tensor, "NT S C"]:
    """Sums over the joints, of every frame of every clip: one small product a frame."""
    # Cast before they are repeated, as autocast would cast every repetition.
    repeated = weights.to(features.dtype).expand(features.shape[0] * features.shape[1], -1, -1)
    return torch.bmm(repeated, features.flatten(0, 1))
