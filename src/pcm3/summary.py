"""Figures as text, and their mean and spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence


def in_digits(value: int | float) -> str:
    """As many digits as are read at a glance: 0.0312, 2.5, 450, 12,345."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def counted(count: int | float, one: str, more: str = "") -> str:
    """As in "1 clip", "2,000 clips", "2.5 minutes"; `more` where it is not `one` with an s, as bodies."""
    return f"{in_digits(count)} {one if count == 1 else more or f'{one}s'}"


def over_seeds(count: int) -> str:
    """What figures are of, as in "1 seed" or "3 seeds (mean ± sd)": of one there is no spread."""
    return counted(count, "seed") + (" (mean ± sd)" if count > 1 else "")


def mean_and_spread(values: Sequence[float], digits: int = 1) -> str:
    """``mean ± sd`` of several values (sample standard deviation); of one value, the value alone."""
    mean, spread = mean_of(values), spread_of(values)
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def mean_of(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)


def spread_of(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None of a single value."""
    if len(values) < 2:
        return None
    mean = mean_of(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def interval_of(values: Sequence[float], share: float = 0.95) -> float | None:
    """Half the confidence interval of the mean (Student's t, independent values); None of a single value."""
    spread = spread_of(values)
    if spread is None:
        return None
    from scipy.stats import t  # takes long to import

    return float(t.ppf((1 + share) / 2, len(values) - 1)) * spread / math.sqrt(len(values))
