"""LARS: momentum SGD whose rate follows the size of each weight matrix (You et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class LARS(torch.optim.Optimizer):
    """Each weight matrix w with gradient g moves by lr · trust · |w| / (|g| + decay · |w|) · (g + decay · w).

    Biases, norm parameters and all else of one dimension or none move as in SGD, without weight decay; so do matrices
    that are zero, which would stay so. The momentum is of what is to be moved before lr, as in torch's SGD and MoCo v3.
    The host never waits for the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        """Keep what the steps need.

        Args:
            params: what learns.
            lr: learning rate; that of SGD for what has one dimension.
            momentum: share of the velocity that stays from step to step.
            weight_decay: added to the gradients of the matrices, times the matrix.
            trust: share of its own length that a matrix moves in a step at lr 1, without momentum.
        """
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Everything that has a gradient is moved; returns the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._move(group)
        return loss

    def _move(self, group: dict[str, Any]) -> None:
        learning = [parameter for parameter in group["params"] if parameter.grad is not None]
        matrices = [parameter for parameter in learning if parameter.dim() > 1]
        others = [parameter for parameter in learning if parameter.dim() <= 1]
        moves = _adapted(matrices, group["weight_decay"], group["trust"]) + [other.grad for other in others]
        if moves:
            velocities = [self._velocity(parameter) for parameter in matrices + others]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, moves)
            torch._foreach_add_(matrices + others, velocities, alpha=-group["lr"])

    def _velocity(self, parameter: Tensor) -> Tensor:
        """What the parameter moved by, before lr; zero at first."""
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def _adapted(matrices: list[Tensor], decay: float, trust: float) -> list[Tensor]:
    """Gradients with weight decay, each brought to `trust` times the length of its matrix."""
    if not matrices:
        return []
    gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
    sizes, slopes = (torch.stack(torch._foreach_norm(tensors)) for tensors in (matrices, gradients))
    lengths = slopes + decay * sizes
    ratios = torch.where((sizes > 0) & (lengths > 0), trust * sizes / lengths, 1.0)
    moves = list(torch._foreach_add(gradients, matrices, alpha=decay))
    torch._foreach_mul_(moves, list(ratios.unbind()))
    return moves
