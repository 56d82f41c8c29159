"""What no number among settings may be, whatever it is for: no number at all, or beyond what anybody means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

from pcm3.errors import ConfigError, brief

MOST = 10**9
"""No count is larger: more would overflow somewhere, hours later."""
SEEDS = 2**63
"""A seed is less: torch takes 64 bits, and a search adds to it."""
MOST_PROCESSES = 512
"""Processes of a machine that work side by side, and threads of one: more only stand in each other's way."""
MOST_REPEATS = 10_000
"""Seeds of a figure, turns of a measurement."""


def check_numbers(values: Mapping[str, Any]) -> None:
    """Raises ConfigError for the first number, alone or in a list, that is none, or too large for any setting.

    Args:
        values: by their names; what is no number is left alone. A name that ends in ``seed`` is a seed.
    """
    for name, value in values.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if name.rpartition(".")[2] == "seed":
                check_range(name, number, 0, SEEDS - 1)
            elif not math.isfinite(number):
                raise ConfigError(f"setting {name}: expected a finite number, got {number}")
            elif isinstance(number, int):
                check_range(name, number, -MOST, MOST)


def check_range(name: str, value: int | float | None, least: int, most: int) -> None:
    """Raises ConfigError unless the value is None or from `least` to `most`."""
    if value is None or least <= value <= most:
        return
    bounds = f"at least {least}" if -MOST < value < least else f"{least:,} to {most:,}"
    raise ConfigError(f"setting {name}: expected {bounds}, got {_short(value)}")


def check_type(name: str, value: object, types: type | tuple[type, ...], expected: str) -> None:
    """Raises ConfigError unless the value is of one of these types; true and false are no numbers."""
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        raise ConfigError(f"{name}: expected {expected}, got {brief(value)}")


def check_integer(name: str, value: object, least: int, most: int) -> None:
    """Raises ConfigError unless the value is a whole number from `least` to `most`."""
    check_type(f"setting {name}", value, Integral, "a whole number")
    check_range(name, int(str(value)), least, most)


def check_seed(value: object) -> None:
    """Raises ConfigError unless the value is a seed."""
    check_integer("seed", value, 0, SEEDS - 1)


def check_real(name: str, value: object) -> None:
    """Raises ConfigError unless the value is a number."""
    check_type(f"setting {name}", value, Real, "a number")


def check_path(name: str, value: object) -> None:
    """Raises ConfigError unless the value names a file or folder."""
    check_type(name, value, (str, PathLike), "a path")
    if value == "":  # `Path` takes it for the folder that the program runs in
        raise ConfigError(f"{name}: expected a path, got an empty word")


def folder_to_write(folder: str | PathLike[str], expected: str) -> Path:
    """The folder that a user names for what is to be saved. Raises ConfigError for what is no path, or a file."""
    check_path("folder", folder)
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise ConfigError(f"{folder}: expected {expected}, got a file")
    return place


def check_ranges(values: Any, most: Mapping[str, int], least: int = 1) -> None:
    """Raises ConfigError for the first attribute named in `most` that is a number and not from `least` to its most."""
    for name, limit in most.items():
        value = getattr(values, name)
        if not isinstance(value, str):  # a word that stands for a number, as `max_frames` of "kind"
            check_range(name, value, least, limit)


def _short(number: int | float) -> str:
    """The number, without the digits that nobody reads."""
    return str(number) if math.isfinite(number) and abs(number) < 10**20 else f"{number:.3g}"
