"""Scores that order a gallery by its cosines to a query: a fast product, and a bound on how far each may be off.

Features of one network mostly point the same way, and differ in few directions. The gallery is therefore moved so that
its mean m is the origin: a query q orders the rows g as (q − m)·(g − m) + m·(g − m) does, which is q·g but for what is
the same for all rows. Where the product is of bfloat16, the coordinates of the moved rows along those few directions
are kept as two numbers each, and only what is left of them by query.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import BFloat16, Float, Float64
from torch import Tensor

from pcm3.device import choose_precision

FLOAT32 = 2.0**-24
"""Greatest relative error of rounding to float32."""
BFLOAT16 = 2.0**-8
"""Greatest relative error of rounding to bfloat16."""
CLEAR = 1.01
"""A bound is so much larger than what was computed for it in float32."""
SAMPLE = 512
"""Most rows of a gallery that are looked at to know it roughly."""
DIRECTIONS = 64
"""Most directions along which coordinates are kept as two numbers."""
LEFT = 1 / 64
"""Share of the rows' square length that may be left when there are enough directions."""
WORTH = 1 / 2
"""If more than this is left after `DIRECTIONS`, there are no main directions."""
ROWS = 1024
"""Rows split at a time."""


def rounds(device: torch.device) -> bool:
    """Whether a product of bfloat16 is worth its looser bound: where the device is fast at it."""
    return choose_precision("auto", device) == "bf16"


def least(kth: Float[Tensor, " Q"], off: Float[Tensor, " Q"]) -> Float[Tensor, " Q"]:
    """The least score of a row that may be as near as the row with the k-th score.

    Before their last rounding, the scores of two rows come in the wrong order only if they differ by no more than both
    errors. And rounding leaves numbers in order, so what was not less before is not less after.
    """
    score = kth.float()
    rounding = BFLOAT16 if kth.dtype == torch.bfloat16 else 0.0
    return (score - rounding * score.abs() - 2 * off).to(kth.dtype)


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


@dataclass(frozen=True, eq=False)
class FullKeys:
    """Scores of float32."""

    mean: Float[Tensor, " D"]
    """m, any vector near the mean."""
    moved: Float[Tensor, "G D"]
    """g − m."""
    offset: Float[Tensor, " G"]
    """m·(g − m)."""
    longest: Float[Tensor, ""]
    """Greatest length of a row of `moved`."""

    @classmethod
    def of(cls, unit: Float[Tensor, "G D"]) -> FullKeys:
        """A gallery of unit rows, or zeros."""
        mean = unit.mean(dim=0)
        moved = unit - mean
        offset = torch.cat([(part.double() @ mean.double()).float() for part in moved.split(ROWS)])
        return cls(mean, moved, offset, moved.norm(dim=1).max())

    def room(self, queries: int) -> Float[Tensor, "R G"]:
        """Room for the scores of so many queries; taking it anew each time costs a tenth of the product."""
        return self.moved.new_empty(queries, len(self.moved))

    def score(
        self, queries: Float[Tensor, "Q D"], room: Float[Tensor, "R G"]
    ) -> tuple[Float[Tensor, "Q G"], Float[Tensor, " Q"]]:
        """What orders the rows, in `room`, and by how much each query's may be off."""
        moved = queries - self.mean
        # Of a sum of D products in float32; of the moves, the offset and the rounding of cosines.
        off = CLEAR * (queries.shape[1] + 8) * FLOAT32 * moved.norm(dim=1) * self.longest
        off = off + 8 * FLOAT32 * (1 + self.offset.abs().max())
        return torch.addmm(self.offset, moved, self.moved.T, out=room[: len(queries)]), off


