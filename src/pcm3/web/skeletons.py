"""Clips as the page draws them: z up, the floor at height 0, as plain float32; long ones in pieces."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from pcm3.data.picture import FLAT, normalise_in_plane
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.geometry import present_joints
from pcm3.normalisation import normalise, normalise_untrimmed, normalise_upright, normalise_upright_untrimmed
from pcm3.render.scene import Scene, make_scene, visible_joints

PIECE = 9_000
"""Frames that come at a time; where a longer clip stands is told by so many of its frames, at equal distances."""
KEPT = 4
"""Long clips whose stand, or whose normalised frames, are remembered."""

Frames = NDArray[np.floating[Any]]


def skeleton(
    store: ClipStore, index: int, first: int = 0, *, normalised: bool = False, untrimmed: bool = False
) -> Float[np.ndarray, "T M V 3"]:
    """The joints of a clip, metres; absent ones are NaN.

    Args:
        store: of clips.
        index: which of them.
        first: the frame from which on they come, `PIECE` of them at most.
        normalised: where the store has recordings as they are: centred and turned by its rule, as an import would.
        untrimmed: the clip is a recording in which anyone may come and go.
    """
    normalised = normalised or store.normalised
    frames, scene = _standing(store, index, normalised, untrimmed)
    if len(frames) <= PIECE:
        points, present = scene.points[first:], scene.present[first:]
    else:
        part = np.asarray(frames[first : first + PIECE], np.float32)
        points = part.astype(np.float64) @ scene.axes - scene.ground
        present = visible_joints(part, store.layout, normalised)
    return np.where(present[..., None], points, np.nan).astype("<f4")


def whole_skeleton(store: ClipStore, index: int) -> Float[np.ndarray, "T M V 3"]:
    """All frames of a clip, in one piece."""
    return np.concatenate([skeleton(store, index, first) for first in range(0, int(store.length[index]), PIECE)])


@lru_cache(maxsize=KEPT)
def _standing(store: ClipStore, index: int, normalised: bool, untrimmed: bool) -> tuple[Frames, Scene]:
    """All frames of a clip, and the scene of so many of them as tell where it stands."""
    frames = _frames(store, index) if normalised == store.normalised else _normalised(store, index, untrimmed)
    sample = np.linspace(0, len(frames) - 1, min(len(frames), PIECE)).astype(int)
    scene = make_scene(
        np.asarray(frames[sample], np.float32),
        store.layout,
        fps=store.fps,
        normalised=normalised,
        up=None if normalised else store.preparation.get("up"),
        title=str(store.ids[index]),
    )
    return frames, scene


def _frames(store: ClipStore, index: int) -> Frames:
    start = int(store.start[index])
    return store.frames[start : start + int(store.length[index])]


def _normalised(store: ClipStore, index: int, untrimmed: bool) -> Frames:
    """A clip of recordings as they are, as it would be where an import normalised it; intervals are cut out after."""
    recording = int(store.recording[index])
    if store.recordings is not None and recording != UNKNOWN:
        begin = int(store.start[index] - store.recordings.start[recording])
        return _normalised(store.recordings, recording, True)[begin : begin + int(store.length[index])]
    frames = _frames(store, index).astype(np.float32)
    present, layout, up = present_joints(frames), store.layout, store.preparation.get("up")
    if store.rule == FLAT:
        return normalise_in_plane(frames, present, layout, up, untrimmed=untrimmed)
    if store.rule == "upright":
        return (normalise_upright_untrimmed if untrimmed else normalise_upright)(frames, present, layout, up)
    return (normalise_untrimmed if untrimmed else normalise)(frames, present, layout)
