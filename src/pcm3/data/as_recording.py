"""A clip of a store as a recording again, to be written into another store."""

from __future__ import annotations

import numpy as np

from pcm3.data.recording import UNKNOWN, Recording
from pcm3.data.store import ClipStore


def as_recording(store: ClipStore, index: int) -> Recording:
    """Clip number ``index`` with all that the store knows of it but how it was prepared."""
    frames = store.clip(index)
    start = int(store.start[index])
    return Recording(
        str(store.ids[index]),
        frames,
        label=int(store.label[index]),
        subject=int(store.subject[index]),
        camera=int(store.camera[index]),
        setup=int(store.setup[index]),
        splits={name: int(side[index]) for name, side in store.splits.items() if side[index] != UNKNOWN},
        confidence=int(store.confidence[index]),
        scores=None if store.scores is None else np.array(store.scores[start : start + len(frames)]),
    )