class Lengths(NamedTuple):
    """Of each row x ≈ P a + r, kept as P (high + fine) + low: how long it is, and what keeping it so lost."""

    whole: Float[Tensor, "*rows"]
    """|x|."""
    along: Float[Tensor, "*rows"]
    """|a|, where a = high + fine."""
    fine: Float[Tensor, "*rows"]
    """|fine|."""
    rest: Float[Tensor, "*rows"]
    """|r|."""
    lost: Float[Tensor, "*rows"]
    """|r − low|."""
    slip: Float[Tensor, "*rows"]
    """At least |x − P a − r|, which float32 lost."""
    lean: Float[Tensor, "*rows"]
    """At least |Pᵀ r|, which is 0 but for rounding."""


class SplitRows(NamedTuple):
    """N moved rows in bfloat16."""

    high: BFloat16[Tensor, "N R"]
    """Their coordinates along the main directions, rounded."""
    fine: BFloat16[Tensor, "N R"]
    """What that rounding lost, rounded."""
    low: BFloat16[Tensor, "N D"]
    """What is left of the rows, rounded."""
    offset: Float64[Tensor, " N"]
    """m·x."""
    lengths: Lengths


@dataclass(frozen=True, eq=False)
class Origin:
    """From where, and along which directions, rows are split; any will do, good ones make the errors small."""

    mean: Float[Tensor, " D"]
    """m."""
    basis: Float[Tensor, "D R"]
    """P, nearly orthonormal."""
    gram: Float64[Tensor, "R R"]
    """Pᵀ P."""
    skew: float
    """At least the norm of Pᵀ P − 1."""

    @classmethod
    def of(cls, unit: Float[Tensor, "G D"]) -> Origin:
        """The mean of unit rows, and the main directions of a sample about it."""
        mean = unit.mean(dim=0)
        sample = (every(unit) - mean).double().nan_to_num()
        values, vectors = torch.linalg.eigh(sample @ sample.T)
        share = (values / values.sum().clamp(min=1e-300)).flip(0)[: min(DIRECTIONS, unit.shape[1])]
        left = 1 - share.cumsum(0)
        rank = min(int((left > LEFT).sum()) + 1, len(left)) if left[-1] < WORTH else 0
        basis = torch.linalg.qr(sample.T @ vectors.flip(1)[:, :rank]).Q.float()
        gram = basis.double().T @ basis.double()
        return cls(mean, basis, gram, CLEAR * float((gram - torch.eye(rank, device=gram.device)).norm()))

    def split(self, unit: Float[Tensor, "N D"]) -> SplitRows:
        """Unit rows, or zeros, in bfloat16."""
        moved = unit - self.mean
        rank = self.basis.shape[1]
        exact = moved.double() @ torch.cat([self.basis, self.mean.unsqueeze(1)], dim=1).double()
        wanted = exact[:, :rank]
        high = wanted.bfloat16()
        fine = (wanted - high).bfloat16()
        along = high.double() + fine.double()
        rest = torch.addmm(moved, along.float(), self.basis.T, alpha=-1)
        low = rest.bfloat16()
        whole, length = moved.norm(dim=1), along.norm(dim=1).float()
        slip = CLEAR * (rank + 3) * FLOAT32 * (whole + (rank**0.5 + 1) * length)
        lean = (wanted - along @ self.gram).norm(dim=1).float() + (1 + self.skew) * slip
        lengths = whole, length, fine.float().norm(dim=1), rest.norm(dim=1), (rest - low).norm(dim=1), slip, lean
        return SplitRows(high, fine, low, exact[:, rank], Lengths(*lengths))


