"""A-GCN (Shi et al., CVPR 2019): ST-GCN whose joints also look at others that are like them.

As its public code computes; blocks, widths and strides are those of ST-GCN (docs/FIDELITY.md, A-GCN).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pcm3.encoders.network import Network, NetworkSize
from pcm3.encoders.per_joint import PerJointAdapter
from pcm3.encoders.stgcn import SUBSETS, TAPS, SpatialTemporalGraph, normed_over
from pcm3.errors import ConfigError

NARROWER = 4
"""How many times fewer channels joints are compared by."""
ALMOST_NOTHING = 1e-6
"""First value of all learned edges, and first scale of what joints take from others: a block begins as its shortcut."""


def build(size: NetworkSize) -> Network:
    """`size.layers` stages, as of `pcm3.encoders.stgcn`: 3, of 64 channels and H 128, are the paper's."""
    if size.hidden_size < 1 or size.layers < 1 or size.channels < 0:
        raise ConfigError(
            "expected at least one layer and channel for kind agcn, got "
            f"{size.layers} layers, {size.channels} channels, hidden_size {size.hidden_size}"
        )
    width = 2 * size.hidden_size
    channels = size.channels or max(1, width // 2 ** (size.layers - 1))

    def block(inputs: int, outputs: int, stride: int, first: bool) -> AgcnBlock:
        return AgcnBlock(size.parents, inputs, outputs, stride, residual=not first)

    layers = SpatialTemporalGraph(block, size.joint_values, channels, width, size.layers)
    adapter = PerJointAdapter(layers, size.bodies, size.joints, size.features)
    return Network([adapter], width, time_stride=layers.time_stride, batch_norms=True)


class AgcnBlock(nn.Module):
    """(N, C, T, V) → (N, C', ⌈T / stride⌉, V): over joints, then over 9 frames, each added to what came in."""

    def __init__(self, parents: Sequence[int], inputs: int, outputs: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.stride, self.residual = stride, residual
        self.spatial = AdaptiveConvolution(parents, inputs, outputs)
        self.spatial_norm = nn.BatchNorm2d(outputs)
        self.around = shortcut(inputs, outputs, 1)
        self.temporal = nn.Conv2d(outputs, outputs, (TAPS, 1), (stride, 1), (TAPS // 2, 0))
        self.temporal_norm = nn.BatchNorm2d(outputs)
        self.beside = shortcut(inputs, outputs, stride) if residual else nn.Sequential()
        for part in self.modules():
            if isinstance(part, nn.Conv2d) and part is not self.spatial.gather:
                nn.init.kaiming_normal_(part.weight, mode="fan_out")
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.spatial_norm.weight, ALMOST_NOTHING)

    def forward(
        self, features: Float[Tensor, "N C T V"], own: Bool[Tensor, "N T"] | None = None
    ) -> Float[Tensor, "N C2 S V"]:
        """The next features; frames that are not a clip's own count as beyond its ends, as zeros."""
        taken = normed_over(self.spatial_norm, self.spatial(features, own), own)
        among_joints = F.relu(taken + past(self.around, features, own))
        if own is not None:
            among_joints = among_joints * own[:, None, :, None]
            own = own[:, :: self.stride]
        over_frames = normed_over(self.temporal_norm, self.temporal(among_joints), own)
        return F.relu(over_frames + past(self.beside, features, own) if self.residual else over_frames)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """What goes past a part of a block: everything as it is, or a convolution where sizes differ."""
    if inputs == outputs and stride == 1:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))


def past(
    way: nn.Sequential, features: Float[Tensor, "N C T V"], own: Bool[Tensor, "N S"] | None
) -> Float[Tensor, "N C2 S V"]:
    """The features on a shortcut; `own` is of the frames that come out."""
    if not len(way):
        return features
    convolution, norm = way
    return normed_over(norm, convolution(features), own)


class AdaptiveConvolution(nn.Module):
    """What joints take from others, by A + B + C (eq. 3): of the skeleton, learned, of how alike two joints are."""

    adjacency: Tensor
    """A (3, V, V) from source (row) to target (column) joint."""

    def __init__(self, parents: Sequence[int], inputs: int, outputs: int) -> None:
        super().__init__()
        joints, compared = len(parents), max(1, outputs // NARROWER)
        self.register_buffer("adjacency", torch.tensor(directed(parents)), persistent=False)
        self.learned = nn.Parameter(torch.full((SUBSETS, joints, joints), ALMOST_NOTHING))
        self.compare = nn.Conv2d(inputs, 2 * SUBSETS * compared, 1)
        self.gather = nn.Conv2d(SUBSETS * inputs, outputs, 1)
        nn.init.normal_(self.gather.weight, 0.0, math.sqrt(2 / (outputs * inputs * SUBSETS)))
        nn.init.zeros_(self.gather.bias)  # type: ignore[arg-type]

    def forward(
        self, features: Float[Tensor, "N C T V"], own: Bool[Tensor, "N T"] | None = None
    ) -> Float[Tensor, "N C2 T V"]:
        """A joint's features from all joints'; how alike two are is the same for all own frames of a clip."""
        mixing = self.alike(features, own) + (self.adjacency + self.learned).to(features.dtype)
        taken = torch.einsum("nctv,nkvw->nkctw", features, mixing)
        gathered: Tensor = self.gather(taken.flatten(1, 2))
        return gathered

    def alike(
        self, features: Float[Tensor, "N C T V"], own: Bool[Tensor, "N T"] | None = None
    ) -> Float[Tensor, "N 3 V V"]:
        """C: the share that each source (row) has for a target (column), by its cosine-like product over all frames."""
        source, target = self.compare(features).unflatten(1, (2, SUBSETS, -1)).unbind(1)
        frames: Tensor | int = features.shape[2]
        if own is not None:
            source = source * own[:, None, None, :, None]
            frames = own.sum(dim=1)[:, None, None, None]
        products = source.flatten(2, 3).transpose(2, 3) @ target.flatten(2, 3)
        shares: Tensor = (products / (source.shape[2] * frames)).softmax(dim=2)
        return shares


def directed(parents: Sequence[int]) -> list[list[list[float]]]:
    """Shares of source joints (row) in target joints (column), (3, V, V): itself; its parent; its children."""
    joints = range(len(parents))
    children = [sum(parents[child] == joint != child for child in joints) for joint in joints]
    return [
        [[float(source == target) for target in joints] for source in joints],
        [[float(parents[target] == source != target) for target in joints] for source in joints],
        [[(parents[source] == target != source) / max(children[target], 1) for target in joints] for source in joints],
    ]
