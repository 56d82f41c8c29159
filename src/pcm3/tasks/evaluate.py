"""``pcm3 evaluate``: pretrained encoders on a task, always beside the untrained encoder and raw coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pcm3.checkpoint import EncoderSpec, load_encoder
from pcm3.config import Device, LinearSettings
from pcm3.data.leaks import audit, leaked_clips, remembered
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.device import allow_fast_matmul, choose_device
from pcm3.errors import CheckpointError, DataError
from pcm3.report.tables import mean_and_spread, mean_of, spread_of
from pcm3.tasks.features import ClipBank, ClipEncoder, RawCoordinates
from pcm3.tasks.linear import HeadResult, linear
from pcm3.tasks.retrieval import retrieval

TaskName = Literal["linear", "linear-cached", "retrieval"]
TASKS: tuple[TaskName, ...] = ("linear", "linear-cached", "retrieval")
PRETRAINED, UNTRAINED, RAW = "pretrained", "untrained encoder", "raw coordinates"


@dataclass
class Row:
    """One line of the table: a kind of encoder, its accuracy for each seed."""

    name: str
    top1: list[float] = field(default_factory=list)
    """Per cent, last epoch, one value for each encoder and head seed."""
    best_top1: list[float] = field(default_factory=list)
    """Per cent, the best epoch on the test clips."""

    def add(self, result: HeadResult) -> None:
        """Take in the result of one seed."""
        self.top1.append(result.top1)
        self.best_top1.append(result.best_top1)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "top1": mean_of(self.top1),
            "top1_sd": spread_of(self.top1),
            "best_on_test": mean_of(self.best_top1),
            "values": self.top1,
        }


@dataclass
class Evaluation:
    """A table, and what is needed to say what it is a table of."""

    task: TaskName
    protocol: str
    models: list[str]
    train_clips: int
    test_clips: int
    seeds: int
    steps: list[int]
    """Optimiser steps behind each model."""
    rows: list[Row]
    target: NDArray[np.int64]
    """(N_test,) true classes."""
    predicted: NDArray[np.int64]
    """(N_test,) classes that the first model's first head predicts."""
    notes: list[str]
    """What a reader of the table must know: an unfinished run, pretraining that saw test clips."""

    HEADER = ("", "top-1 %", "best epoch on test %")

    def table(self) -> list[list[str]]:
        """Rows of text under `HEADER`."""
        return [[row.name, mean_and_spread(row.top1), mean_and_spread(row.best_top1)] for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `top1` is the pretrained encoders'."""
        first = self.rows[0].to_dict()
        return {
            "task": self.task,
            "protocol": self.protocol,
            "models": self.models,
            "steps": self.steps,
            "train_clips": self.train_clips,
            "test_clips": self.test_clips,
            "seeds": self.seeds,
            "top1": first["top1"],
            "top1_sd": first["top1_sd"],
            "rows": [row.to_dict() for row in self.rows],
            "notes": self.notes,
        }


def evaluate(
    task: TaskName,
    models: Sequence[Path],
    store: ClipStore,
    protocol: str,
    settings: LinearSettings | None = None,
    seeds: int = 3,
    device: Device = "auto",
    tick: Callable[[str], object] = lambda told: None,
    *,
    without_leaks: bool = False,
) -> Evaluation:
    """How well the encoders' features tell the classes of a store's test clips.

    Args:
        task: which protocol.
        models: run folders or checkpoint files, all of one shape (seeds of one recipe): their mean is the figure.
        store: labelled clips.
        protocol: the split.
        settings: of the linear head.
        seeds: heads trained for each encoder, and untrained encoders drawn.
        device: where to compute.
        tick: called with a word whenever something is done.
        without_leaks: leave out test clips that are copies of training clips. Searches for them where no earlier
            search is remembered beside the store (`pcm3.data.leaks`).

    Raises:
        CheckpointError: a model is not there, damaged, or does not fit the store.
        DataError: the store cannot serve the protocol, or has no labels.
    """
    chosen = choose_device(device)
    allow_fast_matmul(chosen)
    loaded = [load_encoder(path) for path in models]
    spec = loaded[0][1]
    for path, (_, other) in zip(models, loaded, strict=True):
        other.see_that_it_fits(store.layout, store.frames.shape[1], str(path))
        if (other.stream, other.frames) != (spec.stream, spec.frames):
            raise CheckpointError(
                f"{path}: expected stream {spec.stream} and {spec.frames} frames as {models[0]}, got {other.stream} "
                f"and {other.frames}: evaluate them one by one"
            )
    train, test = labelled_split(store, protocol)
    test, leak_note = _leaks(store, protocol, test, without=without_leaks)
    bank = ClipBank.of(store, spec.stream, spec.frames, chosen)

    def judge(encoder: ClipEncoder, seed: int) -> HeadResult:
        if task == "retrieval":
            return retrieval(encoder, bank, train, test)
        cached = task == "linear-cached"
        return linear(encoder, bank, train, test, _classes(store), settings or LinearSettings(), seed, cached)

    heads = 1 if task == "retrieval" else seeds
    pretrained, untrained, raw = Row(PRETRAINED), Row(UNTRAINED), Row(RAW)
    first: HeadResult | None = None
    for path, (encoder, _) in zip(models, loaded, strict=True):
        for seed in range(heads):
            result = judge(encoder.to(chosen), seed)
            first = first or result
            pretrained.add(result)
            tick(f"{path}")
    for seed in range(seeds):
        untrained.add(judge(spec.build(1000 + seed).to(chosen), seed))
        tick(UNTRAINED)
    for seed in range(heads):
        raw.add(judge(RawCoordinates(spec.frames, *store.frames.shape[1:]), seed))
        tick(RAW)
    assert first is not None
    return Evaluation(
        task=task,
        protocol=protocol,
        models=[str(path) for path in models],
        train_clips=len(train),
        test_clips=len(test),
        seeds=seeds,
        steps=[other.step for _, other in loaded],
        rows=[pretrained, untrained, raw],
        target=store.label[test].astype(np.int64),
        predicted=first.predicted,
        notes=[*_notes(models, [other for _, other in loaded], store, protocol), *leak_note],
    )


def work(task: TaskName, models: int, seeds: int) -> int:
    """How often `evaluate` will call its `tick`."""
    heads = 1 if task == "retrieval" else seeds
    return models * heads + seeds + heads


def labelled_split(store: ClipStore, protocol: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training and test clips of a protocol that have a label.

    Raises:
        DataError: there is no such protocol, or no labelled clip on one of its sides.
    """
    train, test = (side[store.label[side] >= 0] for side in split(store, protocol))
    if len(train) == 0 or len(test) == 0:
        raise DataError(f"{store.path}: expected labelled clips on both sides of {protocol}, found none on one side")
    return train, test


def _leaks(
    store: ClipStore, protocol: str, test: NDArray[np.int64], *, without: bool
) -> tuple[NDArray[np.int64], list[str]]:
    """The test clips to evaluate on, and what there is to say about copies of training clips among them."""
    known = remembered(store)
    if known is None and without:
        known = audit(store)
    if known is None:
        return test, [f"not checked for test clips that are copies of training clips: pcm3 check {store.path}"]
    copied = np.isin(test, leaked_clips(store, known.get(protocol, [])))
    if not copied.any():
        return test, []
    told = f"{copied.sum():,} of {len(test):,} test clips are copies of training clips"
    if not without:
        return test, [f"{told}: --without-leaks leaves them out"]
    if copied.all():
        raise DataError(f"{store.path}: {told} under {protocol}: none is left to evaluate on")
    return test[~copied], [f"{told} and were left out"]


def _classes(store: ClipStore) -> int:
    """L: as many as the store names, or as its labels need."""
    return max(len(store.classes), int(store.label.max()) + 1)


def _notes(models: Sequence[Path], specs: Sequence[EncoderSpec], store: ClipStore, protocol: str) -> list[str]:
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
