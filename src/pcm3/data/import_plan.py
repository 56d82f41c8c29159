"""What an import is going to do, decided before the first clip is written: settings, recipe, which way is up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcm3.data.datasets import DATASETS, Dataset
from pcm3.data.gravity import Up, find_up
from pcm3.data.origin import joint_at_origin
from pcm3.data.picture import FLAT, are_flat
from pcm3.data.prepare import Recipe, RuleName
from pcm3.data.recording import Recording
from pcm3.data.source_index import SourceIndex
from pcm3.errors import ConfigError, DataError
from pcm3.retarget import plan_retarget
from pcm3.skeleton import Layout, load_layout

PROBED, PROBED_UNITS = 48, 16
"""Recordings that are looked at to tell which way is up in all of them, and what their coordinates are."""

COARSE = 0.01
"""Metres between two neighbouring numbers of half precision from which on it is told: 16 m off the origin."""

MaxFrames = int | Literal["kind"] | None
"""Frames after which a clip is cut; None: never; "kind": as published results on that kind of data need it."""


def check_settings(
    kind: str,
    dataset: Dataset,
    layout: Any,
    workers: int | None,
    max_frames: int | None,
    fill: float,
    fps: float | None,
) -> None:
    """Raises ConfigError for settings that make no sense."""
    if layout is not None and dataset.layout is not None:
        free = ", ".join(name for name, other in DATASETS.items() if other.layout is None)
        raise ConfigError(f"{kind} has the layout {dataset.layout}; a layout can be given for {free}")
    if workers is not None and workers < 1:
        raise ConfigError(f"expected at least 1 worker, got {workers}")
    check_numbers(max_frames, fill, fps)


def check_numbers(max_frames: int | None, fill: float, fps: float | None) -> None:
    """Raises ConfigError for numbers that make no sense."""
    if max_frames is not None and max_frames < 1:
        raise ConfigError(f"setting max_frames: expected at least 1 frame to keep, got {max_frames}")
    if not 0 <= fill <= 3600:
        raise ConfigError(f"setting fill: expected seconds from 0 (fill nothing), got {fill}")
    if fps is not None and not 0 < fps <= 10_000:
        raise ConfigError(f"setting fps: expected frames a second, more than 0 and up to 10000, got {fps}")


def plan(
    kind: str,
    dataset: Dataset,
    index: SourceIndex,
    normalise: bool,
    max_frames: int | None,
    trim: bool,
    fill: float,
    fps: float | None,
) -> tuple[Recipe, dict[str, Any]]:
    """How the clips are prepared and how the store describes them: the kind's word, unless the files have theirs."""
    layout = index.layout or load_layout(str(dataset.layout))
    bodies = index.bodies or dataset.bodies or 1
    recorded = float(index.fps or dataset.fps or 30.0)
    description = {
        "kind": index.kind or kind,
        "layout": layout,
        "bodies": bodies,
        "fps": fps or recorded,
        "classes": dataset.classes if index.classes is None else index.classes,
        "protocols": dataset.protocols if index.protocols is None else index.protocols,
        "normalised": normalise or index.normalised,
    }
    rotate = normalise and not index.normalised
    longest, rate = round(fill * (fps or recorded)), (fps or recorded) / recorded
    return Recipe(layout, bodies, rotate, max_frames, index.chosen, trim, fill=longest, rate=rate), description


def sample(index: SourceIndex, rule: str) -> list[Recording]:
    """Some recordings of the source, evenly, without those that cannot be read; the first of an array that streams.

    More of them, and evenly in any case, where they tell which way is up.
    """
    last, upright = len(index.clips) - 1, rule != "released"
    count = PROBED if upright else PROBED_UNITS
    places = range(count) if index.in_process and not upright else np.unique(np.linspace(0, last, count).astype(int))
    recordings = []
    for place in places:
        if 0 <= place <= last:
            with suppress(DataError):
                recordings.append(index.clips[place].read())
    return recordings


