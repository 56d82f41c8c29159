"""What unit the coordinates of people look like, told from how large the bodies are."""

from __future__ import annotations

HUMAN = (0.5, 3.0)
"""Metres that the longest side of the box around a body measures, in the median."""

FACTORS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
"""Unit → what makes metres of it, for those in which recordings of people are usual."""

UNITS = FACTORS | {"inches": 0.0254, "feet": 0.3048}
"""The units that a user or a file may name."""

HAND = (0.08, 0.35)
"""Metres that the longest side of the box around a hand measures, in the median."""


def unit_of(size: float, likely: tuple[float, float] = HUMAN) -> str | None:
    """The unit in which bodies of that size (median of the longest sides of their boxes) are people; None: in none.

    Args:
        size: in the unknown unit.
        likely: metres between which it lies.
    """
    return next((unit for unit, factor in FACTORS.items() if likely[0] <= size * factor <= likely[1]), None)
