"""From a recording to what is stored and what the networks see: the table "Data to model input" in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pcm3 import geometry
from pcm3.data.bodies import choose_bodies, longest_present, repair
from pcm3.data.contents import SourceClip
from pcm3.data.recording import Recording, cut_into_clips
from pcm3.data.sources import LeftOut
from pcm3.errors import DataError
from pcm3.skeleton import Layout

MISSING = "missing skeleton: no body in any frame"


@dataclass(frozen=True)
class Recipe:
    """How recordings are prepared."""

    layout: Layout
    bodies: int
    """M, the bodies kept."""
    normalise: bool = True
    """Whether clips are centred and turned (`geometry.normalise`)."""
    max_frames: int | None = 300
    """Frames after which a clip is cut off; None: never. Untrimmed recordings are whole."""
    chosen: bool = False
    """Whether the bodies are chosen and in order already."""
    trim: bool = False
    """Whether an untrimmed recording is cut into its intervals first, which then are prepared as any clip."""


def prepare(recording: Recording, recipe: Recipe) -> list[Recording | str]:
    """What the recording becomes in a store (T, M, V, C): itself, or with `trim` its clips.

    What has no skeleton in any frame is no clip; its id stands for it.

    Raises:
        DataError: its skeleton is of another layout.
    """
    wanted = len(recipe.layout.joints)
    if recording.frames.ndim != 4 or recording.frames.shape[2] != wanted:
        raise DataError(f"{recording.id}: expected frames (T, M, {wanted}, C), got {recording.frames.shape}")
    if recording.intervals is None:
        return [_clip(recording, recipe)]
    if recipe.trim:
        return [_clip(clip, recipe) for clip in cut_into_clips(recording)]
    return _untrimmed(recording, recipe)


def _clip(clip: Recording, recipe: Recipe) -> Recording | str:
    """The clip with its main bodies, repaired and normalised."""
    frames = clip.frames[: recipe.max_frames]
    if not frames.any():
        return clip.id
    frames = repair(frames[:, : recipe.bodies] if recipe.chosen else choose_bodies(frames, recipe.bodies))
    if recipe.normalise:
        frames = geometry.normalise(frames, geometry.present_joints(frames), recipe.layout)
    return replace(clip, frames=frames.astype(np.float32, copy=False))


def _untrimmed(recording: Recording, recipe: Recipe) -> list[Recording | str]:
    """The recording with the bodies that are there longest, and the intervals in which nobody is there.

    No frame is moved, so that the other intervals stay true.
    """
    if not recording.frames.any():
        return [recording.id]
    frames = longest_present(recording.frames, recipe.bodies)
    parts = list(zip(recording.intervals or (), cut_into_clips(recording), strict=True))
    kept = tuple(interval for interval, clip in parts if clip.frames.any())
    if recipe.normalise:
        frames = geometry.normalise_untrimmed(frames, geometry.present_joints(frames), recipe.layout)
    prepared = replace(recording, frames=frames.astype(np.float32, copy=False), intervals=kept)
    return [prepared, *(clip.id for _, clip in parts if not clip.frames.any())]


def prepare_chunk(clips: Sequence[SourceClip], recipe: Recipe) -> list[list[Recording | LeftOut]]:
    """For each recording what it becomes; and what of it does not, with the reason."""
    outcomes: list[list[Recording | LeftOut]] = []
    for clip in clips:
        try:
            outcomes.append(outcome(clip.read(), recipe))
        except DataError as error:
            outcomes.append([("", str(error).removeprefix(f"{clip.id}: "))])  # the file says whose it is
    return outcomes


def outcome(recording: Recording, recipe: Recipe) -> list[Recording | LeftOut]:
    """What the recording becomes, and what of it has no skeleton or is broken: which part ("": all of it), and why."""
    results: list[Recording | LeftOut] = []
    for result in prepare(recording, recipe):
        if isinstance(result, Recording):
            results.append(result)
        else:
            results.append(("" if result == recording.id else result, MISSING))
    return [*results, *recording.lost]
