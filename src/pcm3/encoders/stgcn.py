"""ST-GCN (Yan et al., AAAI 2018): spatial-temporal graph convolutions, as its public code and its followers compute.

Blocks, widths and strides are those of the public code, of which papers say little: docs/FIDELITY.md. Where the paper
and the code that made the published weights differ, it is the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pcm3.encoders.lengths import own_frames, strided
from pcm3.encoders.network import Network, NetworkSize
from pcm3.encoders.per_joint import PerJointAdapter
from pcm3.errors import ConfigError
from pcm3.nn.dropout import ByteDropout

SUBSETS = 3
"""Of a joint's neighbours: itself; as far from the centre or farther; nearer to it ("spatial", §3.3)."""
TAPS = 9
"""Frames that a temporal convolution sees."""
STD = 0.02
"""Standard deviation of the first weights, and of the first scales of the BatchNorms about 1."""


def build(size: NetworkSize) -> Network:
    """`size.layers` stages, each half as fast and twice as wide as the one before: 10 blocks in the paper's three.

    The last block has the 2H channels of a frame's feature; the first stage has `size.channels`, or, where that is 0,
    as many as lets every stage double: 64 and H 128 are the paper's, 16 and H 128 those of its small followers.
    """
    if size.hidden_size < 1 or size.layers < 1 or not 0 <= size.dropout < 1 or size.channels < 0:
        raise ConfigError(
            "expected at least one layer and channel and a dropout from 0 to below 1, got "
            f"{size.layers} layers, {size.channels} channels, hidden_size {size.hidden_size}, dropout {size.dropout}"
        )
    width = 2 * size.hidden_size
    channels = size.channels or max(1, width // 2 ** (size.layers - 1))

    def block(inputs: int, outputs: int, stride: int, first: bool) -> StgcnBlock:
        dropout = 0.0 if first else size.dropout
        return StgcnBlock(size.parents, inputs, outputs, stride, residual=not first, dropout=dropout)

    layers = SpatialTemporalGraph(block, size.joint_values, channels, width, size.layers)
    norm = SharedNorm(size.bodies, size.in_features // size.bodies)
    for module in (layers, norm):
        initialise(module)
    adapter = PerJointAdapter(layers, size.bodies, size.joints, size.features)
    return Network([adapter], width, time_stride=layers.time_stride, norm=norm, batch_norms=True)


class SharedNorm(nn.Module):
    """BatchNorm of the inputs of a frame (N, I), over each value of a joint, which all M bodies share."""

    def __init__(self, bodies: int, values: int) -> None:
        super().__init__()
        self.bodies, self.norm = bodies, nn.BatchNorm1d(values)

    def forward(self, inputs: Float[Tensor, "N I"]) -> Float[Tensor, "N I"]:
        """Bodies are the fastest axis of flat inputs (`pcm3.encoders.flatten`)."""
        each = inputs.unflatten(1, (-1, self.bodies)).transpose(1, 2)
        normed: Tensor = self.norm(each.flatten(0, 1))
        return normed.view(each.shape).transpose(1, 2).flatten(1)


class SpatialTemporalGraph(nn.Module):
    """Inputs of every joint (B, T, V, M, K) → features (B, S, W), plain means over joints and bodies.

    S = ⌈T / `time_stride`⌉. Bodies go through the same blocks by themselves; one that is not there counts in full.
    """

    def __init__(
        self,
        make_block: Callable[[int, int, int, bool], nn.Module],
        joint_values: int,
        channels: int,
        width: int,
        stages: int,
    ) -> None:
        """`make_block`: (inputs, outputs, temporal stride, whether it is the first) → a block."""
        super().__init__()
        self.time_stride = 2 ** (stages - 1)
        blocks: list[nn.Module] = []
        self.strides: list[int] = []
        inputs = joint_values
        for stage in range(stages):
            for number in range(4 if stage == 0 else 3):
                last = stage == stages - 1 and number == (3 if stage == 0 else 2)
                outputs = width if last else channels * 2**stage
                self.strides.append(2 if stage > 0 and number == 0 else 1)
                blocks.append(make_block(inputs, outputs, self.strides[-1], not blocks))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(
        self, inputs: Float[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S W"]:
        """Features of every `time_stride`-th frame."""
        bodies = inputs.shape[3]
        of_bodies: Tensor = self._through_blocks(inputs, lengths).mean(dim=3).unflatten(0, (-1, bodies))
        return of_bodies.mean(dim=1).transpose(1, 2)

    def of_joints(self, inputs: Float[Tensor, "B T V M K"]) -> Float[Tensor, "B S M V W"]:
        """Features of every joint of every body, of which `forward` gives the means; all frames are the clips' own."""
        bodies = inputs.shape[3]
        of_bodies: Tensor = self._through_blocks(inputs, None).unflatten(0, (-1, bodies))
        return of_bodies.permute(0, 3, 1, 4, 2)

    def some_joints(self, inputs: Float[Tensor, "B T V M K"], joints: Int[Tensor, " J"]) -> Float[Tensor, "B S W"]:
        """Features of frames of bodies that have these joints alone: others, and edges to them, are not there.

        Of blocks that take joints; all frames are the clips' own.
        """
        bodies, features = inputs.shape[3], inputs[:, :, joints].permute(0, 3, 4, 1, 2).flatten(0, 1)
        for block in self.blocks:
            features = block(features, joints=joints)
        of_bodies: Tensor = features.mean(dim=3).unflatten(0, (-1, bodies))
        return of_bodies.mean(dim=1).transpose(1, 2)

    def _through_blocks(
        self, inputs: Float[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None
    ) -> Float[Tensor, "BM W S V"]:
        bodies = inputs.shape[3]
        features = inputs.permute(0, 3, 4, 1, 2).flatten(0, 1)
        each = None if lengths is None else lengths.repeat_interleave(bodies)
        for block, stride in zip(self.blocks, self.strides, strict=True):
            features = block(features, None if each is None else own_frames(each, features.shape[2]))
            each = None if each is None else strided(each, stride)
        return features


class StgcnBlock(nn.Module):
    """(N, C, T, V) → (N, C', ⌈T / stride⌉, V): over a joint's neighbours, then over 9 frames, added to what came in."""

    def __init__(
        self, parents: Sequence[int], inputs: int, outputs: int, stride: int, residual: bool, dropout: float
    ) -> None:
        super().__init__()
        self.stride, self.residual = stride, residual
        self.spatial = SpatialConvolution(parents, inputs, outputs)
        self.spatial_norm = nn.BatchNorm2d(outputs)
        self.temporal = nn.Conv2d(outputs, outputs, (TAPS, 1), (stride, 1), (TAPS // 2, 0))
        self.temporal_norm = nn.BatchNorm2d(outputs)
        self.dropout = ByteDropout(dropout)
        self.beside = nn.Sequential()
        if residual and (inputs != outputs or stride != 1):
            self.beside = nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))

    def forward(
        self,
        features: Float[Tensor, "N C T V"],
        own: Bool[Tensor, "N T"] | None = None,
        joints: Int[Tensor, " V"] | None = None,
    ) -> Float[Tensor, "N C2 S V"]:
        """The next features; frames that are not a clip's own count as beyond its ends, as zeros.

        `joints`: which these are, where they are not all.
        """
        among_joints = F.relu(normed_over(self.spatial_norm, self.spatial(features, joints), own))
        if own is not None:
            among_joints = among_joints * own[:, None, :, None]
            own = own[:, :: self.stride]
        over_frames: Tensor = self.dropout(normed_over(self.temporal_norm, self.temporal(among_joints), own))
        if not self.residual:
            return F.relu(over_frames)
        beside = features
        if len(self.beside):
            convolution, norm = self.beside
            beside = normed_over(norm, convolution(features), own)
        return F.relu(over_frames + beside)


def normed_over(
    norm: nn.Module, features: Float[Tensor, "N C T V"], own: Bool[Tensor, "N T"] | None
) -> Float[Tensor, "N C T V"]:
    """The features by a BatchNorm2d; in training by the statistics of the clips' own frames, as `normalised`."""
    if own is None or not norm.training:
        normed: Tensor = norm(features)
        return normed
    rows = features.permute(0, 2, 3, 1)
    values: Tensor = norm(rows[own].flatten(0, 1)[..., None, None])
    return values.new_zeros(rows.shape).masked_scatter(own[..., None, None], values).permute(0, 3, 1, 2)


class SpatialConvolution(nn.Module):
    """Each subset of a joint's neighbours averaged, by its own weights (eq. 10), each edge by a learned importance.

    The bias passes through the average, too, as in the public code. Neighbours are averaged before they are weighted,
    which is the same and cheaper where a block has more channels than came in.
    """

    adjacency: Tensor
    """(3, V, V) from source (row) to target (column) joint."""

    def __init__(self, parents: Sequence[int], inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("adjacency", torch.tensor(adjacency(parents)), persistent=False)
        self.importance = nn.Parameter(torch.ones(SUBSETS, len(parents), len(parents)))
        self.weights = nn.Conv2d(inputs, SUBSETS * outputs, 1)

    def forward(
        self, features: Float[Tensor, "N C T V"], joints: Int[Tensor, " V"] | None = None
    ) -> Float[Tensor, "N C2 T V"]:
        """A joint's neighbours, weighted; where some are missing, those that are there, with the same weights."""
        size, inputs, frames, count = features.shape
        mixing = self.adjacency * self.importance
        if joints is not None:
            mixing = mixing[:, joints[:, None], joints]
        averaged = features.reshape(-1, count) @ mixing.transpose(0, 1).flatten(1).to(features.dtype)
        # Subsets stand beside each other in time, where a convolution over three of them is their weighted sum.
        averaged = averaged.view(size, inputs, frames * SUBSETS, count)
        weight = self.weights.weight.view(SUBSETS, -1, inputs).permute(1, 2, 0).unsqueeze(-1)
        bias = torch.einsum("kc,kvw->cw", self._bias.view(SUBSETS, -1), mixing)
        output: Tensor = F.conv2d(averaged, weight, stride=(SUBSETS, 1)) + bias[:, None]
        return output

    @property
    def _bias(self) -> Tensor:
        bias = self.weights.bias
        assert bias is not None
        return bias


def adjacency(parents: Sequence[int], true_distances: bool = False) -> list[list[list[float]]]:
    """Shares of source joints (row) in target joints (column) by subset (3, V, V); a column sums to 1 over all three.

    Args:
        parents: of every joint; the root, which is its own, is the centre.
        true_distances: the paper's partition. Else the public code's, which made all published weights: it counts
            distances to the centre up to one bone, and takes all joints that are farther to be equally far.
    """
    joints = range(len(parents))
    links = [(joint, parent) for joint, parent in enumerate(parents) if joint != parent]
    near = {(joint, joint) for joint in joints} | set(links) | {(parent, joint) for joint, parent in links}
    share = [1 / sum((source, target) in near for source in joints) for target in joints]
    bones = [_bones_to_root(parents, joint) for joint in joints]
    far = bones if true_distances else [min(count, 2) for count in bones]
    shares = [[[0.0 for _ in joints] for _ in joints] for _ in range(SUBSETS)]
    for source, target in near:
        subset = 0 if source == target else 1 if far[source] >= far[target] else 2
        shares[subset][source][target] = share[target]
    return shares


def _bones_to_root(parents: Sequence[int], joint: int) -> int:
    bones = 0
    while parents[joint] != joint:
        joint, bones = parents[joint], bones + 1
    return bones


def initialise(module: nn.Module) -> None:
    """The public code's first weights: normal about 0, biases 0; scales of BatchNorms normal about 1."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.weight, 0.0 if isinstance(part, nn.Conv2d) else 1.0, STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
