"""What updates the weights: the optimisers by the names that the settings have for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pcm3.settings.optimiser import OptimiserSettings


def build_optimiser(module: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """The optimiser over everything in the module that learns; gradients that are too long are scaled before a step."""
    learning: list[Tensor] = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = OPTIMISERS[settings.kind](learning, settings)
    if settings.max_grad_norm:
        optimiser.register_step_pre_hook(lambda *_: _shorten(learning, settings.max_grad_norm))
    return optimiser


def _shorten(learning: list[Tensor], length: float) -> None:
    nn.utils.clip_grad_norm_(learning, length)


def _sgd(learning: list[Tensor], chosen: OptimiserSettings) -> torch.optim.Optimizer:
    return torch.optim.SGD(learning, chosen.lr, momentum=chosen.momentum, weight_decay=chosen.weight_decay, fused=True)


def _adam(learning: list[Tensor], chosen: OptimiserSettings) -> torch.optim.Optimizer:
    betas = (chosen.momentum, chosen.beta2)
    return torch.optim.Adam(learning, chosen.lr, betas=betas, weight_decay=chosen.weight_decay, fused=True)


def _adamw(learning: list[Tensor], chosen: OptimiserSettings) -> torch.optim.Optimizer:
    """No decay of biases, norm parameters and all else of one dimension or none, as in MAE and most of the field."""
    groups = [
        {"params": [weight for weight in learning if weight.dim() > 1], "weight_decay": chosen.weight_decay},
        {"params": [weight for weight in learning if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, chosen.lr, betas=(chosen.momentum, chosen.beta2), fused=True)


OPTIMISERS: dict[str, Callable[[list[Tensor], OptimiserSettings], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
}
