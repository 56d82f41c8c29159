"""From the flat inputs of a frame back to joints, for layers that work on these."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pcm3.encoders.flatten import unflatten


class PerJointAdapter(nn.Module):
    """Layers that take an encoder's inputs joint by joint, not flat."""

    def __init__(self, layers: nn.Module, bodies: int, joints: int, features: int) -> None:
        """Args: the layers; M; V; how many input features stand side by side in the flat inputs."""
        super().__init__()
        self.layers = layers
        self.features, self.bodies, self.joints = features, bodies, joints

    def forward(
        self, inputs: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S W"]:
        """The flat inputs, as (B, T, V, M, values of a joint), through the layers."""
        features: Tensor = self.layers(self.by_joint(inputs), lengths)
        return features

    def of_joints(self, inputs: Float[Tensor, "B T I"]) -> Float[Tensor, "B S M V W"]:
        """Features of every joint, from layers that have them."""
        features: Tensor = self.layers.of_joints(self.by_joint(inputs))  # type: ignore[operator]
        return features

    def some_joints(self, inputs: Float[Tensor, "B T I"], joints: Int[Tensor, " J"]) -> Float[Tensor, "B S W"]:
        """Features of frames, from layers that can do with some joints."""
        features: Tensor = self.layers.some_joints(self.by_joint(inputs), joints)  # type: ignore[operator]
        return features

    def by_joint(self, inputs: Float[Tensor, "B T I"]) -> Float[Tensor, "B T V M K"]:
        """The flat inputs as the K values of each joint of each body."""
        each = [unflatten(part, self.bodies, self.joints) for part in inputs.chunk(self.features, dim=-1)]
        return torch.cat(each, dim=-1).transpose(2, 3)
