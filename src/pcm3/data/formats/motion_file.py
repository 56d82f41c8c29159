"""What a file of a user's own holds, before joints are brought into a layout's order and coordinates into metres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry
from pcm3.data.source_index import Options

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
class FileGroup:
    """The files of one recording; nearly always one."""

    name: str
    """The name of the recording: that of the file without its ending, or that of the folder."""
    entries: tuple[Entry, ...]

    @property
    def file(self) -> str:
        """Where it lies, as a report names it."""
        return str(self.entries[0])


def one_each(entries: Sequence[Entry], suffixes: Sequence[str]) -> list[FileGroup]:
    """Each file that ends so is a recording of its own."""
    groups = []
    for entry in entries:
        ending = next((suffix for suffix in suffixes if entry.name.lower().endswith(suffix)), None)
        if ending is not None:
            groups.append(FileGroup(entry.name[: -len(ending)] or PurePosixPath(entry.name).stem, (entry,)))
    return groups


@dataclass(frozen=True)
class FileFormat:
    """A format of files."""

    name: str
    """In the plural, as a sentence goes on after 'these are'."""
    suffixes: tuple[str, ...]
    """How names of such files end, in lower case."""
    looks_so: Callable[[str, bytes], bool]
    """Whether a file of that name whose first bytes are these is one."""
    read: Callable[[FileGroup, Options], MotionFile]
    """Reads a recording; raises DataError for what is not of the format."""
    group: Callable[[Sequence[Entry], Sequence[str]], list[FileGroup]] = field(default=one_each)
    """Which files make a recording."""
    pattern: str | None = None
    """How such files are named, where the format tells; a user's own pattern goes before it."""


def folder_of(entry: Entry) -> PurePosixPath:
    """The folder in which the file lies, with the zip that holds it as one of its folders."""
    if entry.member is None:
        return PurePosixPath(entry.container.parent.as_posix())
    return PurePosixPath(entry.container.with_suffix("").as_posix()) / PurePosixPath(entry.member).parent
