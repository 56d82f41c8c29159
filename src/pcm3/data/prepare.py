"""From a recording to the clip that is stored and that the networks see: the table "Data to model input" in order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pcm3 import geometry
from pcm3.data.bodies import choose_bodies, repair
from pcm3.data.recording import Recording
from pcm3.errors import DataError
from pcm3.skeleton import Layout


@dataclass(frozen=True)
class Recipe:
    """How recordings are prepared."""

    layout: Layout
    bodies: int
    """M, the bodies kept."""
    normalise: bool = True
    """Whether clips are centred and turned (`geometry.normalise`)."""
    max_frames: int | None = 300
    """Frames after which a recording is cut off; None: never."""


def prepare(recording: Recording, recipe: Recipe) -> Recording | None:
    """The recording with its main bodies, repaired and normalised (T, M, V, C); None where no frame has a skeleton.

    Raises:
        DataError: its skeleton is of another layout.
    """
    frames = recording.frames[: recipe.max_frames]
    if frames.ndim != 4 or frames.shape[2] != len(recipe.layout.joints):
        wanted = len(recipe.layout.joints)
        raise DataError(f"{recording.id}: expected frames (T, M, {wanted}, C), got {frames.shape}")
    if not frames.any():
        return None
    clip = repair(choose_bodies(frames, recipe.bodies))
    if recipe.normalise:
        clip = geometry.normalise(clip, geometry.present_joints(clip), recipe.layout)
    return replace(recording, frames=clip.astype(np.float32, copy=False))
