"""NTU RGB+D as ``txt2npy.py`` rewrites it: a ``.skeleton.npy`` a clip, a dict of arrays pickled inside a ``.npy``.

The dict has ``file_name``, ``nbodys``, ``njoints`` and, for each of up to four bodies in the order of the text file,
``skel_body0`` (T, 25, 3): zeros where there is no such body. The body ids are lost.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.readers.npy_header import read_header
from pcm3.data.readers.ntu_lines import JOINTS
from pcm3.data.readers.safe_pickle import run
from pcm3.data.recording import NPY_ERRORS, metres
from pcm3.errors import DataError

BODY = "skel_body{}"
MOST = 4


def read_npy(name: str, data: bytes) -> NDArray[np.float32]:
    """The frames (T, M, V, C) in such a file.

    Raises:
        DataError: it is no such file; the error begins with ``name``.
    """
    try:
        held = _held(data)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    bodies = [held[key] for key in map(BODY.format, range(MOST)) if key in held]
    for body in bodies:
        if not isinstance(body, np.ndarray) or body.shape != (len(bodies[0]), JOINTS, 3) or body.dtype.kind != "f":
            got = f"{body.shape} of {body.dtype}" if isinstance(body, np.ndarray) else f"a {type(body).__name__}"
            raise DataError(f"{name}: expected bodies (T, {JOINTS}, 3) of floats, all of one length, got {got}")
    if not bodies:
        raise DataError(f"{name}: expected a body 'skel_body0' at least, as txt2npy.py writes it, got none")
    return metres(name, np.stack(bodies, axis=1))


def _held(data: bytes) -> dict[str, Any]:
    """The dict in the file."""
    opened = BytesIO(data)
    try:
        _, _, dtype = read_header(opened)
    except NPY_ERRORS as error:
        raise DataError(f"expected a .npy file ({error})") from error
    if not dtype.hasobject:
        raise DataError(f"expected a pickled dict, as txt2npy.py writes it, got an array of {dtype}")
    held = run(opened, len(data), objects=True)
    held = held.flat[0] if isinstance(held, np.ndarray) and held.size == 1 else held
    if not isinstance(held, dict):
        raise DataError(f"expected a dict, as txt2npy.py writes it, got a {type(held).__name__}")
    return held
