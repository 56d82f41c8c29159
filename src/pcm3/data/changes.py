"""What preparing the recordings of a store has changed, in words: for import, info and check alike."""

from __future__ import annotations

import numpy as np

from pcm3.data.store import ClipStore


def change_lines(store: ClipStore) -> list[str]:
    """A line for each kind of change that was made to any recording of the store; reads no frame."""
    whole = store.recordings or store
    what = "clips" if store.recordings is None else "recordings"
    lines = []
    cut = np.flatnonzero(whole.cut)
    if len(cut):
        frames = int(whole.cut.sum(dtype=np.int64))
        limit = store.preparation.get("max_frames")
        why = f"longer than {limit} frames (--max_frames null keeps all)" if limit else "nobody there"
        lines.append(
            f"{len(cut):,} of {len(whole):,} {what} are cut ({why}): "
            f"{frames:,} of {frames + len(store.frames):,} frames are left out, e.g. of {whole.ids[cut[0]]}"
        )
    dropped = np.flatnonzero(whole.dropped)
    if len(dropped):
        lines.append(
            f"{len(dropped):,} of {len(whole):,} {what} have more than {store.frames.shape[1]} bodies: "
            f"{int(whole.dropped.sum(dtype=np.int64)):,} bodies are left out, e.g. of {whole.ids[dropped[0]]}"
        )
    absent, filled = int(whole.absent.sum(dtype=np.int64)), int(whole.filled.sum(dtype=np.int64))
    if absent or filled:
        joints = int((whole.length * whole.bodies.sum(axis=1)).sum(dtype=np.int64)) * len(store.layout.joints)
        gaps = f"gaps of up to {store.preparation['fill']} frames" if store.preparation.get("fill") else "gaps"
        lines.append(
            f"joints that were absent, counted frame by frame among about {joints:,}: {filled:,} in {gaps} are "
            f"interpolated, {absent:,} stay absent (zeros)"
        )
    return lines