@dataclass(frozen=True, eq=False)
class LowKeys:
    """Scores of bfloat16, summed in float32.

    From a query's scores the highest of a sample of the rows is taken, so that the last rounding, which is relative,
    hardly moves the highest of all.
    """

    origin: Origin
    columns: BFloat16[Tensor, "G K"]
    """All that the product needs of the rows."""
    longest: Lengths
    """The greatest of all rows, a number each."""
    offset: Float[Tensor, ""]
    """The greatest |m·(g − m)|."""

    @classmethod
    def of(cls, unit: Float[Tensor, "G D"]) -> LowKeys:
        """A gallery of unit rows, or zeros."""
        origin = Origin.of(unit)
        rank, width = origin.basis.shape[1], unit.shape[1]
        columns = unit.new_empty(len(unit), width + 3 * rank + 4, dtype=torch.bfloat16)
        lengths, offsets = [], []
        for part, mine in zip(unit.split(ROWS), columns.split(ROWS), strict=True):
            rows = origin.split(part)
            ones = rows.low.new_full((len(part), 1), -1.0)
            torch.cat([rows.low, rows.high, rows.fine, rows.high, _thirds(rows.offset), ones], dim=1, out=mine)
            lengths.append(rows.lengths)
            offsets.append(rows.offset)
        longest = Lengths(*(torch.cat(mine).max() for mine in zip(*lengths, strict=True)))
        return cls(origin, columns, longest, torch.cat(offsets).abs().max().float())

    def room(self, queries: int) -> BFloat16[Tensor, "R G"]:
        """As `FullKeys.room`."""
        return self.columns.new_empty(queries, len(self.columns))

    def score(
        self, queries: Float[Tensor, "Q D"], room: BFloat16[Tensor, "R G"]
    ) -> tuple[BFloat16[Tensor, "Q G"], Float[Tensor, " Q"]]:
        """As `FullKeys.score`; the scores are then rounded to bfloat16, which `least` knows."""
        rows = self.origin.split(queries)
        ends = rows.low.new_tensor([1, 1, 1, 0]).expand(len(queries), 4)
        columns = torch.cat([rows.low, rows.high, rows.high, rows.fine, ends], dim=1)
        taken = (columns @ every(self.columns).T).amax(dim=1)
        columns[:, -1] = taken
        score = torch.mm(columns, self.columns.T, out=room[: len(queries)])
        return score, self._off(rows.lengths, taken.abs().float())

    def _off(self, query: Lengths, taken: Float[Tensor, " Q"]) -> Float[Tensor, " Q"]:
        """By how much a query's scores may be off, by the triangle inequality and Cauchy and Schwarz.

        Let x = P a + r + s be the query's moved row, y = P b + t + u one of the gallery's. Then x·y is
        a·b + r·t, which is computed but for the products of what is fine and of what is lost, and a·(PᵀP − 1)b +
        a·Pᵀt + Pᵀr·b + s·y + (x − s)·u, which is left out. The float32 sum of K products, which are exact, is off by
        K rounding errors of the sum of their sizes.
        """
        most = self.longest
        off = self.origin.skew * query.along * most.along + query.along * most.lean + query.lean * most.along
        off = off + query.slip * most.whole + (query.whole + query.slip) * most.slip
        off = off + query.fine * most.fine + query.lost * (most.rest + most.lost) + query.rest * most.lost
        sizes = 1.02 * query.along * most.along + (query.rest + query.lost) * (most.rest + most.lost)
        off = off + self.columns.shape[1] * FLOAT32 * (sizes + self.offset + taken)
        # Of the moves, the thirds of the offset, the rounding of cosines, and of `least`.
        return CLEAR * off + 16 * FLOAT32 * (query.whole * most.whole + 1 + self.offset + taken)


Keys = FullKeys | LowKeys


def keys_of(unit: Float[Tensor, "G D"]) -> Keys:
    """A gallery of unit rows, or zeros; in bfloat16 where the device is fast at it."""
    return LowKeys.of(unit) if rounds(unit.device) else FullKeys.of(unit)


def every(rows: Float[Tensor, "N D"]) -> Float[Tensor, "n D"]:
    """At most `SAMPLE` of the rows, evenly spaced."""
    return rows[:: -(-len(rows) // SAMPLE)]


def _thirds(values: Float[Tensor, " N"]) -> BFloat16[Tensor, "N 3"]:
    """Numbers as sums of three of bfloat16, to float32's precision."""
    first = values.bfloat16()
    second = (values - first).bfloat16()
    return torch.stack([first, second, (values - first - second).bfloat16()], dim=1)
