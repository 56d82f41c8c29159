"""The queue of earlier keys, against which every query is compared (MoCo §3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """The last K keys, first in, first out; takes batches of any size. Random unit vectors at first.

    With `fixed` there are so many more rows, which stay random.
    """

    keys: Float[Tensor, "K E"]
    """Unit length, in no order that matters."""
    next: Int[Tensor, ""]
    """The row that is overwritten next."""

    def __init__(self, size: int, embedding: int, fixed: int = 0) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("keys", F.normalize(torch.randn(size + fixed, embedding), dim=-1))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Float[Tensor, "B E"]) -> None:
        """The oldest keys make room for these; where B > K, only the last K stay."""
        size = self.size
        skipped = max(len(keys) - size, 0)
        rows = (self.next + skipped + torch.arange(len(keys) - skipped, device=keys.device)) % size
        self.keys[rows] = keys[skipped:].to(self.keys.dtype)
        self.next.copy_((self.next + len(keys)) % size)
