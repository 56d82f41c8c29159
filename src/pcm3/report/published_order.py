"""Whether rows stand in the order that a paper found: pair by pair, with what lies within the interval told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from pcm3.report.paired import difference, on_store, runs_of


@dataclass(frozen=True)
class Published:
    """One column of a paper's table."""

    title: str
    """Table and column, as the page calls them."""
    metric: str
    """Of a run, whose figure it is; more is better."""
    values: Mapping[str, float]
    """Preset of a method, without ``-small`` → its figure."""


@dataclass(frozen=True)
class Order:
    """Pairs of methods that have two different figures in the paper and runs with the same seeds here."""

    pairs: int
    as_published: int
    """Of these stand as in the paper, in the mean."""
    as_published_beyond: int
    """Of these, by more than half of the 95 % interval of the difference."""
    other_way: int
    other_way_beyond: int

    @property
    def tau(self) -> float:
        """Kendall's tau-a over the pairs: 1 where all stand as published, -1 where all stand the other way."""
        return (self.as_published - self.other_way) / self.pairs

    def cells(self) -> list[str]:
        """Of a table, in the order of the fields, and tau."""
        counts = (
            self.pairs, self.as_published, self.as_published_beyond, self.other_way, self.other_way_beyond
        )  # fmt: skip
        return [*map(str, counts), f"{self.tau:+.2f}"]


def order_of(log: Mapping[str, Any], store: str, published: Published) -> Order | None:
    """Of the rows of a log on a store; None where fewer than three of them are in the paper's column.

    Each row is taken for the method of its preset. Where two rows are of one method, the first counts.
    """
    runs, rows = runs_of(log), dict[str, str]()
    for title, candidate in log["candidates"].items():
        method = (candidate.get("preset") or "").removesuffix("-small")
        if method in published.values and title in runs:
            rows.setdefault(method, title)
    if len(rows) < 3:
        return None
    signs, beyond = list[int](), list[bool]()
    for method, other in combinations(rows, 2):
        of = difference(on_store(runs[rows[method]], store), on_store(runs[rows[other]], store), published.metric)
        paper = published.values[method] - published.values[other]
        if of is not None and paper:
            signs.append(0 if not of.mean else 1 if of.mean * paper > 0 else -1)
            beyond.append(of.half is not None and abs(of.mean) > of.half)
    if not signs:
        return None
    far = [sign for sign, is_beyond in zip(signs, beyond, strict=True) if is_beyond]
    return Order(len(signs), signs.count(1), far.count(1), signs.count(-1), far.count(-1))
