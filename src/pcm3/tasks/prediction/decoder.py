"""The decoder of motion prediction: one GRU that says how each joint moves on (Martinez et al. 2017)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MotionDecoder(nn.Module):
    """An encoder's feature and the last pose seen → the poses that follow.

    Residual: what it puts out is a velocity, added to the pose that it was fed. It is fed its own poses, in training
    too. It starts as the zero-velocity baseline: the velocity's weights are zero.
    """

    def __init__(self, width: int, pose: int, hidden_size: int) -> None:
        super().__init__()
        self.start = nn.Linear(width, hidden_size)
        self.gru = nn.GRUCell(pose, hidden_size)
        self.velocity = nn.Linear(hidden_size, pose)
        nn.init.zeros_(self.velocity.weight)
        nn.init.zeros_(self.velocity.bias)

    def forward(self, feature: Float[Tensor, "B D"], pose: Float[Tensor, "B P"], frames: int) -> Float[Tensor, "B T P"]:
        """So many poses after `pose`, laid out flat, in its unit."""
        state = torch.tanh(self.start(feature))
        poses = []
        for _ in range(frames):
            state = self.gru(pose, state)
            pose = pose + self.velocity(state)
            poses.append(pose)
        return torch.stack(poses, dim=1)
