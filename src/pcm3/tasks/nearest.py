"""The nearest of many, exactly: candidates by a fast product of low precision, ranked by cosines in high precision.

What is found is a property of the features, not of the product: a fast product is off by no more than a bound that is
known, so that every row that could belong to the nearest is a candidate, however many these are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pcm3.tasks.scores import Keys, full_float32, keys_of, least

CHUNK = 1024
"""Queries compared at a time, at most."""
SCORES = 2**27
"""Scores held at a time, at most."""
RANKED = 2**18
"""Coordinates of candidates ranked at a time, at most: they stay in a cache."""
SPARE = 30
"""Rows that are looked at beyond twice the neighbours asked for, before it is known whether more are candidates."""
DENSE = 64
"""One in so many rows is a candidate: then all are ranked, in one product."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of Q queries the k nearest rows of a gallery, the nearest first."""

    row: Int[Tensor, "Q k"]
    cosine: Float[Tensor, "Q k"]


def nearest(queries: Float[Tensor, "Q D"], gallery: Float[Tensor, "G D"], k: int) -> Neighbours:
    """The `k` rows of the gallery with the largest cosine to each query; of equals the first; rows are unit or 0."""
    with full_float32():
        keys = keys_of(gallery)
        size = max(min(CHUNK, SCORES // len(gallery)), 1)
        room = keys.room(min(size, len(queries)))
        neighbours = [_nearest(part, gallery, keys, room, k) for part in queries.split(size)]
    return Neighbours(torch.cat([part.row for part in neighbours]), torch.cat([part.cosine for part in neighbours]))


def ranked(
    queries: Float[Tensor, "Q D"],
    gallery: Float[Tensor, "G D"],
    candidates: Int[Tensor, "Q C"],
    k: int,
    wanted: Bool[Tensor, "Q C"] | None = None,
) -> Neighbours:
    """The best `k` of the candidate rows, whose cosines are summed in float64 and rounded to float32.

    Args:
        queries: rows of any length.
        gallery: rows of any length.
        candidates: rows of the gallery for each query, none twice.
        k: at most C.
        wanted: where false, the candidate is none; None: all are.
    """
    order = candidates.sort(dim=1)  # a stable sort by cosine then leaves the first of equals first
    wanted = torch.ones_like(order.values, dtype=torch.bool) if wanted is None else wanted.gather(1, order.indices)
    query, place = wanted.nonzero(as_tuple=True)
    row = order.values[query, place]
    size = max(RANKED // gallery.shape[1], 1)
    cosines = [
        (gallery[rows].double() * queries[of]).sum(dim=1).float()
        for of, rows in zip(query.split(size), row.split(size), strict=True)
    ]
    cosine = queries.new_full(wanted.shape, -torch.inf).index_put_((query, place), torch.cat(cosines))
    best = cosine.sort(dim=1, descending=True, stable=True)
    return Neighbours(order.values.gather(1, best.indices[:, :k]), best.values[:, :k])


def ranked_all(queries: Float[Tensor, "Q D"], gallery: Float[Tensor, "G D"], k: int) -> Neighbours:
    """The best `k` of all rows, as `ranked`."""
    query, size = queries.double(), max(RANKED // gallery.shape[1], 1)
    cosines = torch.cat([(query @ part.double().T).float() for part in gallery.split(size)], dim=1)
    best = cosines.sort(dim=1, descending=True, stable=True)
    return Neighbours(best.indices[:, :k], best.values[:, :k])


def _nearest(
    queries: Float[Tensor, "Q D"], gallery: Float[Tensor, "G D"], keys: Keys, room: Float[Tensor, "R G"], k: int
) -> Neighbours:
    """`nearest` of one chunk of queries."""
    score, off = keys.score(queries, room)
    best = score.topk(min(2 * k + SPARE, len(gallery)), dim=1)
    bar = least(best.values[:, k - 1], off).unsqueeze(1)
    wanted = best.values >= bar
    wanted[:, :k] = True  # also of scores that are no numbers
    neighbours = ranked(queries, gallery, best.indices, k, wanted)
    unsure = wanted[:, -1]
    if best.indices.shape[1] < len(gallery) and unsure.any():
        more = _nearest_of_many(queries[unsure], gallery, score[unsure], bar[unsure], k)
        neighbours.row[unsure], neighbours.cosine[unsure] = more.row, more.cosine
    return neighbours


def _nearest_of_many(
    queries: Float[Tensor, "Q D"],
    gallery: Float[Tensor, "G D"],
    score: Float[Tensor, "Q G"],
    bar: Float[Tensor, "Q 1"],
    k: int,
) -> Neighbours:
    """`nearest` of queries that have many candidates: the rows whose scores reach the bar."""
    count = (score >= bar).sum(dim=1)
    few = count <= len(gallery) // DENSE
    row = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    neighbours = Neighbours(row, queries.new_empty(row.shape))
    if few.any():
        best = score[few].topk(int(count[few].max()), dim=1)
        some = ranked(queries[few], gallery, best.indices, k, best.values >= bar[few])
        neighbours.row[few], neighbours.cosine[few] = some.row, some.cosine
    if not few.all():
        rest = ranked_all(queries[~few], gallery, k)
        neighbours.row[~few], neighbours.cosine[~few] = rest.row, rest.cosine
    return neighbours
