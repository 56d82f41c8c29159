"""What preparing the recordings of a store has changed, in words: for import, info and check alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcm3.data.store import ClipStore


class Change(NamedTuple):
    """One kind of change."""

    name: str
    """cut, dropped or gaps."""
    text: str
    """How much was changed, in one line."""
    ids: list[str]
    """The clips, or untrimmed recordings, that were."""


def change_lines(store: ClipStore) -> list[str]:
    """A line for each kind of change that was made to any recording of the store; reads no frame."""
    return [change.text for change in changes(store)]


def changes(store: ClipStore) -> list[Change]:
    """Each kind of change that was made to any recording of the store; reads no frame."""
    recordings = store.recordings or store
    what = "clips" if store.recordings is None else "recordings"
    made = []

    def add(name: str, text: str, rows: NDArray[np.intp]) -> None:
        made.append(Change(name, text, [str(recordings.ids[row]) for row in rows]))

    cut = np.flatnonzero(recordings.cut)
    if len(cut):
        frames = int(recordings.cut.sum(dtype=np.int64))
        limit = store.preparation.get("max_frames")
        why = f"longer than {limit} frames (--max_frames null keeps all)" if limit else "nobody there"
        add(
            "cut",
            f"{len(cut):,} of {len(recordings):,} {what} are cut ({why}): "
            f"{frames:,} of {frames + len(store.frames):,} frames are cut off, e.g. of {recordings.ids[cut[0]]}",
            cut,
        )
    dropped = np.flatnonzero(recordings.dropped)
    if len(dropped):
        add(
            "dropped",
            f"{len(dropped):,} of {len(recordings):,} {what} have more than {store.frames.shape[1]} bodies: "
            f"{int(recordings.dropped.sum(dtype=np.int64)):,} bodies are dropped, e.g. of {recordings.ids[dropped[0]]}",
            dropped,
        )
    absent, filled = int(recordings.absent.sum(dtype=np.int64)), int(recordings.filled.sum(dtype=np.int64))
    if absent or filled:
        joints = int((recordings.length * recordings.bodies.sum(axis=1)).sum(dtype=np.int64)) * len(store.layout.joints)
        gaps = f"in gaps of up to {store.preparation['fill']} frames " if store.preparation.get("fill") else ""
        parts = [f"{filled:,} {gaps}are interpolated"] if filled else []
        parts += [f"{absent:,} stay absent (zeros)"] if absent else []
        add(
            "gaps",
            f"joints that were absent, counted frame by frame among about {joints:,}: {', '.join(parts)}",
            np.flatnonzero((recordings.absent > 0) | (recordings.filled > 0)),
        )
    return made
