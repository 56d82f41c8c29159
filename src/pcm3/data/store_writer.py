"""Writing a `ClipStore`: clips are appended one by one, and the store appears when the last one is on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from pcm3.checksums import file_checksum, with_checksum
from pcm3.data.clip_table import ClipTable
from pcm3.data.names import check_name, check_protocols
from pcm3.data.picture import FLAT
from pcm3.data.progress import PROGRESS, Progress, read_progress
from pcm3.data.recording import Recording
from pcm3.data.store import CLIPS, FORMAT, FRAMES, RECORDINGS, SCORES, STORE, ClipStore
from pcm3.data.store_schema import BEFORE_CLIPS, check_fields
from pcm3.errors import DataError
from pcm3.files import new_folder
from pcm3.skeleton import Layout, layout_from_dict

HEADER = 256
"""Bytes kept free before the frames for the .npy header, which is known only at the end."""
SCORE: np.dtype[Any] = np.dtype("<f2")
"""How scores are stored."""


class StoreWriter:
    """Appends recordings to a store that is being written; `store_writer` gives one."""

    def __init__(self, folder: Path, layout: Layout, bodies: int, dtype: str, fingerprint: str) -> None:
        self.report: dict[str, Any] = {}
        """Goes into the store as it is when the writing ends."""
        self.frames = 0
        """F, the frames appended so far."""
        self.done = 0
        """Pieces of work that were done when the writing went on where a killed process had left it."""
        self.lost: list[tuple[str, str]] = []
        """What did not become a clip, and why; kept with the work that is done."""
        self._folder = folder
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._shape = (bodies, len(layout.joints), 3)
        self._clips, self._recordings = ClipTable(), ClipTable()
        self._progress = Progress(folder / PROGRESS, fingerprint)
        self._file: IO[bytes] = (folder / FRAMES).open("r+b" if self._progress.entries else "wb")
        self._scores: IO[bytes] | None = None  # opened by the first recording that has scores
        self._saved = (0, 0, 0)
        self._go_on()

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
        check_name("an id", recording.id)
        frames = recording.frames
        if frames.ndim != 4 or frames.shape[1:] != self._shape or len(frames) == 0:
            raise DataError(f"{recording.id}: expected frames (T, {str(self._shape)[1:]}, T > 0, got {frames.shape}")
        if not np.abs(frames).max() <= np.finfo(self._dtype).max:  # nor is NaN
            raise DataError(f"{recording.id}: a coordinate is not finite in {self._dtype.name}")
        if len(self) + self.recordings > 0 and (recording.intervals is None) != (self.recordings == 0):
            raise DataError(f"{recording.id}: expected all recordings of a store trimmed, or all untrimmed, got both")
        if recording.intervals is None:
            self._clips.add(recording, self.frames)
        else:
            self._recordings.add_untrimmed(recording, self.frames, self._clips)
        self._file.write(np.ascontiguousarray(frames, self._dtype).data)
        self._add_scores(recording)
        self.frames += len(frames)

    def finish(self, description: dict[str, Any]) -> None:
        """Writes the header and all that is not frames; ``description`` goes into store.json."""
        _end(self._file, self._dtype, (self.frames, *self._shape))
        if self._scores is not None:
            _end(self._scores, SCORE, (self.frames, *self._shape[:2]))
        self._clips.write(self._folder / CLIPS)
        files = [FRAMES, CLIPS] + ([SCORES] if self._scores is not None else [])
        if self.recordings:
            self._recordings.write(self._folder / RECORDINGS)
            files.append(RECORDINGS)
        description |= {
            "counts": {"clips": len(self), "recordings": self.recordings or len(self), "frames": self.frames},
            "checksums": {name: file_checksum(self._folder / name) for name in files},
            "report": self.report,
        }
        self._progress.remove()
        text = json.dumps(with_checksum(description), indent=1, ensure_ascii=False)
        (self._folder / STORE).write_text(text + "\n", encoding="utf-8")

    def save(self, done: int) -> None:
        """Has the disk hold all that was appended, so that a process that is killed after this can go on from here.

        Args:
            done: pieces of work that are done; the writer that goes on will have it as its `done`.
        """
        for file in (self._file, self._scores):
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
        clips, recordings, lost = self._saved
        self._progress.save(
            {
                "done": done,
                "frames": self.frames,
                "clips": self._clips.rows[clips:],
                "recordings": self._recordings.rows[recordings:],
                "lost": self.lost[lost:],
            }
        )
        self._saved = (len(self), self.recordings, len(self.lost))

    def _go_on(self) -> None:
        """Takes in what was saved, and cuts off the frames that were written after it."""
        for entry in self._progress.entries:
            self._clips.rows += entry["clips"]
            self._recordings.rows += entry["recordings"]
            self.lost += [(file, reason) for file, reason in entry["lost"]]
            self.done, self.frames = entry["done"], entry["frames"]
        self._saved = (len(self), self.recordings, len(self.lost))
        self._file.truncate(HEADER + self.frames * int(np.prod(self._shape)) * self._dtype.itemsize)
        self._file.seek(0, os.SEEK_END)
        if self._progress.entries and (self._folder / SCORES).exists():
            self._scores = (self._folder / SCORES).open("r+b")
            self._scores.truncate(HEADER + self.frames * self._score_bytes)
            self._scores.seek(0, os.SEEK_END)

    @property
    def _score_bytes(self) -> int:
        """Of a frame."""
        return self._shape[0] * self._shape[1] * SCORE.itemsize

    def _add_scores(self, recording: Recording) -> None:
        """Appends the scores of the recording; NaN where it has none and others have."""
        shape = recording.frames.shape[:3]
        if recording.scores is not None and recording.scores.shape != shape:
            raise DataError(f"{recording.id}: expected scores {shape} as the frames have, got {recording.scores.shape}")
        if recording.scores is not None and self._scores is None:
            self._scores = (self._folder / SCORES).open("wb")
            self._scores.write(bytes(HEADER))
            unknown = np.full(self._shape[:2], np.nan, SCORE).tobytes()
            for _ in range(self.frames):
                self._scores.write(unknown)
        if self._scores is not None:
            scores = np.full(shape, np.nan, SCORE) if recording.scores is None else recording.scores
            self._scores.write(np.ascontiguousarray(scores, SCORE).data)

    def close(self) -> None:
        """Lets go of the files."""
        self._file.close()
        if self._scores is not None:
            self._scores.close()


def _end(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Puts the .npy header into the bytes kept free for it, padded as the format asks, and ends the file."""
    text = str({"descr": dtype.str, "fortran_order": False, "shape": shape})
    magic = np.lib.format.magic(1, 0)
    padded = text.ljust(HEADER - len(magic) - 3) + "\n"
    file.seek(0)
    file.write(magic + len(padded).to_bytes(2, "little") + padded.encode("ascii"))
    file.close()


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
    preparation: dict[str, Any] | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    fingerprint: str = "",
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
        normalised: whether the clips that will be added stand at the origin, turned by a rule of `normalisation`.
        preparation: how the clips were made of what was recorded, see `pcm3.data.prepare.Recipe.to_dict`.
        dtype: ``float32``, or ``float16`` for half the disk at a precision of a millimetre.
        overwrite: replace a store that is there already.
        fingerprint: what is being written from what, so that the writer goes on from the last `StoreWriter.save` of a
            killed process that wrote the same; empty: it begins anew.

    Raises:
        DataError: ``path`` exists and ``overwrite`` is off, it is there and not a store, a class or protocol has a name
            that is none, a field of the description cannot be, no clip was added, or the disk refused.
    """
    path = Path(path)
    if dtype not in ("float32", "float16"):
        raise DataError(f"expected dtype float32 or float16, got '{dtype}'")
    classes = list(classes)
    for name in classes:
        check_name("class names", name)
    check_name("a kind", kind)
    check_protocols(protocols or {})
    if path.exists() and overwrite and not (path / STORE).is_file():
        raise DataError(f"{path}: is there and is not a store, so it will not be overwritten")
    description = {
        "format": FORMAT,
        "kind": kind,
        "fps": fps,
        "normalised": normalised,
        "dimensions": 2 if (preparation or {}).get("rule") == FLAT else 3,
        "preparation": preparation or {},
        "classes": classes,
        "protocols": protocols or {},
        "layout": layout.to_dict(),
    }
    check_fields(description, str(path), BEFORE_CLIPS)
    layout_from_dict(description["layout"], f"{path}, layout")
    going_on = (lambda folder: bool(read_progress(folder / PROGRESS, fingerprint))) if fingerprint else None
    with new_folder(path, overwrite=overwrite, going_on=going_on) as folder:
        writer = StoreWriter(folder, layout, bodies, dtype, fingerprint)
        try:
            yield writer
            if len(writer) == 0:
                raise DataError(f"{path}: no clip to store")
            writer.finish(description)
        finally:
            writer.close()


def write_store(
    path: str | Path, clips: Iterable[Recording], *, notes: Sequence[str] = (), **description: Any
) -> ClipStore:
    """Stores the clips as they are and opens the store; the other arguments are those of `store_writer`.

    Args:
        path: the folder to write.
        clips: in the order of the store.
        notes: what a user must know of it, for its report.
        description: see `store_writer`.
    """
    with store_writer(path, **description) as writer:
        for clip in clips:
            writer.add(clip)
        writer.report = {"clips": len(writer), "left_out": []} | ({"notes": [*notes]} if notes else {})
    return ClipStore.open(path)
