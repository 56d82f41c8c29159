"""The files of a data set as they were downloaded: a folder, a zip, a folder of zips. Zips are read in place."""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from pcm3.errors import DataError

SIZE_LIMIT = 64 * 2**20
"""Bytes; the largest recording of the known data sets has 6 MB. More than this is a mistake or an attack."""

LeftOut = tuple[str, str]
"""A file that does not become a clip, and why."""


@dataclass(frozen=True)
class Entry:
    """One file of a source, not read yet."""

    container: Path
    """The file itself, or the zip that holds it."""
    member: str | None = None
    """The file's path inside the zip."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.container.name if self.member is None else PurePosixPath(self.member).name

    def __str__(self) -> str:
        """The path as a user would look for it."""
        return str(self.container) if self.member is None else f"{self.container}/{self.member}"

    def read(self) -> bytes:
        """What the file holds.

        Raises:
            DataError: it cannot be read, or is larger than `SIZE_LIMIT` (also where a zip denies it).
        """
        try:
            if self.member is None:
                with self.container.open("rb") as file:
                    # Python makes room for all that it is asked for, and the system clears what is used of it.
                    data = file.read(min(os.fstat(file.fileno()).st_size, SIZE_LIMIT) + 1)
            else:
                with _zip(self.container).open(self.member) as packed:
                    data = packed.read(SIZE_LIMIT + 1)
        except (OSError, EOFError, KeyError, ValueError, *ZIP_ERRORS) as error:
            raise DataError(f"{self.name}: cannot be read: {error}") from error
        if len(data) > SIZE_LIMIT:
            raise DataError(f"{self.name}: expected a recording, got more than {SIZE_LIMIT // 2**20} MB")
        return data


# A damaged or encrypted zip shows itself in many ways: RuntimeError asks for a password, NotImplementedError means a
# compression that Python does not know.
ZIP_ERRORS = (BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError)


def list_entries(source: Path) -> tuple[list[Entry], list[LeftOut]]:
    """All files under ``source`` and in the zips under it, by path; and the zips or names that cannot be used.

    ``source`` is a folder, a zip, or a single file. What macOS adds to zips (``__MACOSX``, ``._*``) is passed over.

    Raises:
        DataError: ``source`` does not exist, or is a zip that cannot be read.
    """
    if source.is_file():
        return _zip_entries(source) if _is_zip(source) else ([Entry(source)], [])
    if not source.is_dir():
        raise DataError(f"{source}: expected a folder, a zip or a file with recordings, but there is none")
    entries: list[Entry] = []
    left_out: list[LeftOut] = []
    for file in sorted(walk(source)):
        if _is_zip(file):
            try:
                inside, refused = _zip_entries(file)
                entries += inside
                left_out += refused
            except DataError as error:
                left_out.append((str(file), str(error)))
        else:
            entries.append(Entry(file))
    return [entry for entry in entries if not entry.name.startswith("._")], left_out


def walk(folder: Path) -> Iterator[Path]:
    """Every regular file below the folder; links are followed, but into no folder twice."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (Path(parent, file) for file in files if Path(parent, file).is_file())


def _is_zip(file: Path) -> bool:
    return file.suffix.lower() == ".zip"


def _zip_entries(file: Path) -> tuple[list[Entry], list[LeftOut]]:
    """The files in a zip, and the names in it that lead outside it."""
    try:
        members = sorted(member.filename for member in _zip(file).infolist() if not member.is_dir())
    except (OSError, EOFError, ValueError, *ZIP_ERRORS) as error:
        raise DataError(f"{file}: expected a zip, but it cannot be read as one: {error}") from error
    entries: list[Entry] = []
    left_out: list[LeftOut] = []
    for member in dict.fromkeys(members):
        parts = PurePosixPath(member.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            left_out.append((f"{file}/{member}", "the name leads outside the zip"))
        elif "__MACOSX" not in parts.parts and not parts.name.startswith("._"):
            entries.append(Entry(file, member))
    return entries, left_out


def _zip(file: Path) -> ZipFile:
    """The open zip; kept open, because reading the directory of one with 60,000 files takes half a second."""
    status = file.stat()
    return _open_zip(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _open_zip(file: Path, _changed: int, _size: int) -> ZipFile:
    return ZipFile(file)
