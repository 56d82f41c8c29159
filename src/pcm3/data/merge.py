"""Several stores as one, to pretrain on all of their clips: one layout, one frame rate, one way of preparing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from pcm3.data.as_recording import as_recording
from pcm3.data.protocol import split
from pcm3.data.recording import TEST, TRAIN, UNKNOWN, Changes, Recording
from pcm3.data.store import BY_SPLIT, CHANGES, ClipStore
from pcm3.data.store_writer import write_store
from pcm3.errors import ConfigError, DataError

KIND = "merged"
"""What such a store says it was imported from."""


def merge_stores(
    stores: Mapping[str, ClipStore], path: str | Path, protocol: str, *, overwrite: bool = False
) -> ClipStore:
    """Writes the clips of all stores, one store after another, into one; returns it.

    Ids are ``NAME/id``. Classes of the same name are one class. People, cameras and setups are each store's own: their
    numbers go on where those of the store before end. Intervals of untrimmed recordings become clips.

    Args:
        stores: by the names that their clips' ids begin with.
        path: the folder to write.
        protocol: of every store: a clip is on the side on which it is in its own store, so no test clip trains.
        overwrite: replace a store that is there already.

    Raises:
        ConfigError: there are no two stores.
        DataError: the stores differ in what their coordinates mean, one lacks the protocol, or a store is in the way.
    """
    if len(stores) < 2:
        raise ConfigError(f"stores: expected at least two to be merged, got {len(stores)}")
    first = next(iter(stores.values()))
    for store in stores.values():
        _check_alike(first, store)
    classes = tuple(dict.fromkeys(name for store in stores.values() for name in store.classes))
    bodies = max(store.frames.shape[1] for store in stores.values())
    return write_store(
        path,
        _clips(stores, protocol, classes, bodies),
        layout=first.layout,
        fps=first.fps,
        bodies=bodies,
        kind=KIND,
        classes=classes,
        protocols={protocol: BY_SPLIT},
        normalised=first.normalised,
        preparation=_common(stores) | {"merged": {name: store.checksum for name, store in stores.items()}},
        dtype=np.result_type(*(store.frames.dtype for store in stores.values())).name,
        overwrite=overwrite,
    )


def _common(stores: Mapping[str, ClipStore]) -> dict[str, Any]:
    """How the clips of all stores alike were prepared."""
    first, *others = (store.preparation for store in stores.values())
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _check_alike(first: ClipStore, store: ClipStore) -> None:
    """Raises DataError where the coordinates of two stores do not mean the same; says what to do about it."""
    origins = [each.preparation.get("origin") for each in (first, store)]
    meanings = [
        ("the layout", first.layout.name, store.layout.name, "pcm3 retarget writes a store in another"),
        ("the joints", first.layout, store.layout, "pcm3 retarget writes a store in another layout"),
        ("frames a second", first.fps, store.fps, "pcm3 import --fps reads at another rate"),
        ("clips", *("centred and turned" if each.normalised else "as recorded" for each in (first, store)),
         "import both with the same --normalise"),
        ("the rule", first.rule, store.rule, "import both with the same --rule"),
        ("the origin", *origins, "import both with the same --normalise"),
    ]  # fmt: skip
    for what, mine, its, remedy in meanings:
        if mine != its:
            expected = "" if what == "the joints" else f" {mine}"
            got = "others of the same name" if what == "the joints" else its
            raise DataError(f"{store.path}: expected {what}{expected}, as of {first.path}, got {got}: {remedy}")


def _clips(
    stores: Mapping[str, ClipStore], protocol: str, classes: tuple[str, ...], bodies: int
) -> Iterator[Recording]:
    """All clips of all stores, as they are."""
    begin = dict.fromkeys(("subject", "camera", "setup"), 0)
    for name, store in stores.items():
        side = np.full(len(store), UNKNOWN)
        for number, clips in zip((TRAIN, TEST), split(store, protocol), strict=True):
            side[clips] = number
        label_of = [classes.index(class_name) for class_name in store.classes]
        numbers = {column: _moved(getattr(store, column), first) for column, first in begin.items()}
        for index in range(len(store)):
            clip = as_recording(store, index)
            yield replace(
                clip,
                id=f"{name}/{clip.id}",
                frames=_with_room(clip.frames, bodies),
                label=UNKNOWN if clip.label < 0 else label_of[clip.label],
                subject=int(numbers["subject"][index]),
                camera=int(numbers["camera"][index]),
                setup=int(numbers["setup"][index]),
                splits={} if side[index] == UNKNOWN else {protocol: int(side[index])},
                scores=None if clip.scores is None else _with_room(clip.scores, bodies, np.nan),
                changes=Changes(*(int(getattr(store, column)[index]) for column in CHANGES)),
            )
        begin = {column: max(first, int(numbers[column].max()) + 1) for column, first in begin.items()}


def _moved(numbers: Int[np.ndarray, " N"], first: int) -> Int[np.ndarray, " N"]:
    """The numbers of a store after those of the stores before; who is unknown stays so."""
    return np.where(numbers == UNKNOWN, UNKNOWN, numbers + first)


def _with_room(
    of_bodies: Shaped[np.ndarray, "T M ..."], bodies: int, absent: float = 0
) -> Shaped[np.ndarray, "T B ..."]:
    """Frames or scores with as many bodies; those that are not there are `absent`."""
    missing = bodies - of_bodies.shape[1]
    room = [(0, 0), (0, missing), *[(0, 0)] * (of_bodies.ndim - 2)]
    return np.pad(of_bodies, room, constant_values=absent) if missing else of_bodies
