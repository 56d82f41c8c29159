"""What unit the coordinates of people look like, told from how large the bodies are."""

from __future__ import annotations

HUMAN = (0.5, 3.0)
"""Metres that the longest side of the box around a body measures, in the median."""

FACTORS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
"""Unit → what makes metres of it."""


def unit_of(size: float) -> str | None:
    """The unit in which bodies of that size (median of the longest sides of their boxes) are people; None: in none."""
    return next((unit for unit, factor in FACTORS.items() if HUMAN[0] <= size * factor <= HUMAN[1]), None)
