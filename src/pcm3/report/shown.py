"""Which clips a user means, and these as scenes: from a store, or from raw recordings."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from pcm3.data.contents import Options, SourceClip
from pcm3.data.kinds import find_kind
from pcm3.data.recording import Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.report.scene import Scene, make_scene
from pcm3.skeleton import load_layout

SAMPLE = 12
"""Raw recordings that are shown where none is named."""


def store_scenes(store: ClipStore, names: Sequence[str] = ()) -> list[Scene]:
    """The clips, or untrimmed recordings, of those names; without names one clip of each class.

    Args:
        store: where they are.
        names: ids, their beginnings where only one begins so, or numbers of clips (``7`` or ``#7``).

    Raises:
        DataError: no such clip; the error says which names are near.
    """
    if not names:
        return [_clip_scene(store, index) for index in one_of_each_class(store)]
    clips = [str(name) for name in store.ids]
    recordings = [str(name) for name in store.recordings.ids] if store.recordings is not None else []
    scenes = []
    for name in names:
        place = find_name(name, clips + recordings, numbered=len(clips))
        of_clip = place < len(clips)
        scenes.append(_clip_scene(store, place) if of_clip else _recording_scene(store, place - len(clips)))
    return scenes


def one_of_each_class(store: ClipStore) -> list[int]:
    """The first clip of each class that has any, by class."""
    _, first = np.unique(store.label, return_index=True)
    return [int(index) for index in first]


def find_name(name: str, names: Sequence[str], *, numbered: int) -> int:
    """The place of the one that is meant: by its name, by its number (below ``numbered``), or by how it begins.

    Raises:
        DataError: none is, or several are.
    """
    if name in names:
        return names.index(name)
    number = name.removeprefix("#")
    if number.isascii() and number.isdigit() and int(number) < numbered:
        return int(number)
    begin = [place for place, known in enumerate(names) if known.startswith(name)]
    if len(begin) == 1:
        return begin[0]
    if begin:
        several = ", ".join(names[place] for place in begin[:4]) + (", ..." if len(begin) > 4 else "")
        raise DataError(f"'{name}' begins {len(begin)} names: {several}: give more of it")
    near = get_close_matches(name, names, n=3, cutoff=0.5) or [*names[:2], "..."]
    raise DataError(
        f"there is no clip '{name}'; the nearest of {len(names):,}: {', '.join(near)} (or a number, 0-based)"
    )


def _clip_scene(store: ClipStore, index: int) -> Scene:
    label = _class_name(int(store.label[index]), store.classes)
    return _scene(store, store.clip(index), str(store.ids[index]), label)


def _recording_scene(store: ClipStore, index: int) -> Scene:
    """An untrimmed recording, with what is labelled in each of its frames."""
    assert store.recordings is not None
    frames = store.recordings.clip(index)
    first = store.start[store.recording == index] - store.recordings.start[index]
    rows = zip(first, store.length[store.recording == index], store.label[store.recording == index], strict=True)
    intervals = [Interval(int(start), int(start + length), int(label)) for start, length, label in rows]
    labels = running_labels(intervals, len(frames), store.classes)
    return _scene(store, frames, str(store.recordings.ids[index]), labels)


def _scene(store: ClipStore, frames: Any, title: str, label: str | list[str]) -> Scene:
    normalised = store.normalised
    return make_scene(frames, store.layout, fps=store.fps, normalised=normalised, title=title, label=label)


def raw_scenes(kind: str, source: Path, names: Sequence[str] = (), layout: str | None = None) -> list[Scene]:
    """Recordings of those names as they are in the files, in the camera's frame; without names a few of them.

    Args:
        kind: one of `pcm3.data.kinds.KINDS`.
        source: folder, zip or file.
        names: as for `store_scenes`.
        layout: name or file of the skeleton, for a kind that does not fix it.

    Raises:
        DataError: no such recording, or it cannot be read.
        ConfigError: a layout for a kind that has one.
    """
    found = find_kind(kind)
    if layout is not None and found.layout is not None:
        raise ConfigError(f"{kind} has the layout {found.layout}; a layout can be given only for a kind that has none")
    contents = found.read(source, Options(load_layout(layout) if layout else None))
    clips: Sequence[SourceClip] = contents.clips
    if not clips:
        raise DataError(f"{source}: no recordings of kind {kind} there; docs/DATA.md says how they are named")
    ids = [clip.id for clip in clips]
    sample = np.unique(np.linspace(0, len(clips) - 1, min(SAMPLE, len(clips))).round().astype(int))
    places = [find_name(name, ids, numbered=len(ids)) for name in names] if names else sample.tolist()
    skeleton = contents.layout or load_layout(str(found.layout))
    classes = found.classes if contents.classes is None else contents.classes
    fps = contents.fps or found.fps or 30.0
    scenes = []
    for place in places:
        recording: Recording = clips[place].read()
        label: str | list[str] = _class_name(recording.label, classes)
        if recording.intervals is not None:
            label = running_labels(recording.intervals, len(recording.frames), classes)
        scenes.append(
            make_scene(recording.frames, skeleton, fps=fps, normalised=False, title=recording.id, label=label)
        )
    return scenes


def running_labels(intervals: Sequence[Interval], frames: int, classes: Sequence[str]) -> list[str]:
    """For each frame the names of the intervals that it is in; nothing where it is in none."""
    named: list[list[str]] = [[] for _ in range(frames)]
    for interval in intervals:
        for frame in range(interval.start, min(interval.stop, frames)):
            named[frame].append(_class_name(interval.label, classes))
    return [" + ".join(names) for names in named]


def _class_name(label: int, classes: Sequence[str]) -> str:
    if label < 0:
        return ""
    return classes[label] if label < len(classes) else f"class {label}"
