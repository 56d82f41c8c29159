"""Clips as the page draws them: z up, the floor at height 0, as plain float32."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pcm3.data.store import ClipStore
from pcm3.render.scene import make_scene

MOST_FRAMES = 9_000
"""Of a clip; of a longer one the first are drawn."""


def skeleton(store: ClipStore, index: int) -> Float[np.ndarray, "T M V 3"]:
    """The joints of a clip, metres; absent ones are NaN."""
    start = int(store.start[index])
    count = min(int(store.length[index]), MOST_FRAMES)
    scene = make_scene(
        store.frames[start : start + count].astype(np.float32),
        store.layout,
        fps=store.fps,
        normalised=store.normalised,
        up=None if store.normalised else store.preparation.get("up"),
        title=str(store.ids[index]),
    )
    return np.where(scene.present[..., None], scene.points, np.nan).astype("<f4")
