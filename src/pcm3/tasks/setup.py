"""What a task is done on: a store's clips, recordings or windows on a device, split into training and test side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pcm3.clips import ClipBank
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import DataError
from pcm3.settings.tasks import TaskSettings
from pcm3.tasks.classifier import LabelledClips
from pcm3.tasks.detection.evaluate import LabelledRecordings
from pcm3.tasks.detection.windows import RecordingBank, untrimmed
from pcm3.tasks.prediction.windows import MotionBank

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Setup:
    """What encoders of one shape are evaluated on."""

    store: ClipStore
    spec: EncoderSpec
    train: Indices
    """Of clips, or of recordings where the task is about these."""
    test: Indices
    settings: TaskSettings
    device: torch.device
    features_once: bool = False
    """Whether tasks find the features that tasks before them took; only where none of them trains the encoder."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the store by itself."""
        rest = (self.spec, self.train, self.test, self.settings, self.device, self.features_once)
        return _setup_elsewhere, (self.store.path, *rest)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the L classes."""
        return classes_of(self.store)

    @cached_property
    def clips(self) -> ClipBank:
        """The store's clips on the device."""
        clips = ClipBank.of(self.store, self.spec.stream, self.spec.frames, self.device)
        return replace(clips, taken={}) if self.features_once else clips

    @property
    def cropped_clips(self) -> ClipBank:
        """The same, for features that are taken once: over as many crops as the settings have."""
        return replace(self.clips, crops=self.settings.test.crops)

    def labelled(self, clips: ClipBank) -> tuple[LabelledClips, LabelledClips]:
        """The clips that train and those that test."""
        label, classes = self.store.label.astype(np.int64), self.classes
        train, test = (LabelledClips(clips, indices, label[indices], classes) for indices in (self.train, self.test))
        return train, test

    @cached_property
    def recordings(self) -> RecordingBank:
        """The store's untrimmed recordings on the device."""
        return RecordingBank.of(self.store, self.spec.stream, self.device)

    def labelled_recordings(self) -> tuple[LabelledRecordings, LabelledRecordings]:
        """The recordings that train and those that test."""
        train, test = (
            LabelledRecordings(self.recordings, indices, self.classes) for indices in (self.train, self.test)
        )
        return train, test

    @cached_property
    def motions(self) -> MotionBank:
        """The store's windows of motion on the device."""
        chosen = self.settings.prediction
        lengths = chosen.seed_frames, chosen.predicted_frames
        return MotionBank.of(self.store, self.spec.stream, *lengths, self.device, chosen.scored)


def _setup_elsewhere(path: Path, *rest: Any) -> Setup:
    return Setup(ClipStore.open(path), *rest)


def classes_of(store: ClipStore) -> tuple[str, ...]:
    """Names of the L classes: as many as the store names, or as its labels need, which then are numbers."""
    named = tuple(store.classes)
    return named + tuple(str(label) for label in range(len(named), int(store.label.max(initial=-1)) + 1))


def labelled_split(store: ClipStore, protocol: str) -> tuple[Indices, Indices]:
    """Training and test clips of a protocol that have a label.

    Raises:
        DataError: there is no such protocol, or no labelled clip on one of its sides.
    """
    train, test = (indices[store.label[indices] >= 0] for indices in split(store, protocol))
    if len(train) == 0 or len(test) == 0:
        raise DataError(f"{store.path}: expected labelled clips on both sides of {protocol}, found none on one side")
    return train, test


def recording_split(store: ClipStore, protocol: str) -> tuple[Indices, Indices]:
    """Training and test recordings of a protocol.

    Raises:
        DataError: the store has no untrimmed recordings, or cannot serve the protocol.
    """
    return split(untrimmed(store), protocol)
