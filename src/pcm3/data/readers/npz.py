"""A user's own clips in one NumPy file, of any layout; docs/DATA.md shows how to write one.

``frames`` (F, M, V, 3), or (F, V, 3) for one body, holds all clips one after the other, in metres (or 2 coordinates, in
any unit: poses in a picture); ``length`` (N,) the frames of each. What else is known of the clips may stand beside: see
`COLUMNS` and `OF_THE_FILE`.
"""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import ZIP_ERRORS
from pcm3.data.names import is_name, printable
from pcm3.data.picture import with_third, without_nan
from pcm3.data.recording import CLASSES_LIMIT, NPY_ERRORS, TEST, TRAIN, UNKNOWN, Recording, metres
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.data.store import BY_SPLIT
from pcm3.errors import DataError
from pcm3.packaged import packaged
from pcm3.skeleton import Layout, load_layout

REQUIRED = ("frames", "length")
NUMBERS = ("label", "subject", "camera", "setup")
"""(N,) whole numbers, −1 where unknown."""
COLUMNS = (*NUMBERS, "id", "split")
"""(N,) one a clip. ``id``: names, no two alike; ``split``: ``train``, ``test`` or nothing."""
OF_THE_FILE = ("classes", "fps", "layout")
"""Of the whole file: class names in the order of the labels, frames a second (30), name of a layout of the package."""
DEFAULT_FPS = 30.0

PROTOCOL = "split"
"""The protocol that ``split`` defines."""
SPLITS = {"train": TRAIN, "test": TEST, "": UNKNOWN}

Arrays = dict[str, NDArray[Any]]


def index(source: Path, options: Options) -> SourceIndex:
    """The clips in the file, in its order.

    Raises:
        DataError: the file cannot be read, or its arrays do not fit together.
    """
    arrays = _load(source)
    layout = _layout(source, arrays, options)
    frames = _frames(source, arrays, layout)
    length = _lengths(source, arrays, len(frames))
    columns = {name: _numbers(source, arrays, name, len(length)) for name in NUMBERS}
    ids = _ids(source, arrays, len(length))
    side = _splits(source, arrays, len(length))
    start = np.cumsum(length) - length
    clips = [
        SourceClip(
            ids[index],
            f"{source}: clip {index}",
            partial(
                _read, frames[start[index] : start[index] + length[index]], id=ids[index], side=int(side[index]),
                **{name: int(column[index]) for name, column in columns.items()},
            ),
        )
        for index in range(len(length))
    ]  # fmt: skip
    return SourceIndex(
        clips,
        layout=layout,
        fps=_fps(source, arrays),
        bodies=frames.shape[1],
        classes=_classes(source, arrays, columns["label"]),
        protocols={PROTOCOL: BY_SPLIT} if "split" in arrays else {},
        in_process=True,
    )


def _read(frames: NDArray[Any], id: str, side: int, *, label: int, subject: int, camera: int, setup: int) -> Recording:
    read = with_third(without_nan(id, frames)) if frames.shape[-1] == 2 else metres(id, frames)
    return Recording(id, read, label, subject, camera, setup, {PROTOCOL: side})


