"""A clip as a NumPy array in a ``.npy`` file: (T, V, 3), or (T, M, V, 3) for several bodies."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.recording import NPY_ERRORS
from pcm3.data.source_index import Options
from pcm3.errors import DataError

MAGIC = b"\x93NUMPY"


def read(group: FileGroup, options: Options) -> MotionFile:
    """The clip in the file; all that it says is how many joints there are.

    Raises:
        DataError: it is no such array; a pickle inside is refused.
    """
    entry = group.entries[0]
    data = entry.read()
    try:
        frames = np.load(BytesIO(data), allow_pickle=False)
    except NPY_ERRORS as error:
        pickled = "pickle" in str(error).lower() and data.startswith(MAGIC)
        detail = "it holds a pickle, which is not read" if pickled else "it is damaged, or no .npy"
        raise DataError(f"{entry.name}: expected a .npy file with an array of numbers; {detail}") from error
    if not isinstance(frames, np.ndarray) or frames.dtype.kind not in "fiu":
        raise DataError(f"{entry.name}: expected an array of numbers (T, V, 3), got {getattr(frames, 'dtype', 'none')}")
    if frames.ndim == 3:
        frames = frames[:, None]
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise DataError(f"{entry.name}: expected an array (T, V, 3) or (T, M, V, 3), got {frames.shape}")
    absent = ~frames.any(axis=-1, keepdims=True)
    frames = np.where(absent, np.nan, frames.astype(np.float64))
    return MotionFile(frames, tuple(f"joint{number}" for number in range(frames.shape[2])))
