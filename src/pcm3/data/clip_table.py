"""What a store knows of each clip, gathered row by row and written as columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.recording import UNKNOWN, Recording, cut_into_clips
from pcm3.data.store import CHANGES, NUMBER_COLUMNS
from pcm3.data.store_schema import SPLIT


class ClipTable:
    """The table of a store's clips, or of its untrimmed recordings, while it grows."""

    def __init__(self) -> None:
        self.rows: list[Sequence[Any]] = []
        """One a clip, of JSON-able values: id, start, length, bodies, recording, splits, and the numbers."""

    def add(self, clip: Recording, start: int, recording: int = UNKNOWN) -> None:
        """A row for a clip that starts at that frame of the store."""
        bodies = clip.frames.any(axis=(0, 2, 3)).tolist()
        numbers = [int(getattr(clip, name)) for name in NUMBER_COLUMNS]
        numbers += [int(getattr(clip.changes, name)) for name in CHANGES]
        self.rows.append((clip.id, start, len(clip.frames), bodies, recording, dict(clip.splits), *numbers))

    def add_untrimmed(self, recording: Recording, start: int, clips: ClipTable) -> None:
        """A row for an untrimmed recording that starts at that frame of the store, and one for each of its intervals
        in the table of clips.
        """
        for interval, clip in zip(recording.intervals or (), cut_into_clips(recording), strict=True):
            clips.add(clip, start + interval.start, len(self.rows))
        self.add(recording, start)

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array a column; ``recording`` only where clips belong to recordings, and a column for each protocol whose
        split came with the data.
        """
        fields = 6 + len(NUMBER_COLUMNS) + len(CHANGES)
        ids, start, length, bodies, recording, splits, *numbers = list(zip(*self.rows, strict=True)) or [()] * fields
        columns = {
            "id": np.array([name.encode() for name in ids], np.bytes_),
            "start": np.array(start, np.int64),
            "length": np.array(length, np.int32),
            "bodies": np.array(bodies, np.bool_),
            **{
                name: np.array(column, np.int32)
                for name, column in zip((*NUMBER_COLUMNS, *CHANGES), numbers, strict=True)
            },
        }
        if max(recording, default=UNKNOWN) != UNKNOWN:
            columns["recording"] = np.array(recording, np.int32)
        for protocol in sorted({name for known in splits for name in known}):
            columns[SPLIT + protocol] = np.array([known.get(protocol, UNKNOWN) for known in splits], np.int32)
        return columns

    def write(self, file: Path) -> None:
        """Writes the columns."""
        np.savez(file, **self.columns())  # type: ignore[arg-type]
