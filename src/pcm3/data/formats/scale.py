"""Coordinates of a file as metres: its unit told by the user, by the file, or by how large the bodies are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.motion_file import PIXELS, MotionFile
from pcm3.data.picture import TALL, body_size
from pcm3.data.units import HAND, HUMAN, UNITS, unit_of
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import Layout

Frames = NDArray[np.floating[Any]]
SHORT = {"m": "metres", "cm": "centimetres", "mm": "millimetres", "in": "inches", "ft": "feet"}


@dataclass(frozen=True)
class Scale:
    """How coordinates become metres."""

    factor: float | None
    """Metres in a unit; None: each recording's bodies are made `TALL` (pictures)."""
    text: str | None
    """How that was found, in one line for the user; None where there is nothing to tell."""


def given_scale(word: str) -> float:
    """The metres in the unit that the user names, or gives as a number.

    Raises:
        ConfigError: it is neither.
    """
    if (unit := SHORT.get(word, word)) in UNITS:
        return UNITS[unit]
    try:
        factor = float(word)
        if not 0 < factor < 1e6:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"setting units: expected {', '.join(UNITS)} (m, cm, mm, in, ft), or the metres in one unit (0.0254), got "
            f"'{word}'"
        ) from None
    return factor


def find_scale(where: str, files: Sequence[MotionFile], layout: Layout, given: str | None) -> Scale:
    """How the coordinates of a source become metres.

    Args:
        where: the source, for the error.
        files: some of its recordings.
        layout: of the bodies; those of hands are small.
        given: what the user says of the unit.

    Raises:
        DataError: bodies are of no size of people in any usual unit; asks for it.
        ConfigError: no such unit.
    """
    if given is not None:
        return Scale(given_scale(given), f"a unit of the files is {given_scale(given):g} m, as given")
    unit = next((file.unit for file in files if file.unit is not None), None)
    size = _median([body_size(file.frames) for file in files])
    if unit == PIXELS:
        turned = "" if any(np.nan_to_num(file.frames[..., 2]).any() for file in files) else ", y upwards"
        return Scale(None, f"positions in a picture: each recording is scaled until its bodies are {TALL} m{turned}")
    if unit is not None:
        return Scale(UNITS[unit], None if unit == "metres" else f"the files are in {unit}; the store is in metres")
    if np.isnan(size):
        return Scale(1.0, None)
    likely = HAND if layout.name.startswith("hand") else HUMAN
    guessed = unit_of(size, likely)
    if guessed is None:
        raise DataError(
            f"{where}: in which unit are the coordinates? Bodies are {size:.3g} tall or wide in the median: give the "
            f"unit with --units, {', '.join(UNITS)}, or the metres in one (--units {1.7 / size:.2g} would make them "
            "1.7 m)"
        )
    if guessed == "metres":
        return Scale(1.0, None)
    return Scale(UNITS[guessed], f"bodies are {size:,.0f} tall or wide in the median: taken for {guessed} (--units)")


def in_metres(frames: Frames, scale: Scale) -> Frames:
    """The frames (T, M, V, 3) in metres; absent joints stay NaN."""
    if scale.factor is not None:
        return frames * scale.factor
    size = body_size(frames)
    return frames * (TALL / size) if size > 0 else frames


def _median(values: Any) -> float:
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if len(finite) else float("nan")
