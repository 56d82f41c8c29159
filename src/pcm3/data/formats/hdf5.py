"""HDF5 files of strangers: only what lies in the file itself is read, and not more than a recording can be.

An HDF5 file can name other files (external links, external storage, virtual data sets) and pretend to be huge; such
parts are refused. Read by h5py, and not by pandas or PyTables, which unpickle what they find in the attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.optional import library
from pcm3.data.names import printable
from pcm3.errors import DataError

MOST_BYTES = 2**29
HOPS = 4
"""Links inside the file that are followed one after the other."""


@contextmanager
def opened(name: str, data: bytes) -> Iterator[Any]:
    """The root of the file.

    Raises:
        DataError: it is no HDF5 file, or is damaged where it is read; h5py is not installed.
    """
    h5py = library("h5py", "HDF5 files")
    try:
        with h5py.File(BytesIO(data), "r") as root:
            yield root
    except DataError:
        raise
    except Exception as error:  # the library lets out whatever its parts raise over damage
        raise DataError(f"{name}: expected an HDF5 file: {printable(str(error), 100)}") from error


def inside(root: Any, path: str, hops: int = HOPS) -> Any:
    """The group or data set at a path; None where there is none.

    Raises:
        DataError: a link to another file.
    """
    h5py = library("h5py", "HDF5 files")
    node = root
    for part in [part for part in path.split("/") if part]:
        if not isinstance(node, h5py.Group):
            return None
        link = node.get(part, getlink=True) if part in node or part in list(node) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise DataError(f"'{printable(part, 40)}' lies in another file, which is not opened")
        if isinstance(link, h5py.SoftLink):
            if hops == 0:
                raise DataError(f"'{printable(part, 40)}' is a chain of links")
            start = node.file if link.path.startswith("/") else node
            node = inside(start, link.path, hops - 1)
        else:
            node = node[part]
        if node is None:
            return None
    return node


def array(name: str, node: Any) -> NDArray[Any]:
    """The numbers, or the structured rows, of a data set.

    Raises:
        DataError: it is none, lies in other files, or is larger than a recording can be.
    """
    h5py = library("h5py", "HDF5 files")
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"{name}: expected a data set, got a {type(node).__name__}")
    if node.external or node.is_virtual:
        raise DataError(f"{name}: a data set lies in other files, which are not opened")
    if node.size is None or node.size * max(node.dtype.itemsize, 1) > MOST_BYTES or node.dtype.hasobject:
        raise DataError(f"{name}: expected up to {MOST_BYTES // 2**20} MB of plain numbers, got {node.shape}")
    return np.asarray(node[()])


def numbers(name: str, node: Any) -> NDArray[np.float64]:
    """A data set of numbers without infinity."""
    values = array(name, node)
    if values.dtype.kind not in "fiub" or np.isinf(values.astype(np.float64)).any():
        raise DataError(f"{name}: expected numbers, got {values.dtype}")
    return values.astype(np.float64)


def words(name: str, node: Any) -> tuple[str, ...]:
    """A short data set of texts."""
    h5py = library("h5py", "HDF5 files")
    if not isinstance(node, h5py.Dataset) or node.ndim != 1 or node.size > 10_000 or node.external or node.is_virtual:
        raise DataError(f"{name}: expected a list of names")
    values = node[()]
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
    if not all(text.strip() for text in texts) or len(set(texts)) < len(texts):
        raise DataError(f"{name}: expected names, no two alike")
    return tuple(text.strip() for text in texts)
