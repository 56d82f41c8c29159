"""Untrimmed recordings as the page's timeline shows them: what the model makes of each moment."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from pcm3.api import Model
from pcm3.api.teaching import Space, teach
from pcm3.clips import ClipBank
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.web.guesses import Confidence

WINDOW = 2.0
"""Seconds of a window; a shorter recording is one window."""
HOP = 0.5
"""Seconds from one to the next."""
BATCH = 256
KEPT = 16
"""Recordings whose windows are remembered."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """One recording."""

    start: Int[np.ndarray, " W"]
    """The first frame of each window."""
    length: int
    """Frames of a window."""
    features: Float[np.ndarray, "W D"]
    label: Int[np.ndarray, " W"]
    """The class of each window by what clips of other people, or else of other recordings, teach; −1: nothing does."""
    confidence: Float[np.ndarray, " W"]
    """How often such a class is right of clips of which the classifier is as sure, 0 to 1."""


def recordings_of(store: ClipStore) -> ClipStore:
    """Those of which a store's clips are the labelled intervals; of trimmed clips, each is one."""
    return store if store.recordings is None else store.recordings


@dataclass(eq=False)
class Timelines:
    """Gives the timelines of untrimmed recordings; of a store of trimmed clips, each clip is one."""

    model: Model
    store: ClipStore
    recordings: ClipStore
    """Those of the store, or itself."""
    bank: Callable[[], ClipBank]
    """Gives that of the store."""
    features: Float[np.ndarray, "N D"]
    """Of the store's clips."""
    sure: Confidence
    _kept: OrderedDict[int, Timeline] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, recording: int) -> Timeline:
        """That of one recording."""
        with self._lock:
            if recording not in self._kept:
                self._kept[recording] = self._computed(recording)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(recording)
            return self._kept[recording]

    def _computed(self, recording: int) -> Timeline:
        frames, fps = int(self.recordings.length[recording]), self.store.fps
        length = min(max(round(WINDOW * fps), 1), frames)
        start = np.arange(0, frames - length + 1, max(round(HOP * fps), 1))
        features = self._embedded(recording, start, length)
        space = Space.of(self.features)
        rows = space.rows(np.concatenate([self.features, features]))
        teachers = np.flatnonzero((self.store.label != UNKNOWN) & self._others(recording))
        label, confidence = np.full(len(start), UNKNOWN), np.zeros(len(start))
        if len(np.unique(self.store.label[teachers])) > 1:
            taught = teach(rows, teachers, self.store.label[teachers])
            label, confidence = taught.label[len(self.features) :], self.sure(taught.margin[len(self.features) :])
        return Timeline(start, length, features, label, confidence)

    def _others(self, recording: int) -> Bool[np.ndarray, " N"]:
        """Clips of other people; where nobody else is known, of other recordings."""
        mine = int(self.recordings.subject[recording])
        people: NDArray[np.bool_] = (self.store.subject != mine) & (self.store.subject != UNKNOWN)
        whole = np.arange(len(self.store)) if self.recordings is self.store else self.store.recording
        others: NDArray[np.bool_] = whole != recording
        return people if mine != UNKNOWN and people.any() else others

    def _embedded(self, recording: int, start: Int[np.ndarray, " W"], length: int) -> Float[np.ndarray, "W D"]:
        mine, whole = self.bank(), self.recordings
        device = mine.device
        bank = replace(
            mine,
            start=torch.from_numpy(whole.start.astype(np.int64)).to(device),
            length=torch.from_numpy(whole.length.astype(np.int64)).to(device),
        )
        parts = []
        with bank.feed.embedding(self.model.encoder) as embed:
            for some in torch.from_numpy(start.astype(np.int64)).to(device).split(BATCH):
                which, lengths = torch.full_like(some, recording), torch.full_like(some, length)
                parts.append(embed(bank.stretch(which, some, lengths)).cpu().numpy())
        return np.concatenate(parts)
