"""A file as its content: what is compressed is unpacked first, within a bound, to memory or to a nameless file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, cast

from pcm3.errors import DataError

OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
"""How compressed files begin, and what unpacks them."""

BOMB = 200
"""Times that a file may grow in unpacking: clips of NTU RGB+D, mostly zeros, grow tenfold."""
ALWAYS_FINE = 2**30
"""Bytes; what unpacks to less is no bomb."""
IN_MEMORY = 2**28
PIECE = 2**20


@contextmanager
def unpacked(file: Path, limit: int | None = None) -> Iterator[tuple[BinaryIO, int]]:
    """The open file, or what it unpacks to, and the size of that in bytes.

    Args:
        file: as it is, or compressed by gzip, bzip2 or xz, which its first bytes tell.
        limit: bytes that it may unpack to.

    Raises:
        DataError: the compressed content is damaged, or larger than allowed.
        OSError: the file cannot be read.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(6)
        opened.seek(0)
        opener = next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)
        if opener is None:
            yield opened, size
            return
        with SpooledTemporaryFile(IN_MEMORY) as content:
            allowed = max(ALWAYS_FINE, BOMB * size) if limit is None else limit
            length = _unpack(opener, opened, cast(IO[bytes], content), allowed)
            content.seek(0)
            yield cast(BinaryIO, content), length


def _unpack(opener: Any, packed: BinaryIO, content: IO[bytes], allowed: int) -> int:
    """Writes what the file unpacks to, and says how many bytes that is."""
    length = 0
    try:
        with opener(packed, "rb") as stream:
            while piece := stream.read(PIECE):
                length += len(piece)
                if length > allowed:
                    raise DataError(f"it unpacks to more than {allowed // 2**20} MB")
                content.write(piece)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
        raise DataError(f"the compressed file is damaged or cut off ({error})") from error
    return length
