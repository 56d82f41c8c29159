"""The head of a ``.npy`` file."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


def read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type, as the head of a ``.npy`` says; the stream then stands at the data.

    Raises:
        ValueError, SyntaxError or another of `NPY_ERRORS`: it is no such head.
    """
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the header of a file that Python 2 wrote is parsed more slowly
        shape, fortran, dtype = read(stream)
    if any(size < 0 for size in shape):
        raise ValueError(f"a shape of {shape}")
    return shape, fortran, dtype
