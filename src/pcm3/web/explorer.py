"""What the explorer knows of a store and a model: found in the background, told while it comes."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event, Thread

import numpy as np
from filelock import BaseFileLock
from jaxtyping import Float, Float32, Int, Int32
from numpy.typing import NDArray

from pcm3.api import Model
from pcm3.api.given import AS_THE_MODEL
from pcm3.api.teaching import directions
from pcm3.clips import ClipBank, extract
from pcm3.data.audit.check import odd_clips
from pcm3.data.audit.findings import Finding
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError, Pcm3Error, RunFailed
from pcm3.files import take_lock
from pcm3.tasks.head_files import weights_checksum
from pcm3.web.guesses import Guesses, guess
from pcm3.web.guests import KEPT, Guest, received
from pcm3.web.kept import LABELS, Kept
from pcm3.web.labels import LabelBook
from pcm3.web.lessons import Lessons
from pcm3.web.maps import pca_map, tsne_map
from pcm3.web.timelines import Timelines

BLOCK = 256
"""Clips that are encoded between two words of progress."""
COLUMNS = ("label", "subject", "camera", "setup", "length", "recording")
"""Of the store's table, as the page gets them; the sides of protocols follow."""


@dataclass
class Progress:
    """How far the work in the background has come."""

    stage: str = "features"
    """features, map, classifier, t-SNE, check, done or failed."""
    done: int = 0
    """Clips encoded."""
    error: str = ""


