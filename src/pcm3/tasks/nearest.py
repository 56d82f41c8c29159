"""The nearest of many, exactly: candidates by a fast product of low precision, ranked by cosines in high precision.

What is found is a property of the features, not of the product: a fast product is off by no more than a bound that is
known, so that every row that could belong to the nearest is a candidate. Where that cannot be shown of a few
candidates, more are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from pcm3.device import choose_precision

CHUNK = 4096
"""Queries compared at a time, at most."""
SCORES = 2**27
"""Scores held at a time, at most."""
RANKED = 2**20
"""Coordinates of candidates ranked at a time, at most: they stay in a cache."""
SPARE = 8
"""Candidates that are taken beyond twice the neighbours asked for, before it is known whether they are needed."""
DENSE = 64
"""One in so many rows is a candidate: then all are ranked, in one product."""
FLOAT32 = 2.0**-24
"""Greatest relative error of rounding to float32."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of Q queries the k nearest rows of a gallery, the nearest first."""

    row: Tensor
    """(Q, k) int64."""
    cosine: Tensor
    """(Q, k) float32."""


def nearest(queries: Tensor, gallery: Tensor, k: int) -> Neighbours:
    """The `k` rows of the gallery (G, D) with the largest cosine to each query (Q, D); of equals the first.

    Args:
        queries: unit rows (or zeros), float32.
        gallery: unit rows (or zeros), float32, on the same device.
        k: 1 … G.
    """
    with full_float32():
        keys = _Keys.of(gallery)
        size = max(min(CHUNK, SCORES // len(gallery)), 1)
        found = [_nearest(part, keys, k) for part in queries.split(size)]
    return Neighbours(torch.cat([part.row for part in found]), torch.cat([part.cosine for part in found]))


def ranked(queries: Tensor, gallery: Tensor, candidates: Tensor, k: int) -> Neighbours:
    """The best `k` of the candidate rows (Q, C), whose cosines are summed in float64 and rounded to float32."""
    rows = candidates.sort(dim=1).values  # a stable sort by cosine then leaves the first of equals first
    size = max(RANKED // (rows.shape[1] * gallery.shape[1]), 1)
    cosines = [
        torch.bmm(gallery[mine].double(), query.double().unsqueeze(2)).squeeze(2).float()
        for query, mine in zip(queries.split(size), rows.split(size), strict=True)
    ]
    best = torch.cat(cosines).sort(dim=1, descending=True, stable=True)
    return Neighbours(rows.gather(1, best.indices[:, :k]), best.values[:, :k])


def ranked_all(queries: Tensor, gallery: Tensor, k: int) -> Neighbours:
    """The best `k` of all rows, as `ranked`."""
    query, size = queries.double(), max(RANKED // gallery.shape[1], 1)
    cosines = torch.cat([(query @ part.double().T).float() for part in gallery.split(size)], dim=1)
    best = cosines.sort(dim=1, descending=True, stable=True)
    return Neighbours(best.indices[:, :k], best.values[:, :k])


@contextmanager
def full_float32() -> Iterator[None]:
    """Inside, products of float32 are float32, and those of bfloat16 are summed in float32: the bounds hold."""
    gpu = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision(), gpu.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    gpu.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        gpu.allow_bf16_reduced_precision_reduction = before[1]


def rounds(device: torch.device) -> bool:
    """Whether a product of bfloat16 is worth its looser bound: where the device is fast at it."""
    return choose_precision("auto", device) == "bf16"


@dataclass(frozen=True, eq=False)
class _Keys:
    """A gallery, moved so that its mean m is the origin.

    Features of one network mostly point the same way; the errors of a product of moved rows are as small as their
    spread. A query q orders the rows g as (q − m)·(g − m) + m·(g − m) does, which is q·g but for what is the same for
    all rows.
    """

    unit: Tensor
    """(G, D) as they are."""
    mean: Tensor
    """(D,) m, any vector near the mean."""
    moved: Tensor
    """(G, D) g − m."""
    offset: Tensor
    """(G,) m·(g − m)."""
    low: Tensor | None
    """(G, D) bfloat16 of `moved`, where that is worth it."""
    longest: Tensor
    """() greatest length of a row of `moved`."""
    lost: Tensor
    """() greatest length of what rounding to bfloat16 took from such a row."""

    @classmethod
    def of(cls, unit: Tensor) -> _Keys:
        mean = unit.mean(dim=0)
        moved = unit - mean
        offset = torch.cat([(part.double() @ mean.double()).float() for part in moved.split(CHUNK)])
        low = moved.bfloat16() if rounds(unit.device) else None
        lost = (moved - low).norm(dim=1).max() if low is not None else moved.new_zeros(())
        return cls(unit, mean, moved, offset, low, moved.norm(dim=1).max(), lost)

    def score(self, queries: Tensor, fast: bool) -> tuple[Tensor, Tensor]:
        """What orders the rows (Q, G), and by how much each query's may be off (Q,); fast in bfloat16, if there is."""
        moved = queries - self.mean
        length = moved.norm(dim=1)
        # Of a sum of D products in float32; of the moves, the offset and the rounding of cosines.
        off = 1.01 * (queries.shape[1] + 8) * FLOAT32 * length * self.longest
        off = off + 8 * FLOAT32 * (1 + self.offset.abs().max())
        if not fast or self.low is None:
            return torch.addmm(self.offset, moved, self.moved.T), off
        low = moved.bfloat16()
        lost = (moved - low).norm(dim=1)
        # What rounding took away, by Cauchy and Schwarz.
        off = off + 1.01 * (lost * (self.longest + self.lost) + length * self.lost)
        return _product(low, self.low).add_(self.offset), off


def _product(queries: Tensor, keys: Tensor) -> Tensor:
    """All with all (Q, G), of bfloat16 rows, summed in float32."""
    if queries.device.type == "cuda":
        return torch.mm(queries, keys.T, out_dtype=torch.float32)
    torch.set_float32_matmul_precision("medium")  # loses nothing, as the rows are bfloat16
    score = queries.float() @ keys.float().T
    torch.set_float32_matmul_precision("highest")
    return score


def _nearest(queries: Tensor, keys: _Keys, k: int) -> Neighbours:
    """`nearest` of one chunk of queries."""
    score, off = keys.score(queries, fast=True)
    best = score.topk(min(2 * k + SPARE, len(keys.unit)), dim=1)
    found = ranked(queries, keys.unit, best.indices, k)
    # A neighbour is at least as near as the k-th candidate is, so its score is less by both errors at most.
    unsure = best.values[:, -1] >= best.values[:, k - 1] - 2 * off
    if best.values.shape[1] < len(keys.unit) and unsure.any():
        more = _nearest_of_many(queries[unsure], keys, k)
        found.row[unsure], found.cosine[unsure] = more.row, more.cosine
    return found


def _nearest_of_many(queries: Tensor, keys: _Keys, k: int) -> Neighbours:
    """`nearest` of queries that have many candidates."""
    score, off = keys.score(queries, fast=False)
    least = score.topk(k, dim=1).values[:, -1] - 2 * off
    count = int((score >= least.unsqueeze(1)).sum(dim=1).max())
    if count > len(keys.unit) // DENSE:
        return ranked_all(queries, keys.unit, k)
    return ranked(queries, keys.unit, score.topk(count, dim=1).indices, k)
