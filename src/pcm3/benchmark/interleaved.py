"""Several things measured turn by turn, so that a slow minute of the machine is a slow minute for all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

What = TypeVar("What", bound=Hashable)
Measured = TypeVar("Measured")


def interleaved(
    goes: Mapping[What, Callable[[int], Measured]],
    turns: int,
    warm: int,
    on_progress: Callable[[], object] = lambda: None,
) -> dict[What, list[Measured]]:
    """What each measured in `turns` turns, in each of which every one has its go.

    Args:
        goes: take the number of the turn, and give what they measured.
        turns: turns that count.
        warm: turns before them that do not.
        on_progress: called after every go.
    """
    measured: dict[What, list[Measured]] = {what: [] for what in goes}
    for turn in range(warm + turns):
        for what, go in goes.items():
            value = go(turn)
            if turn >= warm:
                measured[what].append(value)
            on_progress()
    return measured


class Spread(NamedTuple):
    """Of what was measured in several turns."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int) -> Spread:
        """Median and extremes, rounded."""
        return cls(*(round(value, digits) for value in (statistics.median(values), min(values), max(values))))


def median_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of the quotients within a turn."""
    return round(statistics.median(value / other for value, other in zip(values, others, strict=True)), 2)
