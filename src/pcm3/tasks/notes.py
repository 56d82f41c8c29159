"""What a reader of an evaluation's metrics must know: what would otherwise be printed without a word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.label_flaws import few_clips, split_notes
from pcm3.data.store import ClipStore
from pcm3.encoders.spec import EncoderSpec
from pcm3.tasks.classifier import ClassifierResult
from pcm3.tasks.detection.evaluate import DetectionResult
from pcm3.tasks.detection.windows import BACKGROUND, frame_labels
from pcm3.tasks.result_table import Row
from pcm3.tasks.setup import Setup
from pcm3.tasks.subsets import labelled_subset
from pcm3.tasks.task_table import ONE_CLASS, TASKS, TRAINING, training_advice

Indices = NDArray[np.int64]

SAME_FPS = 0.05
"""Share by which rates may differ that are the same: cameras do not keep theirs exactly."""
DETECTION_FPS = 30.0
"""Frames a second for which the protocol of detection is made."""
FEW_RECORDINGS = 5
"""Test recordings below which detection says little."""


def label_notes(setup: Setup, task: str, protocol: str) -> list[str]:
    """What there is to say of the clips on both sides: classes, their number, those without a label."""
    store, of_table = setup.store, TASKS[task]
    train, test = setup.train, setup.test
    if of_table.of_recordings:
        train, test = (np.flatnonzero(np.isin(store.recording, chosen)) for chosen in (train, test))
    notes = split_notes(store, protocol, train, test) if of_table.by_label else []
    if of_table.by_label and not of_table.of_recordings:
        notes += few_clips(len(test))
    if of_table.of_recordings:
        notes += [*_few_recordings(setup), *_rate(setup), *_background(setup)]
    if "retrieval" in of_table.groups:
        notes += _neighbours(setup)
    if "subset" in of_table.groups:
        notes += [*_subsets(setup), *_same_subsets(setup)]
    return notes


def learned_nothing(setup: Setup, task: str, rows: Sequence[Row]) -> list[str]:
    """Rows of classifiers that give everything one and the same answer: their figure is that of chance."""
    of_table, label = TASKS[task], setup.store.label
    group = next((group for group in of_table.groups if group in TRAINING), None)
    if group is None or (not of_table.of_recordings and len(np.unique(label[setup.test])) < 2):
        return []
    answer = "finds no action in the test recordings" if of_table.of_recordings else ONE_CLASS
    notes = []
    for row in rows:
        results = [result for result in row.results if isinstance(result, ClassifierResult | DetectionResult)]
        same = sum(result.one_answer for result in results)
        if same:
            seeds = f", with {same} of {len(results)} seeds" if same < len(results) else ""
            notes.append(f"{row.name}: the classifier {answer}{seeds}; {training_advice(group, setup.settings)}")
    return notes


def _few_recordings(setup: Setup) -> list[str]:
    tested = len(setup.test)
    return [f"only {tested} test recording{'s' * (tested > 1)}"] if tested < FEW_RECORDINGS else []


def _rate(setup: Setup) -> list[str]:
    """That windows of so many frames are longer or shorter than they were meant to be."""
    fps = setup.store.fps
    if abs(fps - DETECTION_FPS) <= SAME_FPS * DETECTION_FPS:
        return []
    return [f"windows and smoothing are made for {DETECTION_FPS:g} frames a second, the store has {fps:g}"]


def _background(setup: Setup) -> list[str]:
    """Recordings in which something labelled happens all the time: where actions begin is not told."""
    recordings = setup.store.recordings
    assert recordings is not None
    label = frame_labels(setup.store)
    notes = []
    for name, chosen in (("training", setup.train), ("test", setup.test)):
        frames = np.concatenate(
            [
                label[recordings.start[recording] : recordings.start[recording] + recordings.length[recording]]
                for recording in chosen
            ]
        )
        if not (frames == BACKGROUND).any():
            notes.append(f"every frame of the {name} recordings is in an action, so there is no background to predict")
    return notes


def _neighbours(setup: Setup) -> list[str]:
    """Metrics of retrieval that there are too few training clips for."""
    label, wanted = setup.store.label, setup.settings.retrieval.precision_at
    missing = [k for k in wanted if k > len(setup.train)]
    notes = []
    if missing:
        names = ", ".join(f"precision_{k}" for k in missing)
        notes.append(f"{names}: left out, there are only {len(setup.train):,} training clips")
    largest = max((k for k in wanted if k not in missing), default=1)
    small = sum((label[setup.train] == tested).sum() < largest for tested in np.unique(label[setup.test]))
    if small:
        notes.append(
            f"{small:,} test class{'es have' if small > 1 else ' has'} fewer than {largest} training clips, so "
            f"precision_{largest} cannot come to 100 %"
        )
    return notes


def _subsets(setup: Setup) -> list[str]:
    """Shares of the training clips that are fewer clips than there are classes."""
    train = len(setup.train)
    classes = len(np.unique(setup.store.label[setup.train]))
    few = {share: round(share * train) for share in setup.settings.subset.shares if share * train < classes}
    if not few:
        return []
    listed = ", ".join(f"{100 * share:g} % ({max(count, 1)})" for share, count in few.items())
    return [f"shares of the {train:,} training clips that are fewer clips than there are classes ({classes}): {listed}"]


def _same_subsets(setup: Setup) -> list[str]:
    """Shares that come to the same clips, as where a class has few: their columns are the same."""
    label, chosen = setup.store.label[setup.train], setup.settings.subset
    notes = []
    for kind in chosen.kinds:
        shares: dict[bytes, list[str]] = {}
        for share in chosen.shares:
            shares.setdefault(labelled_subset(label, share, kind, 0).tobytes(), []).append(f"{100 * share:g} %")
        least = "at least one of each class is taken" if kind == "stratified" else "at least one is taken"
        notes += [
            f"{', '.join(same[:-1])} and {same[-1]} of the labels ({kind}) are the same clips: {least}"
            for same in shares.values()
            if len(same) > 1
        ]
    return notes


def run_notes(models: Sequence[Path], specs: Sequence[EncoderSpec], store: ClipStore, protocol: str) -> list[str]:
    """What there is to say of the runs: unfinished ones, pretraining that saw test clips or clips of another make."""
    notes = []
    for path, spec in zip(models, specs, strict=True):
        if not spec.provenance.finished:
            notes.append(f"{path}: the run is not finished; this is its checkpoint at step {spec.provenance.step}")
        if spec.provenance.store_checksum == store.checksum and spec.provenance.protocol != protocol:
            notes.append(
                f"{path}: was pretrained on the training side of '{spec.provenance.protocol}' of this store, so it may "
                f"have seen test clips of '{protocol}' (without labels)"
            )
        other = _other_store(spec, store)
        if other:
            notes.append(f"{path}: was pretrained on clips {other}: the metrics are of this change, too")
    return notes


def _other_store(spec: EncoderSpec, store: ClipStore) -> str:
    """How the store that the encoder was pretrained on differs from this one in what its clips mean."""
    differences = []
    if spec.fps and abs(spec.fps - store.fps) > SAME_FPS * store.fps:
        differences.append(f"of {spec.fps:g} frames a second, those of this store have {store.fps:g}")
    return "; ".join(differences)
