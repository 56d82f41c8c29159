"""Writing a `ClipStore`: clips are appended one by one, and the store appears when the last one is on disk."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from pcm3.data.recording import UNKNOWN, Interval, Recording
from pcm3.data.store import CLIPS, FORMAT, FRAMES, NUMBERS, RECORDINGS, SIDE, STORE, ClipStore
from pcm3.errors import DataError
from pcm3.files import new_folder
from pcm3.skeleton import Layout

HEADER = 256
"""Bytes kept free before the frames for the .npy header, which is known only at the end."""


class StoreWriter:
    """Appends recordings to a store that is being written; `store_writer` gives one."""

    def __init__(self, folder: Path, layout: Layout, bodies: int, dtype: str) -> None:
        self.report: dict[str, Any] = {}
        """Goes into the store as it is when the writing ends."""
        self.frames = 0
        """F, the frames appended so far."""
        self._folder = folder
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._shape = (bodies, len(layout.joints), 3)
        self._clips, self._recordings = _Table(), _Table()
        self._file: IO[bytes] = (folder / FRAMES).open("wb")
        self._file.write(bytes(HEADER))

    def __len__(self) -> int:
        return len(self._clips.rows)

    @property
    def recordings(self) -> int:
        """Untrimmed recordings appended so far."""
        return len(self._recordings.rows)

    def add(self, recording: Recording) -> None:
        """Appends a clip, or an untrimmed recording with a clip for each of its intervals; frames are written as is.

        Raises:
            DataError: other bodies, joints or coordinates than the store's, no frames, a value that is not finite,
                an interval that is not inside, or both trimmed and untrimmed recordings.
        """
        frames = recording.frames
        if frames.ndim != 4 or frames.shape[1:] != self._shape or len(frames) == 0:
            raise DataError(f"{recording.id}: expected frames (T, {str(self._shape)[1:]}, T > 0, got {frames.shape}")
        if not np.isfinite(frames).all() or np.abs(frames).max() > np.finfo(self._dtype).max:
            raise DataError(f"{recording.id}: a coordinate is not finite in {self._dtype.name}")
        if len(self) + self.recordings > 0 and (recording.intervals is None) != (self.recordings == 0):
            raise DataError(f"{recording.id}: expected all recordings of a store trimmed, or all untrimmed, got both")
        parts = [] if recording.intervals is None else intervals_as_clips(recording)
        self._file.write(np.ascontiguousarray(frames, self._dtype).data)
        if recording.intervals is None:
            self._clips.add(recording, self.frames)
        else:
            self._recordings.add(recording, self.frames)
        for interval, part in parts:
            self._clips.add(part, self.frames + interval.start, self.recordings - 1)
        self.frames += len(frames)

    def finish(self, description: dict[str, Any]) -> None:
        """Writes the header and all that is not frames; ``description`` goes into store.json."""
        self._write_header()
        self._clips.write(self._folder / CLIPS)
        files = [FRAMES, CLIPS]
        if self.recordings:
            self._recordings.write(self._folder / RECORDINGS)
            files.append(RECORDINGS)
        description |= {
            "counts": {"clips": len(self), "recordings": self.recordings or len(self), "frames": self.frames},
            "checksums": {name: file_checksum(self._folder / name) for name in files},
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


class _Table:
    """What is known of each clip, or of each recording, as it will stand in a file of columns."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.sides: list[dict[str, int]] = []

    def add(self, clip: Recording, start: int, recording: int = UNKNOWN) -> None:
        """A row for a clip that starts at a frame of the store."""
        bodies = clip.frames.any(axis=(0, 2, 3)).tolist()
        numbers = (getattr(clip, name) for name in NUMBERS)
        self.rows.append((clip.id, start, len(clip.frames), bodies, recording, *numbers))
        self.sides.append(dict(clip.sides))

    def write(self, file: Path) -> None:
        """Writes the columns; those that hold nothing but `UNKNOWN` about recordings or sides are left out."""
        ids, start, length, bodies, recording, *numbers = zip(*self.rows, strict=True)
        columns = {
            "id": np.array([name.encode() for name in ids], np.bytes_),
            "start": np.array(start, np.int64),
            "length": np.array(length, np.int32),
            "bodies": np.array(bodies, np.bool_),
            **{name: np.array(column, np.int32) for name, column in zip(NUMBERS, numbers, strict=True)},
        }
        if max(recording) != UNKNOWN:
            columns["recording"] = np.array(recording, np.int32)
        for protocol in sorted({name for sides in self.sides for name in sides}):
            side = [sides.get(protocol, UNKNOWN) for sides in self.sides]
            columns[SIDE + protocol] = np.array(side, np.int32)
        np.savez(file, **columns)  # type: ignore[arg-type]


def intervals_as_clips(recording: Recording) -> list[tuple[Interval, Recording]]:
    """Each interval of an untrimmed recording as the clip that it is, called ``ID:FIRST-LAST`` (frames, 0-based).

    Raises:
        DataError: an interval is empty or not inside the recording.
    """
    clips: list[tuple[Interval, Recording]] = []
    taken: Counter[str] = Counter()
    for interval in recording.intervals or ():
        name = f"{recording.id}:{interval.start}-{interval.stop - 1}"
        if not 0 <= interval.start < interval.stop <= len(recording.frames):
            raise DataError(f"{name}: expected an interval of the {len(recording.frames)} frames that were recorded")
        taken[name] += 1
        clip = replace(
            recording,
            id=name if taken[name] == 1 else f"{name}.{taken[name]}",
            frames=recording.frames[interval.start : interval.stop],
            label=interval.label,
            confidence=interval.confidence,
            intervals=None,
        )
        clips.append((interval, clip))
    return clips


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
