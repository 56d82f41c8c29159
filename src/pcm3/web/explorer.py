"""What the explorer knows of a store and a model: found in the background, told while it comes."""

from __future__ import annotations

import os
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from threading import Event, Thread, current_thread, get_native_id

import numpy as np
from filelock import BaseFileLock
from jaxtyping import Float32, Int32

from pcm3.api import Model
from pcm3.api.given import AS_THE_MODEL
from pcm3.api.teaching import directions
from pcm3.clips import ClipBank
from pcm3.data.audit.check import odd_clips
from pcm3.data.audit.findings import Finding
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError, Pcm3Error, RunFailed
from pcm3.files import take_lock
from pcm3.tasks.head_files import weights_checksum
from pcm3.web.beside import beside
from pcm3.web.clusters import clusters
from pcm3.web.comparison import Comparison, compare
from pcm3.web.embedded import EmbeddedClips
from pcm3.web.guesses import Guesses, guess
from pcm3.web.guests import KEPT, Guest, received
from pcm3.web.kept import LABELS, Kept
from pcm3.web.labels import LabelBook
from pcm3.web.lessons import Lessons
from pcm3.web.maps import MAPS, POSES, has_umap, pca_map, pose_map, tsne_map, turned_like, umap_map
from pcm3.web.timelines import Timelines, recordings_of

Place = Callable[[Float32[np.ndarray, "N D"]], Float32[np.ndarray, "N 2"]]
COLUMNS = ("label", "subject", "camera", "setup", "length", "recording")
"""Of the store's table, as the page gets them; the sides of protocols follow."""

LAST_BLOCK = 10
"""Seconds that the work has to end."""
YIELDS = 10
"""How far the work in the background steps back for what people wait for (Unix: the nicer, the higher, to 19)."""


@dataclass
class Progress:
    """How far the work in the background has come."""

    stage: str = "features"
    """features, map, classifier, other features, comparison, clusters, t-SNE, check, UMAP, done or
    failed."""
    done: int = 0
    """Clips encoded, of the encoder that is at work."""
    error: str = ""