@dataclass(eq=False)
class Explorer:
    """One store, one model, the labels given so far, and all that is computed of them."""

    store: ClipStore
    model: Model
    labels: LabelBook
    kept: Kept
    lock: BaseFileLock
    """On the folder."""
    progress: Progress = field(default_factory=Progress)
    arrays: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """features (N, D), pca (N, 2), tsne (N, 2): those that are there."""
    guesses: Guesses | None = None
    lessons: Lessons | None = None
    timelines: Timelines | None = None
    """Of a store of untrimmed recordings."""
    findings: list[Finding] | None = None
    """What is wrong or odd about the store, see `pcm3.data.audit.check`."""
    guests: OrderedDict[int, Guest] = field(default_factory=OrderedDict)
    """Clips of files that were dropped on the page, by numbers that none gets again."""
    _stop: Event = field(default_factory=Event)

    @classmethod
    def open(cls, model: Model, store: ClipStore, folder: Path) -> Explorer:
        """The explorer of a store that the model can be fed with.

        Args:
            model: whose features are shown.
            store: is only read.
            folder: where labels and maps are kept; made where it is not there.

        Raises:
            CheckpointError: the store does not fit the model.
            ConfigError: another explorer writes labels there, or the folder cannot be written.
        """
        model.given(store, AS_THE_MODEL)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = take_lock(folder / f"{LABELS}.lock")
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be written ({error.strerror}): name another place, --folder") from None
        if lock is None:
            raise ConfigError(f"{folder}: another explorer is open there: close it, or name another place, --folder")
        book = LabelBook.open(folder / LABELS)
        return cls(store, model, book, Kept.of(folder, weights_checksum(model.encoder), store.checksum), lock)

    def begin(self) -> Thread:
        """Starts the work in the background, on a thread that does not outlive the program."""
        thread = Thread(target=self.work, name="explorer", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """The work in the background ends after the block of clips that it is at; the folder is free for others."""
        self._stop.set()
        self.lock.release()

    def work(self) -> None:
        """Features, maps and guesses, one after the other; an error is told where the progress is."""
        try:
            self.arrays |= self.kept.read(len(self.store))
            self._once("features", "features", self._features)
            self._once("pca", "map", lambda: pca_map(self.features))
            self.progress.stage = "classifier"
            rows = directions(self.features)
            self.guesses = guess(rows, self.store.label, self.store.subject)
            if self.store.recordings is not None:
                self.timelines = Timelines(self.model, self.store, self.store.recordings, self.bank, self.features)
            self.lessons = Lessons(rows, self.store.subject, self.store.ids.tolist(), self.labels)
            self._once("tsne", "t-SNE", lambda: tsne_map(self.features))
            self._check()
            self.progress.stage = "done"
        except _Stopped:
            return
        except (Pcm3Error, RunFailed, OSError, MemoryError) as error:
            self.progress.error, self.progress.stage = str(error) or type(error).__name__, "failed"
        except Exception as error:  # the page must not wait for ever; whoever started the server sees where it was
            traceback.print_exc()
            self.progress.error, self.progress.stage = str(error) or type(error).__name__, "failed"

    @property
    def features(self) -> Float32[np.ndarray, "N D"]:
        """Of all clips; KeyError while they are not there."""
        return self.arrays["features"]

    @cached_property
    def columns(self) -> dict[str, Int32[np.ndarray, " N"]]:
        """What is known of each clip, −1 where it is not: `COLUMNS`, then ``side NAME`` of protocols, 0 training."""
        columns = {name: getattr(self.store, name).astype(np.int32) for name in COLUMNS}
        for name in self.store.protocols:
            try:
                train, test = split(self.store, name)
            except DataError:
                continue
            side = np.full(len(self.store), -1, np.int32)
            side[train], side[test] = 0, 1
            columns[f"side {name}"] = side
        return columns

    @cached_property
    def bank(self) -> ClipBank:
        """The store's clips, ready for the model."""
        return self.model.bank(self.store)

    def receive(self, name: str, content: bytes) -> list[int]:
        """The numbers of the clips of a dropped file; of all such clips the last `KEPT` are remembered.

        Raises:
            DataError: no file that pcm3 reads, or nobody in it.
        """
        numbers = []
        for guest in received(self.model, name, content):
            number = next(reversed(self.guests), -1) + 1
            self.guests[number] = guest
            numbers.append(number)
        while len(self.guests) > KEPT:
            self.guests.popitem(last=False)
        return numbers

    def neighbours(self, index: int, k: int) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """The clips that the model finds most like one, and 1 − cosine of each; the clip itself is left out."""
        far = 1 - self.likeness(self.features[index])
        far[index] = np.inf
        return self._nearest(far, min(k, len(far) - 1))

    def neighbours_of(
        self, feature: Float[np.ndarray, " D"], k: int
    ) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """The same of a feature that is not of the store."""
        return self._nearest(1 - self.likeness(feature), min(k, len(self.store)))

    def likeness(self, feature: Float[np.ndarray, " D"]) -> Float[np.ndarray, " N"]:
        """The cosine of each clip's feature with one."""
        return np.asarray(self._unit_rows @ (feature / max(float(np.linalg.norm(feature)), 1e-12)))

    @staticmethod
    def _nearest(far: Float[np.ndarray, " N"], k: int) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        near = np.argpartition(far, k - 1)[:k] if k else np.zeros(0, np.int64)
        near = near[np.argsort(far[near], kind="stable")]
        return near, np.maximum(far[near], 0)

    @cached_property
    def _unit_rows(self) -> Float32[np.ndarray, "N D"]:
        norms = np.linalg.norm(self.features, axis=1, keepdims=True)
        return np.asarray(self.features / np.maximum(norms, 1e-12), np.float32)

    def _features(self) -> Float[np.ndarray, "N D"]:
        parts = []
        for start in range(0, len(self.store), BLOCK):
            if self._stop.is_set():
                raise _Stopped
            block = np.arange(start, min(start + BLOCK, len(self.store)))
            parts.append(extract(self.model.encoder, self.bank, block).cpu().numpy())
            self.progress.done = start + len(block)
        features = np.concatenate(parts)
        if not np.isfinite(features).all():
            raise RunFailed("the model's features are no numbers: it did not train well")
        return features

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopped
        self.progress.stage = "check"
        self.findings = odd_clips(self.store)

    def _once(self, name: str, stage: str, compute: Callable[[], NDArray[np.float32]]) -> None:
        """Computes an array, and keeps it, unless it was kept."""
        if self._stop.is_set():
            raise _Stopped
        self.progress.stage = stage
        if name not in self.arrays:
            self.arrays = self.arrays | {name: compute()}
            self.kept.write(self.arrays)


class _Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """The explorer is closed."""
