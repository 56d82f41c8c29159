"""An array inside an .npz, row after row: archives outgrow memory, and what is packed in them cannot be mapped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import SIZE_LIMIT, ZIP_ERRORS
from pcm3.data.readers.compressed import ALWAYS_FINE, BOMB
from pcm3.data.readers.npy_header import read_header
from pcm3.data.recording import NPY_ERRORS
from pcm3.errors import DataError

ROWS_LIMIT = 2_000_000
"""More clips than that no data set of skeletons has."""
DAMAGE = (*NPY_ERRORS, *ZIP_ERRORS)


class NpzRows:
    """The rows of one array; those that are asked for in order are read in one go, with one row in memory.

    Asking for an earlier row begins anew, and unpacks all that lies before it again.
    """

    def __init__(self, file: Path, name: str) -> None:
        """Looks at the array's header.

        Raises:
            DataError: the archive has no such array, or one that does not fit into it.
        """
        self.file, self.name = file, name
        self._stream: Any | None = None
        self._next = 0
        try:
            with ZipFile(file) as archive:
                packed = archive.getinfo(f"{name}.npy")
                with archive.open(packed) as stream:
                    self.shape, fortran, self.dtype = read_header(stream)
                    content = packed.file_size - stream.tell()
        except DAMAGE as error:
            raise DataError(f"{file}: expected an array '{name}' in an .npz file: {error}") from error
        self._row = math.prod(self.shape[1:]) * self.dtype.itemsize
        if self.shape[:1] == (0,):
            return  # nothing will be read
        if fortran or self.dtype.hasobject or not self.shape or not 0 < self._row <= SIZE_LIMIT:
            raise DataError(f"{file}: expected {name} as plain rows of numbers, got {self.shape} of {self.dtype}")
        if content != self.shape[0] * self._row or self.shape[0] > ROWS_LIMIT:
            raise DataError(f"{file}: {name} of shape {self.shape} does not fit into the {content} bytes of its member")
        if content > max(ALWAYS_FINE, BOMB * packed.compress_size):
            raise DataError(f"{file}: {name} would unpack to {BOMB} times its size or more: a zip bomb?")

    def __len__(self) -> int:
        return int(self.shape[0])

    def read(self, index: int) -> NDArray[Any]:
        """Row number ``index``.

        Raises:
            DataError: the archive is damaged.
        """
        try:
            if self._stream is None or index < self._next:
                self._open()
            while self._next < index:
                self._take()
            return np.frombuffer(self._take(), self.dtype).reshape(self.shape[1:])
        except DAMAGE as error:
            self.close()
            raise DataError(f"{self.file}: {self.name} is damaged at row {self._next}: {error}") from error

    def close(self) -> None:
        """Lets go of the file."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self.close()

    def _open(self) -> None:
        """Goes to the first row."""
        self.close()
        with ZipFile(self.file) as archive:  # the stream keeps the file open for as long as it lives
            self._stream = archive.open(f"{self.name}.npy")
        read_header(self._stream)
        self._next = 0

    def _take(self) -> bytes:
        """The bytes of the next row; after the last one the archive's checksum is compared."""
        if self._stream is None:
            raise EOFError("not open")
        data: bytes = self._stream.read(self._row)
        if len(data) < self._row:
            raise EOFError("the file ends")
        self._next += 1
        if self._next == len(self):
            self._stream.read(1)
            self.close()
        return data
