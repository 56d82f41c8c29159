"""Writing a `ClipStore`: clips are appended one by one, and the store appears when the last one is on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from pcm3.data.recording import Recording
from pcm3.data.store import CLIPS, FORMAT, FRAMES, NUMBERS, STORE, ClipStore
from pcm3.errors import DataError
from pcm3.files import new_folder
from pcm3.skeleton import Layout

HEADER = 256
"""Bytes kept free before the frames for the .npy header, which is known only at the end."""


class StoreWriter:
    """Appends clips to a store that is being written; `store_writer` gives one."""

    def __init__(self, folder: Path, layout: Layout, bodies: int, dtype: str) -> None:
        self.report: dict[str, Any] = {}
        """Goes into the store as it is when the writing ends."""
        self._folder = folder
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._shape = (bodies, len(layout.joints), 3)
        self._columns: dict[str, list[Any]] = {name: [] for name in ("id", "length", "bodies", *NUMBERS)}
        self._file: IO[bytes] = (folder / FRAMES).open("wb")
        self._file.write(bytes(HEADER))

    def __len__(self) -> int:
        return len(self._columns["id"])

    @property
    def frames(self) -> int:
        """F, the frames appended so far."""
        return sum(self._columns["length"])

    def add(self, clip: Recording) -> None:
        """Appends the clip; its frames (T, M, V, C) are written as they are.

        Raises:
            DataError: other bodies, joints or coordinates than the store's, no frames, or a value that is not finite.
        """
        frames = clip.frames
        if frames.ndim != 4 or frames.shape[1:] != self._shape or len(frames) == 0:
            raise DataError(f"{clip.id}: expected frames (T, {str(self._shape)[1:]}, T > 0, got {frames.shape}")
        if not np.isfinite(frames).all() or np.abs(frames).max() > np.finfo(self._dtype).max:
            raise DataError(f"{clip.id}: a coordinate is not finite in {self._dtype.name}")
        self._file.write(np.ascontiguousarray(frames, self._dtype).data)
        self._columns["id"].append(clip.id.encode())
        self._columns["length"].append(len(frames))
        self._columns["bodies"].append(frames.any(axis=(0, 2, 3)))
        for name in NUMBERS:
            self._columns[name].append(getattr(clip, name))

    def finish(self, description: dict[str, Any]) -> None:
        """Writes the header and all that is not frames; ``description`` goes into store.json."""
        self._write_header()
        length = np.array(self._columns["length"], np.int32)
        np.savez(
            self._folder / CLIPS,
            id=np.array(self._columns["id"], np.bytes_),
            start=np.cumsum(length, dtype=np.int64) - length,
            length=length,
            bodies=np.array(self._columns["bodies"], np.bool_),
            **{name: np.array(self._columns[name], np.int32) for name in NUMBERS},  # type: ignore[arg-type]
        )
        description |= {
            "counts": {"clips": len(self), "frames": self.frames},
            "checksums": {name: file_checksum(self._folder / name) for name in (FRAMES, CLIPS)},
            "report": self.report,
        }
        text = json.dumps(description, indent=1, ensure_ascii=False)
        (self._folder / STORE).write_text(text + "\n", encoding="utf-8")

    def close(self) -> None:
        """Lets go of the file of frames."""
        self._file.close()

    def _write_header(self) -> None:
        """Puts the .npy header into the bytes kept free for it, padded as the format asks, and ends the file."""
        shape = (self.frames, *self._shape)
        text = str({"descr": self._dtype.str, "fortran_order": False, "shape": shape})
        magic = np.lib.format.magic(1, 0)
        padded = text.ljust(HEADER - len(magic) - 3) + "\n"
        self._file.seek(0)
        self._file.write(magic + len(padded).to_bytes(2, "little") + padded.encode("ascii"))
        self._file.close()


@contextmanager
def store_writer(
    path: str | Path,
    *,
    layout: Layout,
    fps: float,
    bodies: int,
    kind: str,
    classes: Iterable[str] = (),
    protocols: dict[str, Any] | None = None,
    normalised: bool = True,
    dtype: str = "float32",
    overwrite: bool = False,
) -> Iterator[StoreWriter]:
    """A writer whose store stands at ``path`` when the block ends well; else ``path`` stays as it was.

    Args:
        path: the folder to write.
        layout: the skeleton of all clips.
        fps: frames a second of the recordings.
        bodies: M, the bodies a clip has room for.
        kind: what the clips come from, as `pcm3 import` calls it.
        classes: the class names, in the order of the labels.
        protocols: see `pcm3.data.protocol`.
        normalised: whether the clips that will be added stand at the origin, turned as `geometry.normalise` does.
        dtype: ``float32``, or ``float16`` for half the disk at a precision of a millimetre.
        overwrite: replace a store that is there already.

    Raises:
        DataError: ``path`` exists and ``overwrite`` is off, it is there and not a store, no clip was added, or the
            disk refused.
    """
    path = Path(path)
    if dtype not in ("float32", "float16"):
        raise DataError(f"expected dtype float32 or float16, got '{dtype}'")
    if path.exists() and overwrite and not (path / STORE).is_file():
        raise DataError(f"{path}: is there and is not a store, so it will not be overwritten")
    with new_folder(path, overwrite=overwrite) as folder:
        writer = StoreWriter(folder, layout, bodies, dtype)
        try:
            yield writer
            if len(writer) == 0:
                raise DataError(f"{path}: no clip to store")
            writer.finish(
                {
                    "format": FORMAT,
                    "kind": kind,
                    "fps": fps,
                    "normalised": normalised,
                    "classes": list(classes),
                    "protocols": protocols or {},
                    "layout": layout.to_dict(),
                }
            )
        finally:
            writer.close()


def write_store(path: str | Path, clips: Iterable[Recording], **description: Any) -> ClipStore:
    """Stores the clips as they are and opens the store; the other arguments are those of `store_writer`."""
    with store_writer(path, **description) as writer:
        for clip in clips:
            writer.add(clip)
        writer.report = {"clips": len(writer), "left_out": []}
    return ClipStore.open(path)


def file_checksum(path: Path) -> str:
    """SHA-256 of the file, as hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
