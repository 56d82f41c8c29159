"""The files of an AGCN folder: memory-mapped arrays, pickled names and labels, lengths; each checked for what it is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import SIZE_LIMIT
from pcm3.data.names import is_name
from pcm3.data.readers.safe_pickle import load
from pcm3.data.recording import CLASSES_LIMIT, NPY_ERRORS
from pcm3.errors import DataError

Mapped = np.memmap[Any, np.dtype[Any]]
Indices = NDArray[np.int64]


def mapped(file: Path) -> Mapped:
    """The array of a ``.npy`` file, read only where it is looked at.

    Raises:
        DataError: there is none, it is no such file, or shorter than it says.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # the header of a file that Python 2 wrote is parsed more slowly
            return np.lib.format.open_memmap(file, mode="r")
    except NPY_ERRORS as error:
        raise DataError(f"{file}: expected a .npy file with a plain array: {error}") from error


def read_row(file: Path, index: int, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Row number ``index`` of an array that begins at byte ``offset`` of a file.

    It is read and not mapped, so that a file of many gigabytes does not seem to fill the memory.

    Raises:
        DataError: the file does not reach so far any more.
    """
    count = math.prod(shape)
    try:
        row = np.fromfile(file, dtype, count, offset=offset + index * count * dtype.itemsize)
        return row.reshape(shape)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: row {index} cannot be read: {error}") from error


def names_and_labels(folder: Path, part: str, clips: int) -> tuple[list[str] | None, Indices]:
    """The names of a part's clips, where the folder has them, and their labels (N,)."""
    pickled, plain = folder / f"{part}_label.pkl", folder / f"{part}_label.npy"
    if pickled.is_file():
        held = load(pickled, SIZE_LIMIT)
        if not isinstance(held, (tuple, list)) or len(held) != 2:
            raise DataError(f"{pickled}: expected a pair (names, labels), got a {type(held).__name__}")
        return _names(pickled, held[0], clips), labels_of(pickled, held[1], clips)
    if plain.is_file():
        return None, labels_of(plain, mapped(plain), clips)
    raise DataError(f"{folder}: expected the labels of {part} in {pickled.name} or {plain.name}, got neither")


def recorded_frames(folder: Path, part: str, clips: int) -> Indices | None:
    """The frames of each recording (N,), where the folder tells."""
    file = folder / f"{part}_num_frame.npy"
    return whole_numbers(file, mapped(file), clips, "frames") if file.is_file() else None


def _names(file: Path, names: Any, clips: int) -> list[str]:
    """The names, one a clip."""
    listed = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(listed, (list, tuple)) or len(listed) != clips:
        raise DataError(f"{file}: expected {clips} names, one a clip, got {_described(listed)}")
    texts = [name.decode("latin-1") if isinstance(name, bytes) else name for name in listed]
    for name in texts:
        if not is_name(name):
            raise DataError(f"{file}: expected the name of a clip, got {ascii(name)[:40]}")
    return [str(name) for name in texts]


def labels_of(file: Path, labels: Any, clips: int) -> Indices:
    """The labels (N,), from 0."""
    numbers = whole_numbers(file, labels, clips, "labels")
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= CLASSES_LIMIT):
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise DataError(f"{file}: expected labels from 0 to {CLASSES_LIMIT - 1}, got {wrong}")
    return numbers


def whole_numbers(file: Path, values: Any, clips: int, what: str) -> Indices:
    """The values (N,), one a clip: whole numbers of any type, as a list or as an array (N,) or (N, 1)."""
    if isinstance(values, (list, tuple)) and all(isinstance(value, (int, float, np.number)) for value in values):
        try:
            values = np.array([float(value) for value in values])
        except (OverflowError, TypeError) as error:
            raise DataError(f"{file}: expected {what} as whole numbers, got one that is none: {error}") from error
    if (
        not isinstance(values, np.ndarray)
        or values.dtype.kind not in "iuf"
        or values.shape not in ((clips,), (clips, 1))
    ):
        raise DataError(f"{file}: expected {clips} {what}, one a clip, got {_described(values)}")
    numbers = values.reshape(clips).astype(np.float64)
    if not (np.abs(numbers) < 2**53).all() or (numbers != np.floor(numbers)).any():
        raise DataError(f"{file}: expected {what} as whole numbers, got others")
    return numbers.astype(np.int64)


def _described(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray):
        return f"shape {value.shape} of {value.dtype}"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, Sequence) else "")