def _load(source: Path) -> Arrays:
    """The arrays of the file, when they have the names of this form."""
    try:
        with source.open("rb") as opened, np.load(opened, allow_pickle=False) as archive:
            for name in archive.files:
                _check_known(source, name)
            arrays = {name: _array(source, archive, name) for name in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{source}: expected a .npz file, but there is none") from error
    except IsADirectoryError as error:
        raise DataError(f"{source}: expected a .npz file, got a folder; name the file") from error
    except (*NPY_ERRORS, *ZIP_ERRORS, AttributeError) as error:
        detail = "" if "pickle" in str(error) else f": {printable(str(error), 200)}"
        raise DataError(f"{source}: expected a .npz file of plain arrays (docs/DATA.md){detail}") from error
    for name in REQUIRED:
        if name not in arrays:
            raise DataError(f"{source}: the array '{name}' is missing; docs/DATA.md shows the form")
    return arrays


def _check_known(source: Path, name: str) -> None:
    """Raises DataError for an array of a name that this form has not."""
    known = (*REQUIRED, *COLUMNS, *OF_THE_FILE)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"
        raise DataError(f"{source}: '{printable(name)}' is not an array of this form{hint}")


def _array(source: Path, archive: Any, name: str) -> NDArray[Any]:
    """One array of the file."""
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        cure = (
            "clips of different lengths are put one after the other: np.concatenate(clips)"
            if name == "frames"
            else "save it with dtype int, float or str: np.array(values, dtype=…)"
        )
        raise DataError(f"{source}: '{name}' holds Python objects, not an array of numbers or texts; {cure}") from None


def _layout(source: Path, arrays: Arrays, options: Options) -> Layout:
    """The skeleton: the user's word goes before the file's."""
    if options.layout is not None:
        return options.layout
    if "layout" not in arrays:
        raise DataError(f"{source}: which skeleton is it? Give a layout, or put its name into the file as 'layout'")
    name, known = str(arrays["layout"]), packaged("layouts", ".toml")
    if name not in known:  # a name from data leads to no other file
        raise DataError(
            f"{source}: expected layout to be one of the package ({', '.join(known)}), got '{printable(name)}'; "
            "another one is given with --layout FILE"
        )
    return load_layout(name)


def _frames(source: Path, arrays: Arrays, layout: Layout) -> NDArray[Any]:
    """The frames (F, M, V, 3 or 2)."""
    frames = arrays["frames"]
    if frames.ndim == 3:
        frames = frames[:, None]
    joints = len(layout.joints)
    fits = frames.ndim == 4 and frames.shape[1] > 0 and frames.shape[2:] in ((joints, 3), (joints, 2))
    if not fits or frames.dtype.kind != "f":
        raise DataError(
            f"{source}: expected frames (F, M, {joints}, 3) of floats in metres for layout '{layout.name}' with "
            f"{joints} joints, got {arrays['frames'].shape} of {frames.dtype}"
        )
    return frames


def _lengths(source: Path, arrays: Arrays, frames: int) -> NDArray[np.int64]:
    """The frames of each clip."""
    length = arrays["length"]
    if length.ndim != 1 or length.dtype.kind not in "iu" or len(length) == 0 or (length < 1).any():
        raise DataError(f"{source}: expected length (N,) of whole numbers of at least 1, got {_summary(length)}")
    if (length > frames).any() or length.sum(dtype=np.int64) != frames:
        raise DataError(f"{source}: length adds up to {sum(length.tolist())} frames, frames has {frames}")
    return length.astype(np.int64)


def _numbers(source: Path, arrays: Arrays, name: str, clips: int) -> NDArray[np.int64]:
    """A column of whole numbers; −1 in every clip where the file has none."""
    column = arrays.get(name, np.full(clips, UNKNOWN))
    integers = column.dtype.kind in "iu"
    if column.dtype.kind in "US":
        cure = (
            "put the names into classes, and into label the number of each from 0"
            if name == "label"
            else ("number them")
        )
        first = printable(str(column.flat[0]), 30) if column.size else ""
        raise DataError(f"{source}: expected {name} as whole numbers, got strings ('{first}', …): {cure}")
    if column.shape != (clips,) or not integers or (column < UNKNOWN).any() or (column > np.iinfo(np.int32).max).any():
        raise DataError(
            f"{source}: expected {name} ({clips},) of whole numbers from 0, or −1 for unknown, got {_summary(column)}"
        )
    return column.astype(np.int64)


def _strings(source: Path, arrays: Arrays, name: str, clips: int | None) -> list[str]:
    column = arrays[name]
    if column.ndim != 1 or column.dtype.kind != "U" or clips not in (None, len(column)):
        wanted = "K" if clips is None else clips
        raise DataError(f"{source}: expected {name} ({wanted},) of strings, got {_summary(column)}")
    values = [str(value) for value in column]
    for value in values:
        if value and not is_name(value):
            raise DataError(
                f"{source}: expected {name} as names of 1 to 200 printable characters, got '{printable(value)}'"
            )
    return values


def _ids(source: Path, arrays: Arrays, clips: int) -> list[str]:
    """The names of the clips, or numbers where the file has none."""
    if "id" not in arrays:
        return [f"{source.stem}-{index:06d}" for index in range(clips)]
    ids = _strings(source, arrays, "id", clips)
    if len(set(ids)) < clips or not all(ids):
        double = next((name for name, count in Counter(ids).items() if count > 1), "")
        raise DataError(f"{source}: expected an id for each clip, no two alike, got '{double}' more than once or empty")
    return ids


def _splits(source: Path, arrays: Arrays, clips: int) -> NDArray[np.int64]:
    """The side of the split on which each clip is."""
    if "split" not in arrays:
        return np.full(clips, UNKNOWN)
    words = _strings(source, arrays, "split", clips)
    wrong = sorted(set(words) - set(SPLITS))
    if wrong:
        raise DataError(f"{source}: expected 'train', 'test' or '' in split, got '{wrong[0]}'")
    return np.array([SPLITS[word] for word in words])


def _classes(source: Path, arrays: Arrays, label: NDArray[np.int64]) -> tuple[str, ...]:
    """The class names; numbers where the file has none."""
    needed = int(label.max()) + 1
    if needed > CLASSES_LIMIT:
        raise DataError(f"{source}: expected labels below {CLASSES_LIMIT}, got {needed - 1}")
    if "classes" not in arrays:
        return tuple(str(number) for number in range(needed))
    classes = tuple(_strings(source, arrays, "classes", None))
    if len(classes) < needed:
        raise DataError(f"{source}: label goes up to {needed - 1}, but classes has only {len(classes)} names")
    return classes


def _fps(source: Path, arrays: Arrays) -> float:
    """The frames a second."""
    fps = arrays.get("fps", np.array(DEFAULT_FPS))
    if fps.shape != () or fps.dtype.kind not in "iuf" or not 0 < fps < np.inf:
        raise DataError(f"{source}: expected fps, one number above 0, got {_summary(fps)}")
    return float(fps)


def _summary(array: NDArray[Any]) -> str:
    """An array in a few words."""
    return f"{array} ({array.dtype})" if array.size < 5 else f"shape {array.shape} of {array.dtype}"
