"""The key network: a slow copy of the query network (MoCo §3.2)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def key_copy(network: Module) -> Module:
    """A copy that no optimiser touches; its BatchNorm statistics are its own."""
    copied = copy.deepcopy(network)
    return copied.requires_grad_(False)


@torch.no_grad()
def momentum_update(key: nn.Module, query: nn.Module, momentum: float) -> None:
    """θ_key ← momentum · θ_key + (1 - momentum) · θ_query, for every parameter (PCM³ §3.1); buffers stay."""
    keys: list[Tensor] = list(key.parameters())
    queries: list[Tensor] = list(query.parameters())
    torch._foreach_mul_(keys, momentum)
    torch._foreach_add_(keys, queries, alpha=1 - momentum)
