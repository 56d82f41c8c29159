"""What a file of a user's own holds, before joints are brought into a layout's order and coordinates into metres."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry
from pcm3.data.recording import UNKNOWN
from pcm3.data.source_index import Options

Column = NDArray[np.float64] | list[str]
"""Of a table: numbers with NaN where a cell is empty; texts where a cell is none."""

HEAD = 4096
"""Bytes of a file by which its format is told."""
PIXELS = "pixels"
"""Unit of positions in a picture, in two dimensions: only their proportions count."""


@dataclass(frozen=True)
class MotionFile:
    """The bodies of a file, or of the files that make one recording."""

    frames: NDArray[np.floating[Any]]
    """(T, M, V, 3) in the file's unit, right-handed; a joint that is absent from a frame is NaN."""
    joints: tuple[str, ...]
    """The names of the V joints or markers."""
    parents: tuple[int, ...] | None = None
    """The joint that each joint hangs from (V), the root from itself, where the file tells."""
    layout: str | None = None
    """A layout of the package, where the format fixes it; the joints are in its order then."""
    fps: float | None = None
    """Frames a second, where the file tells."""
    unit: str | None = None
    """One of `UNITS`, or `PIXELS`, where the file or its format tells."""
    scores: NDArray[np.floating[Any]] | None = None
    """(T, M, V) how sure the source was of each joint, from 0 to 1, where it tells."""
    notes: tuple[str, ...] = ()
    """What was guessed in reading it, in whole lines."""


@dataclass(frozen=True)
class Span:
    """A labelled part of a recording."""

    start: int | float
    """Seconds, or frames of the file."""
    stop: int | float
    label: str
    in_frames: bool = False
    """Whether start and stop count frames of the file."""


@dataclass
class About:
    """What is known of a recording beside its frames; empty where nothing is."""

    label: str = ""
    subject: str = ""
    camera: str = ""
    side: int = UNKNOWN
    spans: list[Span] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class TablePart:
    """The rows of a table that are one recording."""

    table: str | None
    """The table's name, where it holds other recordings, too."""
    columns: Callable[[], Mapping[str, Column]]
    """Reads the table."""
    rows: NDArray[np.intp]
    beside: frozenset[str]
    """Columns that tell of the recording, and are not of its frames."""
    about: About
    """What they tell."""

    def read(self) -> dict[str, Column]:
        """Its rows of the table, without those columns."""
        return {
            name: [cells[row] for row in self.rows] if isinstance(cells, list) else cells[self.rows]
            for name, cells in self.columns().items()
            if name not in self.beside
        }


@dataclass(frozen=True)
class FileGroup:
    """The files of one recording, nearly always one; or a part of a table."""

    name: str
    """The name of the recording: that of the file without its ending, that of the folder, or what the table says."""
    entries: tuple[Entry, ...]
    part: TablePart | None = None
    """Of a table with columns that tell of recordings."""

    @property
    def file(self) -> str:
        """Where it lies, as a report names it."""
        whole_file = self.part is None or self.part.table is None
        return str(self.entries[0]) if whole_file else f"{self.entries[0]}:{self.name}"

    @property
    def folder(self) -> PurePosixPath:
        """The folder in which it lies; the table that holds several is one."""
        above = folder_of(self.entries[0])
        return above if self.part is None or self.part.table is None else above / self.part.table

    @property
    def begins(self) -> int:
        """Its first row in a table."""
        return 0 if self.part is None else int(self.part.rows[0])

    @property
    def own_name(self) -> str:
        """That of its file, with the ending, or its name in a table."""
        return self.entries[0].name if self.part is None or self.part.table is None else self.name


def group_per_file(entries: Sequence[Entry], suffixes: Sequence[str]) -> list[FileGroup]:
    """Each file that ends so is a recording of its own."""
    groups = []
    for entry in entries:
        ending = next((suffix for suffix in suffixes if entry.name.lower().endswith(suffix)), None)
        if ending is not None:
            groups.append(FileGroup(entry.name[: -len(ending)] or PurePosixPath(entry.name).stem, (entry,)))
    return groups


@dataclass(frozen=True)
class TableFormat:
    """How tables of a format are looked at before they are read as motion."""

    names: Callable[[Entry], list[str]]
    """The names of a table's columns; none where it has no names, or cannot be read."""
    columns: Callable[[Entry, frozenset[str]], dict[str, Column]]
    """The columns of a table; those that are named as texts, as they are written."""


@dataclass(frozen=True)
class FileFormat:
    """A format of files."""

    name: str
    """In the plural, as a sentence goes on after 'these are'."""
    suffixes: tuple[str, ...]
    """How names of such files end, in lower case."""
    matches: Callable[[str, bytes], bool]
    """Whether a file of that name whose first bytes are these is one."""
    read: Callable[[FileGroup, Options], MotionFile]
    """Reads a recording; raises DataError for what is not of the format."""
    group: Callable[[Sequence[Entry], Sequence[str]], list[FileGroup]] = field(default=group_per_file)
    """Which files make a recording."""
    pattern: str | None = None
    """How such files are named, where the format tells; a user's own pattern goes before it."""
    table: TableFormat | None = None
    """Of tables, whose columns may tell of several recordings."""


def folder_of(entry: Entry) -> PurePosixPath:
    """The folder in which the file lies, with the zip that holds it as one of its folders."""
    if entry.member is None:
        return PurePosixPath(entry.container.parent.as_posix())
    return PurePosixPath(entry.container.with_suffix("").as_posix()) / PurePosixPath(entry.member).parent
