"""A clip as a NumPy array in a ``.npy`` file: (T, V, 3), or (T, M, V, 3) for several bodies."""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.names import printable
from pcm3.data.readers.npy_header import read_header
from pcm3.data.recording import NPY_ERRORS
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.skeleton import load_layout

FREEMOCAP = (33, 543, 553)
"""Points of a body in FreeMoCap's output, alone or before hands and face: the first 33 are MediaPipe's."""
MAGIC = b"\x93NUMPY"


def read(group: FileGroup, options: Options) -> MotionFile:
    """The clip in the file; all that it says is how many joints there are.

    Raises:
        DataError: it is no such array; a pickle inside is refused.
    """
    entry = group.entries[0]
    frames = _array(entry.name, entry.read())
    if frames.ndim == 3:
        frames = frames[:, None]
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise DataError(f"{entry.name}: expected an array (T, V, 3) or (T, M, V, 3), got {frames.shape}")
    if "mediapipe" in entry.name.lower() and frames.shape[2] in FREEMOCAP:
        frames, layout = frames[:, :, : len(load_layout("mediapipe33").joints)], "mediapipe33"
    else:
        layout = None
    absent = ~frames.any(axis=-1, keepdims=True)
    frames = np.where(absent, np.nan, frames.astype(np.float64))
    names = load_layout(layout).joints if layout else tuple(f"joint{number}" for number in range(frames.shape[2]))
    return MotionFile(frames, names, layout=layout)


def _array(name: str, data: bytes) -> NDArray[Any]:
    """The array in a file; what it says of its size is compared with its bytes before anything is made."""
    opened = BytesIO(data)
    try:
        shape, fortran, dtype = read_header(opened)
        if dtype.hasobject:
            raise DataError(f"{name}: expected an array of numbers; it holds a pickle, which is not read")
        if dtype.kind not in "fiu" or dtype.itemsize * math.prod(shape) != len(data) - opened.tell():
            raise DataError(f"{name}: expected an array of numbers of the file's length, got {shape} of {dtype}")
        values = np.frombuffer(data, dtype, offset=opened.tell())
        return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
    except NPY_ERRORS as error:
        raise DataError(f"{name}: expected a .npy file: {printable(str(error), 60)}") from error
