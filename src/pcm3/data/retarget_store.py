"""A store in another layout: every recording retargeted, then centred and turned anew where the store is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.as_recording import as_recording
from pcm3.data.audit.body_pose import presence
from pcm3.data.bodies import Bodies
from pcm3.data.picture import FLAT
from pcm3.data.prepare import RULES, Recipe, retargeted
from pcm3.data.recording import Changes, Interval, Recording
from pcm3.data.store import ClipStore
from pcm3.data.store_writer import write_store
from pcm3.retarget import Retargeting, plan_retarget
from pcm3.skeleton import Layout

TURNED_TWICE = (
    "the rule released leans with the axes of the recordings, which this store has no more: its clips differ by "
    "millimetres from those of pcm3 import --to, which turns them once"
)
UP = (0.0, 0.0, 1.0)
"""What is up in a normalised clip."""


def retarget_store(
    store: ClipStore, path: str | Path, to: Layout, *, bodies: int | None = None, overwrite: bool = False
) -> Retargeting:
    """Writes the store's clips in another layout, with the same labels, splits and names; returns the plan.

    Where the store's clips stand at the origin, the new ones do so by the same rule. Gaps are not filled again.

    Args:
        store: of clips or untrimmed recordings.
        path: the folder to write.
        to: the other layout.
        bodies: M of the new store; what is beyond it is dropped, who is not in a clip is absent. None: the store's.
        overwrite: replace a store that is there already.

    Raises:
        DataError: the layout cannot be retargeted to the other one, or a store is in the way.
    """
    plan = plan_retarget(store.layout, to)
    room = bodies or store.frames.shape[1]
    preparation = store.preparation | {
        "retargeted": plan.to_dict(),
        "origin": plan.copy_of(store.preparation.get("origin")),
    }
    write_store(
        path,
        _recordings(store, plan, room),
        layout=to,
        fps=store.fps,
        bodies=room,
        kind=store.kind,
        classes=store.classes,
        protocols=store.protocols,
        normalised=store.normalised,
        preparation=preparation,
        dtype=store.frames.dtype.name,
        overwrite=overwrite,
        notes=notes_of(store),
    )
    return plan


def notes_of(store: ClipStore) -> list[str]:
    """What a user must know of a store that this one was retargeted to, in whole lines."""
    return [TURNED_TWICE] if store.normalised and store.rule == "released" else []


def retargeting_lines(store: ClipStore) -> list[str]:
    """Where each joint of a retargeted store comes from, in whole lines; none where it is as recorded."""
    record: dict[str, Any] = store.preparation.get("retargeted") or {}
    lines = [f"{joint}: {words}" for joint, words in record.get("joints", {}).items()]
    unused = record.get("unused", [])
    return [*lines, f"not used, as their names are not known: {', '.join(unused)}"] if unused else lines


def _recordings(store: ClipStore, plan: Retargeting, room: int) -> Iterator[Recording]:
    """The clips of the store, or its untrimmed recordings with their intervals, in the other layout."""
    whole, untrimmed = store.recordings or store, store.recordings is not None
    for index in range(len(whole)):
        moved = retargeted(_as_recorded(whole, index), plan)
        present: NDArray[np.bool_] = np.asarray(moved.present)
        every = Bodies(moved.frames, present, moved.scores)
        bodies = every.in_order(np.arange(min(room, present.shape[1])), room)
        frames = _normalised(store, bodies, plan.target, untrimmed) if store.normalised else bodies.frames
        absent = int((bodies.there[..., None] & ~bodies.present).sum())
        dropped = int(whole.dropped[index]) + len(every.appearing) - len(bodies.appearing)
        changes = Changes(int(whole.cut[index]), dropped, absent, int(whole.filled[index]))
        yield replace(
            moved,
            frames=frames.astype(np.float32, copy=False),
            present=None,
            scores=bodies.scores,
            changes=changes,
            intervals=_intervals(store, index) if untrimmed else None,
        )


def _as_recorded(store: ClipStore, index: int) -> Recording:
    """A clip of the store as a reader would give it, with which joints are there."""
    recording = as_recording(store, index)
    present = presence(recording.frames, store.layout, centred=store.normalised)
    origin = store.preparation.get("origin")
    if origin is not None and not store.normalised:
        present[..., int(origin)] |= present.any(axis=2)
    return replace(recording, present=present)


def _normalised(store: ClipStore, bodies: Bodies, layout: Layout, untrimmed: bool) -> NDArray[np.floating[Any]]:
    """The bodies centred and turned by the store's rule."""
    recipe, rule = Recipe(layout, bodies.frames.shape[1], up=UP), RULES[store.rule]
    if store.rule == FLAT:  # the plane of x and z is that of a picture's x and y
        recipe = replace(recipe, up=(0.0, 1.0, 0.0))
        bodies = replace(bodies, frames=bodies.frames[..., [0, 2, 1]])
    return (rule.normalise_untrimmed if untrimmed else rule.normalise)(bodies, recipe)


def _intervals(store: ClipStore, recording: int) -> tuple[Interval, ...]:
    """The clips of an untrimmed recording, by their start."""
    assert store.recordings is not None
    first = int(store.recordings.start[recording])
    clips = np.flatnonzero(store.recording == recording)
    starts = store.start[clips] - first
    return tuple(
        Interval(
            int(start),
            int(start + store.length[clip]),
            int(store.label[clip]),
            int(store.confidence[clip]),
            str(store.ids[clip]),
        )
        for start, clip in zip(starts, clips, strict=True)
    )
