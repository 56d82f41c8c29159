"""The clips of a data set as one folder: a flat memory-mapped array of frames, and what is known of each clip.

``frames.npy`` (F, M, V, C) holds all clips one after the other; ``clips.npz`` says where each starts and what it is;
``store.json`` is everything else. Writing them is `store_writer`'s work.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import DataError
from pcm3.skeleton import Layout, layout_from_dict

FORMAT = 1
"""Version of the store's form; a store with a higher one was written by a newer pcm3."""

FRAMES, CLIPS, STORE = "frames.npy", "clips.npz", "store.json"

NUMBERS = ("label", "subject", "camera", "setup", "side")
"""The columns of numbers, one a clip; −1 (`UNKNOWN`) where the data set does not tell."""


@dataclass(frozen=True, eq=False)
class ClipStore:
    """N clips of variable length on disk; opened, none of their F frames is read yet."""

    path: Path
    frames: NDArray[np.floating[Any]]
    """(F, M, V, C) metres, memory-mapped, float32 or float16."""
    start: NDArray[np.int64]
    """(N,) the first frame of each clip in `frames`."""
    length: NDArray[np.int32]
    """(N,) the number of frames of each clip."""
    label: NDArray[np.int32]
    """(N,) class index, 0-based; −1 unknown, as in the three that follow."""
    subject: NDArray[np.int32]
    camera: NDArray[np.int32]
    setup: NDArray[np.int32]
    side: NDArray[np.int32]
    """(N,) 0 train, 1 test, where the data came already split; else −1."""
    bodies: NDArray[np.bool_]
    """(N, M) True where the clip has that body in any frame."""
    layout: Layout
    fps: float
    """Frames a second of the recordings."""
    kind: str
    """What the store was imported from, as `pcm3 import` calls it."""
    normalised: bool
    """Whether the clips stand at the origin, turned as `geometry.normalise` does."""
    classes: tuple[str, ...]
    protocols: dict[str, Any]
    """Protocol name → which clips train, as plain data; `protocol.split` reads it."""
    report: dict[str, Any]
    """What the import left out and why: ``clips``, and ``left_out`` as [file, reason] pairs."""
    checksums: dict[str, str] = field(repr=False)
    """SHA-256 of `FRAMES` and `CLIPS` as they were written."""
    _ids: NDArray[Any] = field(repr=False)

    @staticmethod
    def open(path: str | Path) -> ClipStore:
        """The store in that folder.

        Raises:
            DataError: no such folder, not a store, written by a newer pcm3, or damaged.
        """
        return _open(Path(path))

    @cached_property
    def ids(self) -> NDArray[Any]:
        """(N,) the name of each clip, as strings."""
        return np.char.decode(self._ids, "utf-8")

    @cached_property
    def checksum(self) -> str:
        """One string for the content: equal where layout, frames and all that is known of the clips are equal."""
        content = [self.checksums, self.layout.to_dict(), self.fps, self.classes, self.protocols]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.start)

    def clip(self, index: int) -> NDArray[np.float32]:
        """Clip number ``index`` as a fresh array (T, M, V, C)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of a store of {len(self)} clips")
        start = int(self.start[index])
        return self.frames[start : start + int(self.length[index])].astype(np.float32)


def _open(path: Path) -> ClipStore:
    description = _description(path)
    try:
        frames = np.load(path / FRAMES, mmap_mode="r", allow_pickle=False)
        with (path / CLIPS).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in ("id", "start", "length", "bodies", *NUMBERS)}
        store = ClipStore(
            path=path,
            frames=frames.view(np.ndarray),
            layout=layout_from_dict(description["layout"]),
            fps=float(description["fps"]),
            kind=description["kind"],
            normalised=description["normalised"],
            classes=tuple(description["classes"]),
            protocols=description["protocols"],
            report=description["report"],
            checksums=description["checksums"],
            _ids=columns.pop("id"),
            **columns,
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, AttributeError) as error:
        raise DataError(f"{path}: the store is damaged ({error}); import it again") from error
    _check_shapes(store)
    return store


def _description(path: Path) -> dict[str, Any]:
    """What store.json says, when it is one that this version reads."""
    if not path.is_dir():
        raise DataError(f"{path}: expected a store (a folder that `pcm3 import` wrote), but there is no such folder")
    try:
        description = json.loads((path / STORE).read_text(encoding="utf-8"))
        version = description["format"]
    except FileNotFoundError as error:
        raise DataError(f"{path}: not a store: it has no {STORE}; `pcm3 import` makes one") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: the store is damaged ({STORE}: {error}); import it again") from error
    if not isinstance(version, int) or version > FORMAT:
        raise DataError(
            f"{path}: written by a newer pcm3: format {version}, this one reads up to {FORMAT}; update pcm3"
        )
    return dict(description)


def _check_shapes(store: ClipStore) -> None:
    """Raises DataError unless the three files of the store speak of the same frames and clips."""
    clips = len(store)
    wrong = [name for name in ("length", *NUMBERS, "_ids", "bodies") if len(getattr(store, name)) != clips]
    end = int(store.length.sum(dtype=np.int64))
    joints = len(store.layout.joints)
    if store.frames.ndim != 4 or store.frames.shape[2] != joints or store.bodies.shape[1:] != store.frames.shape[1:2]:
        wrong.append(f"frames of shape {store.frames.shape} for {joints} joints")
    elif clips == 0 or end != len(store.frames):
        wrong.append(f"{len(store.frames)} frames for {clips} clips of {end} together")
    elif not wrong and ((store.length < 1).any() or (np.diff(store.start, append=end) != store.length).any()):
        wrong.append("clips that do not follow one another")
    if wrong:
        raise DataError(f"{store.path}: the store is damaged (wrong size: {', '.join(wrong)}); import it again")
