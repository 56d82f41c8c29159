"""What a reader of an evaluation's figures must know: what would otherwise be printed without a word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.checkpoint import EncoderSpec
from pcm3.data.audit.label_flaws import side_notes
from pcm3.data.store import ClipStore
from pcm3.tasks.judges import TASKS, Setup, Task
from pcm3.tasks.windows import BACKGROUND, frame_labels

Indices = NDArray[np.int64]

FEW_RECORDINGS = 5
"""Test recordings below which detection says little."""


def label_notes(setup: Setup, task: str, protocol: str) -> list[str]:
    """What there is to say of the clips on both sides: classes, their number, those without a label."""
    store, told = setup.store, TASKS[task]
    train, test = setup.train, setup.test
    if told.of_recordings:
        train, test = (np.flatnonzero(np.isin(store.recording, side)) for side in (train, test))
    notes = side_notes(store, protocol, train, test) if told.by_label else []
    return [*notes, *_few_recordings(setup, told), *_neighbours(setup, task), *_background(setup, told)]


def _few_recordings(setup: Setup, told: Task) -> list[str]:
    tested = len(setup.test)
    if not told.of_recordings or tested >= FEW_RECORDINGS:
        return []
    return [f"only {tested} test recording{'s' * (tested > 1)}"]


def _neighbours(setup: Setup, task: str) -> list[str]:
    """Figures of retrieval that there are too few training clips for."""
    if "retrieval" not in TASKS[task].groups:
        return []
    label = setup.store.label
    wanted = setup.settings.retrieval.precision_at
    missing = [k for k in wanted if k > len(setup.train)]
    notes = []
    if missing:
        names = ", ".join(f"precision_{k}" for k in missing)
        notes.append(f"{names} left out: there are only {len(setup.train):,} training clips")
    gallery = {
        int(value): int(count) for value, count in zip(*np.unique(label[setup.train], return_counts=True), strict=True)
    }
    largest = max((k for k in wanted if k not in missing), default=1)
    small = sum(gallery.get(int(value), largest) < largest for value in np.unique(label[setup.test]))
    if small:
        notes.append(
            f"{small:,} test class{'es have' if small > 1 else ' has'} fewer than {largest} training clips, so "
            f"precision_{largest} cannot come to 100 %"
        )
    return notes


def _background(setup: Setup, told: Task) -> list[str]:
    """Recordings in which something labelled happens all the time: where actions begin is not told."""
    whole = setup.store.recordings
    if not told.of_recordings or whole is None:
        return []
    label = frame_labels(setup.store)
    notes = []
    for name, side in (("training", setup.train), ("test", setup.test)):
        frames = np.concatenate([label[whole.start[one] : whole.start[one] + whole.length[one]] for one in side])
        if not (frames == BACKGROUND).any():
            notes.append(
                f"every frame of the {name} recordings is in an action: there is no background to tell it from"
            )
    return notes


def run_notes(models: Sequence[Path], specs: Sequence[EncoderSpec], store: ClipStore, protocol: str) -> list[str]:
    """What there is to say of the runs: unfinished ones, and pretraining that saw test clips."""
    notes = []
    for path, spec in zip(models, specs, strict=True):
        if not spec.finished:
            notes.append(f"{path}: the run is not finished; this is its checkpoint at step {spec.step}")
        if spec.store_checksum == store.checksum and spec.protocol != protocol:
            notes.append(
                f"{path}: was pretrained on the training side of '{spec.protocol}' of this store, so it may have seen "
                f"test clips of '{protocol}' (without labels)"
            )
    return notes
