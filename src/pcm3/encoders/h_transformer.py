"""A hierarchical Transformer: the joints of a part, the parts of all bodies, the frames of a clip.

Re-implemented from a description of a few words of H-Transformer (Cheng et al., ICME 2021); all sizes and most
decisions are ours (docs/FIDELITY.md, H-Transformer).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pcm3.encoders.network import Network, NetworkSize
from pcm3.encoders.per_joint import PerJointAdapter
from pcm3.encoders.transformer import AttentionBlock, AttentionLayers, attend_to_many, heads_of
from pcm3.encoders.vit import SPREAD
from pcm3.errors import ConfigError


def build(size: NetworkSize) -> Network:
    """Parts and bodies of `size.channels` values each, or of H; then blocks over frames of width 2H."""
    if size.hidden_size < 1 or size.layers < 1 or size.channels < 0:
        raise ConfigError(
            "expected at least one layer and unit for kind h_transformer, got "
            f"{size.layers} layers, hidden_size {size.hidden_size}, {size.channels} channels"
        )
    channels, width = size.channels or size.hidden_size, 2 * size.hidden_size
    of_frame = PerJointAdapter(PartsAndBody(size, channels), size.bodies, size.joints, size.features)
    return Network([of_frame, AttentionLayers(channels, width, size.layers, heads_of(width))], width)


class PartsAndBody(nn.Module):
    """Inputs of every joint (B, T, V, M, K) → what each frame shows (B, T, C).

    In every part of every body a token of the part looks at its joints; then a token of the frame at all these.
    """

    members: Int[Tensor, "P J"]
    """The joints of each part, the first of which fills up those that have fewer."""
    own: Bool[Tensor, "P J+1"]
    """Which of a part's token and joints are its own."""

    def __init__(self, size: NetworkSize, channels: int) -> None:
        super().__init__()
        parts, most = size.parts, max(map(len, size.parts))
        self.register_buffer(
            "members", torch.tensor([[*part, *[part[0]] * (most - len(part))] for part in parts]), persistent=False
        )
        own = torch.arange(most + 1) <= torch.tensor([[len(part)] for part in parts])
        self.register_buffer("own", own, persistent=False)
        self.embed = nn.Linear(size.joint_values, channels)
        self.of_joint = nn.Parameter(torch.empty(size.joints, channels))
        self.of_part = nn.Parameter(torch.empty(len(parts), channels))
        self.of_body = nn.Parameter(torch.empty(size.bodies, channels))
        self.of_frame = nn.Parameter(torch.empty(channels))
        for table in (self.of_joint, self.of_part, self.of_body, self.of_frame):
            nn.init.normal_(table, std=SPREAD)
        self.within_parts, self.among_parts = (
            AttentionBlock(channels, heads_of(channels), attend_to_many) for _ in range(2)
        )

    def forward(
        self, inputs: Float[Tensor, "B T V M K"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """Each frame by itself."""
        joints = self.embed(inputs) + self.of_joint.unsqueeze(1)
        members = joints[:, :, self.members].permute(0, 1, 4, 2, 3, 5)  # B T M P J C
        parts = self.of_part.to(joints.dtype).unsqueeze(1).expand(*members.shape[:4], 1, -1)
        tokens = torch.cat([parts, members], dim=4).flatten(0, 3)
        own = self.own.expand(tokens.shape[0] // len(self.own), -1, -1).flatten(0, 1)
        part_features = self.within_parts(tokens, own)[:, 0].view(*members.shape[:4], -1) + self.of_body.unsqueeze(1)
        frame = self.of_frame.to(part_features.dtype).expand(*part_features.shape[:2], 1, -1)
        all_parts = torch.cat([frame, part_features.flatten(2, 3)], dim=2).flatten(0, 1)
        of_frames: Tensor = self.among_parts(all_parts)[:, 0]
        return of_frames.view(*inputs.shape[:2], -1)