def oriented(recipe: Recipe, up: Up | None, recordings: Sequence[Recording]) -> tuple[Recipe, list[str]]:
    """The recipe with what the upright rule must know of the frame of the recordings, and that in words.

    Args:
        recipe: how recordings are prepared.
        up: what the user says is up; None: found.
        recordings: some of those that are to be prepared.

    Raises:
        ConfigError: the user says what is up, and nothing is turned by it.
    """
    if up is not None and recipe.rule == "released":
        raise ConfigError("setting up: expected it only where clips are turned upright (--rule upright)")
    if recipe.rule == "released":
        return recipe, []
    origin = joint_at_origin(recordings, recipe.layout)
    notes = [] if origin is None else [_centred_on(recipe.layout.joints[origin])]
    up_axis = up or find_up(recordings, recipe.layout)
    if recipe.rule == FLAT:
        sign = -1.0 if up_axis.direction is not None and up_axis.direction[1] < 0 else 1.0
        return replace(recipe, origin=origin, up=(0.0, sign, 0.0)), [IN_PICTURE, up_axis.text, *notes]
    return replace(recipe, origin=origin, up=up_axis.direction), [up_axis.text, *notes]


IN_PICTURE = (
    "poses in a picture, of two coordinates: each recording is scaled until its main body is 1.7 m tall or wide, the "
    "third coordinate is 0, and nothing is turned out of the plane (dimensions 2 in the store)"
)


def rule_for(given: RuleName | None, usual: RuleName, frames: Sequence[NDArray[Any]]) -> RuleName:
    """The rule by which recordings are prepared: the given one, else the usual one; of poses in a picture, flat.

    Args:
        given: by the user; None: by nobody.
        usual: for the kind of data.
        frames: of some of the recordings.

    Raises:
        ConfigError: a rule for three coordinates and recordings of two, or the other way round.
    """
    flat = are_flat(frames)
    if given is not None and (given == FLAT) != flat:
        rules, got = ("flat", "two") if flat else ("released or upright", "three")
        raise ConfigError(f"setting rule: expected {rules} for recordings of {got} coordinates, got {given}")
    return "flat" if flat else given or usual


def retargeted_recipe(recipe: Recipe, notes: list[str], to: Layout | None) -> tuple[Recipe, list[str]]:
    """The recipe for clips of another layout, if one is wanted, with the plan in one more note.

    Raises:
        DataError: the recordings cannot be retargeted to it.
    """
    if to is None or to == recipe.layout:
        return recipe, notes
    retargeting = plan_retarget(recipe.layout, to)
    return replace(recipe, retargeting=retargeting), [*notes, f"retargeted from {retargeting.summary}"]


def _centred_on(joint: str) -> str:
    return f"the joint {joint} lies at the origin in every frame: the recordings were centred on it, it is not absent"


def precision_notes(dtype: str, normalised: bool, frames: Iterable[NDArray[np.floating[Any]]]) -> list[str]:
    """Whether some of the recordings (T, M, V, 3) lie so far off that half precision spoils them."""
    if normalised or dtype != "float16":
        return []
    farthest = max((float(np.nanmax(np.abs(clip), initial=0)) for clip in frames), default=0.0)
    step = float(np.spacing(np.float16(farthest)))
    if step < COARSE:
        return []
    return [f"coordinates up to {farthest:.0f} m are {1000 * step:.0f} mm apart in float16: --dtype float32 keeps them"]


def completeness(dataset: Dataset, index: SourceIndex, recordings: int, clips: int, listed: bool) -> list[str]:
    """Whether so many recordings and clips are the whole data set, where it is known how much that is."""
    published = dataset.published
    if published is None or index.kind is not None:
        return []
    if recordings < published.recordings:
        return [f"a part of {published.name}: {recordings:,} of its {published.recordings:,} recordings"]
    if clips == published.clips:
        return [f"the whole of {published.name}: {clips:,} clips, as published"]
    unlisted = published.clips < published.recordings and not listed
    hint = "; published results skip the authors' list of missing skeletons (--skip_list FILE)" if unlisted else ""
    return [f"{published.name} has {published.clips:,} clips in published results, this store {clips:,}{hint}"]