@dataclass(eq=False)
class Explorer:
    """One store, one model, perhaps what it is compared with, the labels given so far, and all that is computed."""

    store: ClipStore
    model: Model
    labels: LabelBook
    lock: BaseFileLock
    """On the folder."""
    mine: EmbeddedClips
    """The clips as the model sees them."""
    other: EmbeddedClips | None = None
    """The clips as what it is compared with sees them."""
    comparison: Comparison | None = None
    progress: Progress = field(default_factory=Progress)
    poses: Float32[np.ndarray, "N 2"] | None = None
    """The map of a first visit, until the model has encoded the clips."""
    guesses: Guesses | None = None
    lessons: Lessons | None = None
    timelines: Timelines | None = None
    findings: list[Finding] | None = None
    """What is wrong or odd about the store, see `pcm3.data.audit.check`."""
    guests: OrderedDict[int, Guest] = field(default_factory=OrderedDict)
    """Clips of files that were dropped on the page, by numbers that none gets again."""
    _stop: Event = field(default_factory=Event)
    _thread: Thread | None = None

    @classmethod
    def open(
        cls, model: Model, store: ClipStore, folder: Path, *, name: str = "model", compare: str | None = None
    ) -> Explorer:
        """The explorer of a store that the model can be fed with.

        Args:
            model: whose features are shown.
            store: is only read.
            folder: where labels and maps are kept; made where it is not there.
            name: of the model, as it was given; the page shows its end.
            compare: what the model is compared with, see `pcm3.web.beside.beside`; None: nothing.

        Raises:
            CheckpointError: the store does not fit the model, or what it is compared with.
            ConfigError: another explorer writes labels there, or the folder cannot be written.
        """
        model.given(store, AS_THE_MODEL)
        bank = cache(lambda: model.bank(store))
        kept = Kept.of(folder, weights_checksum(model.encoder), store.checksum)
        mine = EmbeddedClips(
            Path(name).name or name, lambda: (model.encoder, bank()), kept, model.spec.provenance.store_checksum
        )
        other = None if compare is None else beside(compare, model, store, bank, folder)
        if other is not None and mine.name == other.name:
            mine.name, other.name = name, str(compare)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = take_lock(folder / f"{LABELS}.lock")
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be written ({error.strerror}): name another place, --folder") from None
        if lock is None:
            raise ConfigError(f"{folder}: another explorer is open there: close it, or name another place, --folder")
        return cls(store, model, LabelBook.open(folder / LABELS), lock, mine, other)

    def begin(self) -> Thread:
        """Starts the work in the background, on a thread that does not outlive the program."""
        self._thread = Thread(target=self.work, name="explorer", daemon=True)
        self._thread.start()
        return self._thread

    def stop(self) -> None:
        """The work in the background ends after the block of clips that it is at, which is waited for: torch does not
        survive that the interpreter goes meanwhile. The folder is free for others.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LAST_BLOCK)
        self.lock.release()

    def work(self) -> None:
        """Features, maps and all else, one after the other; an error is told where the progress is."""
        store, mine, other = self.store, self.mine, self.other
        try:
            self._embed(mine, "features")
            self._stage("classifier")
            rows = directions(mine.features)
            self.guesses = guess(rows, store.label, store.subject)
            self.timelines = Timelines(
                self.model, store, recordings_of(store), lambda: self.bank, mine.features, self.guesses.sure
            )
            self.lessons = Lessons(rows, store.subject, store.ids.tolist(), self.labels)
            if other is not None:
                self._embed(other, "other features")
                self._stage("comparison")
                linear = np.stack([self.guesses.label, guess(directions(other.features), *self._known).label])
                units = (mine.unit_rows, other.unit_rows)
                self.comparison = compare(units, linear, *self._known, self._pause)
            self._stage("clusters")
            mine.once("clusters", lambda: clusters(mine.unit_rows, self._pause))
            for clips in self.sides:
                self._place(clips, "tsne", "t-SNE", tsne_map)
            self._stage("check")
            self.findings = odd_clips(store)
            for clips in self.sides if has_umap() else []:
                self._place(clips, "umap", "UMAP", umap_map)
            self.progress.stage = "done"
        except _Stopped:
            return
        except (Pcm3Error, RunFailed, OSError, MemoryError) as error:
            self.progress.error, self.progress.stage = str(error) or type(error).__name__, "failed"
        except Exception as error:  # the page must not wait for ever; whoever started the server sees where it was
            traceback.print_exc()
            self.progress.error, self.progress.stage = str(error) or type(error).__name__, "failed"

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

    @property
    def sides(self) -> list[EmbeddedClips]:
        """The clips as the model sees them, and as what it is compared with does, where there is such."""
        return [self.mine] if self.other is None else [self.mine, self.other]

    @property
    def bank(self) -> ClipBank:
        """The store's clips, ready for the model."""
        return self.mine.fed[1]

    @property
    def maps(self) -> list[dict[str, Float32[np.ndarray, "N 2"]]]:
        """The maps of each side that are there, by name; the other's are turned so that they lie like the model's."""
        mine = {name: self.mine.arrays[name] for name in MAPS if name in self.mine.arrays}
        if self.poses is not None and "pca" not in mine:
            mine = {POSES: self.poses} | mine
        if self.other is None:
            return [mine]
        theirs = self.other.arrays
        return [mine, {name: turned_like(theirs[name], mine[name]) for name in mine if name in theirs}]

    def receive(self, name: str, content: bytes) -> list[int]:
        """The numbers of the clips of a dropped file; of all such clips the last `KEPT` are remembered.

        Raises:
            DataError: no file that pcm3 reads, or nobody in it.
        """
        numbers = []
        for guest in received(self.model, self.sides, name, content):
            number = next(reversed(self.guests), -1) + 1
            self.guests[number] = guest
            numbers.append(number)
        while len(self.guests) > KEPT:
            self.guests.popitem(last=False)
        return numbers

    @property
    def _known(self) -> tuple[Int32[np.ndarray, " N"], Int32[np.ndarray, " N"]]:
        return self.store.label, self.store.subject

    def _first_maps(self, clips: EmbeddedClips) -> None:
        """What the page can show at once: the maps of a visit before, or one of poses."""
        clips.arrays |= clips.kept.read(len(self.store), features=False)
        if clips is self.mine and "pca" not in clips.arrays:
            self.poses = pose_map(self.store)

    def _embed(self, clips: EmbeddedClips, stage: str) -> None:
        """The features, and the first map that is theirs."""
        self._first_maps(clips)
        if current_thread() is self._thread:
            step_back()
        self._stage(stage)
        clips.arrays |= clips.kept.read(len(self.store), features=True)
        clips.once("features", lambda: clips.embed(self._encoded))
        self._place(clips, "pca", "map", pca_map)

    def _place(self, clips: EmbeddedClips, name: str, stage: str, place: Place) -> None:
        """One map."""
        self._stage(stage)
        clips.once(name, lambda: place(clips.features))

    def _encoded(self, done: int) -> None:
        self._pause()
        self.progress.done = done

    def _stage(self, stage: str) -> None:
        self._pause()
        self.progress.stage = stage

    def _pause(self) -> None:
        if self._stop.is_set():
            raise _Stopped


def step_back() -> None:
    """This thread gives way to others from now on: the page's browser may be on the same few cores."""
    if sys.platform == "linux":  # elsewhere a thread has no number of its own for this
        thread = get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(YIELDS, os.getpriority(os.PRIO_PROCESS, thread)))


class _Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """The explorer is closed."""
