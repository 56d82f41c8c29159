"""Which clips a user means, and these as scenes: from a store, or from raw recordings."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from pcm3.data.datasets import find_dataset
from pcm3.data.gravity import find_up
from pcm3.data.recognise import AUTO, recognise
from pcm3.data.recording import Interval, Recording
from pcm3.data.source_index import Options, SourceClip
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.render.excerpt import Drawing, Excerpt
from pcm3.render.scene import Scene, make_scene
from pcm3.skeleton import load_layout

SAMPLE = 12
"""Raw recordings that are shown where none is named."""


EVERY_FRAME = Drawing()
"""All frames, of clips that are not so long that no one would wait for them."""


def store_scenes(store: ClipStore, names: Sequence[str] = (), drawing: Drawing = EVERY_FRAME) -> list[Scene]:
    """The clips, or untrimmed recordings, of those names; without names one clip of each class.

    A name is an id, the beginning of one where only one begins so, or the number of a clip (``7`` or ``#7``).

    Raises:
        DataError: no such clip; the error says which names are near. None of the frames that are asked for.
    """
    if not names:
        first = one_of_each_class(store)
        return [_clip_scene(store, index, drawing, len(first)) for index in first]
    clips = [str(name) for name in store.ids]
    recordings = [str(name) for name in store.recordings.ids] if store.recordings is not None else []
    scenes = []
    for name in names:
        place = find_name(name, clips + recordings, numbered=len(clips))
        of_clip = place < len(clips)
        scenes.append(
            _clip_scene(store, place, drawing, len(names))
            if of_clip
            else _recording_scene(store, place - len(clips), drawing, len(names))
        )
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


def _clip_scene(store: ClipStore, index: int, drawing: Drawing, clips: int) -> Scene:
    name, label = str(store.ids[index]), _class_name(int(store.label[index]), store.classes)
    excerpt = drawing.excerpt(name, int(store.length[index]), store.frames.shape[1], store.fps, clips)
    return _scene(store, int(store.start[index]), excerpt, name, label)


def _recording_scene(store: ClipStore, index: int, drawing: Drawing, clips: int) -> Scene:
    """An untrimmed recording, with what is labelled in each of its frames."""
    recordings = store.recordings
    assert recordings is not None
    name = str(recordings.ids[index])
    excerpt = drawing.excerpt(name, int(recordings.length[index]), store.frames.shape[1], store.fps, clips)
    first = store.start[store.recording == index] - recordings.start[index]
    rows = zip(first, store.length[store.recording == index], store.label[store.recording == index], strict=True)
    intervals = [Interval(int(start), int(start + length), int(label)) for start, length, label in rows]
    labels = running_labels(intervals, excerpt.frames, store.classes)
    return _scene(store, int(recordings.start[index]), excerpt, name, labels)


def _scene(store: ClipStore, start: int, excerpt: Excerpt, title: str, label: str | list[str]) -> Scene:
    """The frames of the excerpt, of a clip that starts at that frame of the store; no others are read."""
    taken = excerpt.frames
    frames = store.frames[start + taken.start : start + taken.stop : taken.step].astype(np.float32)
    about: dict[str, Any] = {"fps": store.fps, "normalised": store.normalised, "title": title, "label": label}
    if not store.normalised:
        about["up"] = store.preparation.get("up")
    return make_scene(frames, store.layout, **about, excerpt=excerpt)


def raw_scenes(
    kind: str,
    source: Path,
    names: Sequence[str] = (),
    layout: str | None = None,
    drawing: Drawing = EVERY_FRAME,
    fps: float | None = None,
) -> list[Scene]:
    """Recordings of those names as they are in the files, in the camera's frame; without names a few of them.

    Files that tell no frames a second are taken to have ``fps``, or 30.

    Raises:
        DataError: no such recording, it cannot be read, or has none of the frames that are asked for.
        ConfigError: a layout for a kind that has one.
    """
    kind = recognise(source).kind if kind == AUTO else kind
    dataset = find_dataset(kind)
    if layout is not None and dataset.layout is not None:
        raise ConfigError(
            f"{kind} has the layout {dataset.layout}; a layout can be given only for a kind that has none"
        )
    index = dataset.read(source, Options(load_layout(layout) if layout else None, fps=fps or 30.0))
    clips: Sequence[SourceClip] = index.clips
    if not clips:
        raise DataError(f"{source}: no recordings of kind {kind} there; docs/DATA.md says how they are named")
    ids = [clip.id for clip in clips]
    sample = np.unique(np.linspace(0, len(clips) - 1, min(SAMPLE, len(clips))).round().astype(int))
    places = [find_name(name, ids, numbered=len(ids)) for name in names] if names else sample.tolist()
    skeleton = index.layout or load_layout(str(dataset.layout))
    classes = dataset.classes if index.classes is None else index.classes
    rate = index.fps or dataset.fps or 30.0
    scenes = []
    for place in places:
        recording: Recording = clips[place].read()
        length, bodies = recording.frames.shape[:2]
        excerpt = drawing.excerpt(recording.id, length, bodies, rate, len(places))
        label: str | list[str] = _class_name(recording.label, classes)
        if recording.intervals is not None:
            label = running_labels(recording.intervals, excerpt.frames, classes)
        taken = recording.frames[excerpt.frames.start : excerpt.frames.stop : excerpt.frames.step]
        about: dict[str, Any] = {"fps": rate, "normalised": False, "title": recording.id, "label": label}
        if dataset.rule == "upright":
            about["up"] = find_up([recording], skeleton).direction
        scenes.append(make_scene(taken, skeleton, **about, excerpt=excerpt))
    return scenes


def running_labels(intervals: Sequence[Interval], frames: range, classes: Sequence[str]) -> list[str]:
    """For each of the frames the names of the intervals that it is in; nothing where it is in none."""
    numbers = np.array(frames)
    named: list[list[str]] = [[] for _ in frames]
    for interval in intervals:
        for place in np.flatnonzero((numbers >= interval.start) & (numbers < interval.stop)):
            named[place].append(_class_name(interval.label, classes))
    return [" + ".join(names) for names in named]


def _class_name(label: int, classes: Sequence[str]) -> str:
    if label < 0:
        return ""
    return classes[label] if label < len(classes) else f"class {label}"
