"""The folder of a simulation: what may be asked for, and where it begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pcm3.data.readers.class_names import OWN_CLASSES
from pcm3.errors import DataError
from pcm3.limits import SEEDS
from pcm3.simulate.actions import ACTIONS

MOST = {"subjects": 999, "repetitions": 999, "cameras": 3, "sessions": 9999}
"""The names of the files have room for so many."""


def check_counts(counts: Mapping[str, tuple[int, int]], actions: int | None, seed: int) -> None:
    """Raises DataError unless there is something to simulate and the file names have room for it.

    `counts`: what is counted → how many are asked for, and the most that there may be.
    """
    for what, (value, most) in {
        **counts,
        "actions": (len(ACTIONS) if actions is None else actions, len(ACTIONS)),
    }.items():
        if not 1 <= value <= most:
            raise DataError(f"expected {what} from 1 to {most}, got {value}")
    if not 0 <= seed < SEEDS:
        raise DataError(f"expected a seed of 0 or more and less than 2^63, got {seed}")


def check_empty(folder: Path) -> None:
    """Raises DataError where the folder holds something, or is none."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: expected a new or an empty folder to simulate into; remove it or name another")


def begin(folder: Path, names: tuple[str, ...]) -> None:
    """Makes the folder, with the names of the actions in it.

    Raises:
        DataError: it holds something.
    """
    check_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OWN_CLASSES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
