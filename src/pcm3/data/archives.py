"""The files of a data set as they were downloaded: a folder, a zip, a folder of zips. Zips are read in place."""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pcm3.data.names import printable
from pcm3.errors import DataError

SIZE_LIMIT = 64 * 2**20
"""Bytes; the largest recording of the known data sets has 6 MB. More than this is a mistake or an attack."""

ENCRYPTED = 1
"""The bit that a zip's directory sets for such a file."""
COMPRESSIONS = (ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA)

Skipped = tuple[str, str]
"""A file that does not become a clip, and why."""


@dataclass(frozen=True)
class Entry:
    """One file of a source, not read yet."""

    container: Path
    """The file itself, or the zip that holds it."""
    member: str | None = None
    """The file's path inside the zip, its parts divided by ``/``."""
    packed: str | None = None
    """The path as the zip writes it; some programs divide parts by backslashes."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.container.name if self.member is None else PurePosixPath(self.member).name

    def __str__(self) -> str:
        """The path as a user would look for it."""
        return str(self.container) if self.member is None else f"{self.container}/{printable(self.member, 300)}"

    def read(self, most: int | None = None) -> bytes:
        """What the file holds, `SIZE_LIMIT` bytes at most unless told otherwise.

        Raises:
            DataError: it cannot be read, or is larger (also where a zip denies it).
        """
        most = SIZE_LIMIT if most is None else most
        data = self.head(most + 1)
        if len(data) > most:
            raise DataError(f"{self.name}: expected a recording, got more than {most // 2**20} MB: cut it into parts")
        return data

    def head(self, size: int) -> bytes:
        """Its first bytes, so many at most.

        Raises:
            DataError: it cannot be read.
        """
        try:
            if self.member is None:
                with self.container.open("rb") as file:
                    # Python makes room for all that it is asked for, and the system clears what is used of it.
                    return file.read(min(os.fstat(file.fileno()).st_size + 1, size))
            with _zip(self.container).open(self.packed or self.member) as packed:
                return packed.read(size)
        except (OSError, EOFError, KeyError, ValueError, *ZIP_ERRORS) as error:
            raise DataError(f"{self.name}: cannot be read: {printable(str(error), 200)}") from error


# A damaged or encrypted zip shows itself in many ways: RuntimeError asks for a password, NotImplementedError means a
# compression that Python does not know.
ZIP_ERRORS = (BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError)


def list_entries(source: Path) -> tuple[list[Entry], list[Skipped]]:
    """All files under ``source`` and in the zips under it, by path; and the zips or names that cannot be used.

    ``source`` is a folder, a zip, or a single file. What macOS adds to zips (``__MACOSX``, ``._*``) is passed over.
    Nothing is unpacked, and no name in a zip leads anywhere.

    Raises:
        DataError: ``source`` does not exist, or is a zip that cannot be read.
    """
    if source.is_file():
        return _zip_entries(source) if _is_zip(source) else ([Entry(source)], [])
    if not source.is_dir():
        raise DataError(f"{source}: expected a folder, a zip or a file with recordings, but there is none")
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    for file in sorted(walk(source)):
        if _is_zip(file):
            try:
                inside, refused = _zip_entries(file)
                entries += inside
                skipped += refused
            except DataError as error:
                skipped.append((str(file), str(error)))
        else:
            entries.append(Entry(file))
    return [entry for entry in entries if not entry.name.startswith("._")], skipped


def walk(folder: Path) -> Iterator[Path]:
    """Every regular file below the folder; links are followed, but into no folder twice."""
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        yield from (Path(parent, file) for file in files if Path(parent, file).is_file())


def _is_zip(file: Path) -> bool:
    return file.suffix.lower() == ".zip"


def _zip_entries(file: Path) -> tuple[list[Entry], list[Skipped]]:
    """The files in a zip, and those in it that cannot be used."""
    try:
        members = sorted(_zip(file).infolist(), key=lambda member: member.filename)
    except (OSError, EOFError, ValueError, *ZIP_ERRORS) as error:
        raise DataError(f"{file}: expected a zip, but it cannot be read as one: {error}") from error
    entries: dict[str, Entry] = {}
    taken: dict[str, ZipInfo] = {}
    skipped: list[Skipped] = []
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        entry = Entry(file, str(path), member.filename)
        if _is_skipped(member, path):
            continue
        reason = _unreadable(member, path)
        same = taken.get(str(path))
        if same is not None and (same.CRC, same.file_size) != (member.CRC, member.file_size):
            reason = "the zip holds this name more than once, with different content: which is right?"
            skipped.append((str(entries.pop(str(path), entry)), reason))
        elif reason is not None:
            skipped.append((str(entry), reason))
        elif same is None:
            entries[str(path)] = entry
        taken[str(path)] = member
    return list(entries.values()), list(dict.fromkeys(skipped))


def _is_skipped(member: ZipInfo, path: PurePosixPath) -> bool:
    """Whether it is a folder, or what macOS adds."""
    folder = member.is_dir() or (member.filename.endswith("\\") and member.file_size == 0)
    return folder or "__MACOSX" in path.parts or path.name.startswith("._")


def _unreadable(member: ZipInfo, path: PurePosixPath) -> str | None:
    """Why a file in a zip cannot be used; None if it can."""
    if path.is_absolute() or ".." in path.parts:
        return "the name leads outside the zip"
    if member.flag_bits & ENCRYPTED:
        return "it is encrypted; unpack the zip with its password first"
    if member.compress_type not in COMPRESSIONS:
        return "it is packed in a way that Python does not know (as Windows packs large files); unpack the zip first"
    if path.suffix.lower() == ".zip":
        return "a zip inside a zip; unpack the outer one first"
    return None


def _zip(file: Path) -> ZipFile:
    """The open zip; kept open, because reading the directory of one with 60,000 files takes half a second."""
    status = file.stat()
    return _open_zip(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _open_zip(file: Path, _changed: int, _size: int) -> ZipFile:
    return ZipFile(file)
