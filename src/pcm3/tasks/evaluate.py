"""``pcm3 evaluate``: pretrained encoders on a task, always beside the untrained encoder and raw coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pcm3.clips import ClipEncoder, clips_to_fit, fit_readout
from pcm3.data.audit.leaks import audit, leaked_clips, remembered
from pcm3.data.recording import CLASSES_LIMIT, UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.data.verified import check_unchanged
from pcm3.device import choose_device, choose_precision, evaluation_threads, threads
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.files import load_encoder
from pcm3.encoders.in_bfloat16 import InBfloat16
from pcm3.encoders.spec import EncoderSpec, format_of
from pcm3.errors import CheckpointError, DataError, command
from pcm3.parallel import MapFunction, cores, serial_map
from pcm3.settings.pretrain import Device, Precision
from pcm3.settings.tasks import TaskSettings
from pcm3.summary import counted
from pcm3.tasks.detection.windows import windows_to_fit
from pcm3.tasks.notes import label_notes, learned_nothing, run_notes
from pcm3.tasks.result_table import Row, header
from pcm3.tasks.setup import Setup
from pcm3.tasks.task_table import TASKS, Picture, Task, TaskResult

PRETRAINED, UNTRAINED, RAW = "pretrained", "untrained encoder", "raw coordinates"
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LoadedEncoder:
    """A pretrained encoder, read from its file once."""

    path: Path
    encoder: Encoder
    spec: EncoderSpec

    @classmethod
    def of(cls, path: Path) -> LoadedEncoder:
        """The encoder of a run folder or of a checkpoint file.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        return cls(path, *load_encoder(path))

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets the weights as arrays."""
        weights = {name: tensor.cpu().numpy() for name, tensor in self.encoder.state_dict().items()}
        return _encoder_elsewhere, (self.path, self.spec, weights)


def _encoder_elsewhere(path: Path, spec: EncoderSpec, weights: dict[str, NDArray[Any]]) -> LoadedEncoder:
    encoder = spec.build()
    encoder.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    return LoadedEncoder(path, encoder.eval(), spec)


@dataclass
class Evaluation:
    """A table, and what is needed to say what it is a table of."""

    task: str
    protocol: str
    models: list[str]
    train_clips: int
    """Clips, or recordings where the task is about these."""
    test_clips: int
    seeds: int
    steps: list[int]
    """Optimiser steps behind each model."""
    rows: list[Row]
    first: TaskResult
    """Of the first model and seed: what the pictures show."""
    setup: Setup
    notes: list[str]
    """What a reader of the table must know: an unfinished run, pretraining that saw test clips."""
    streams: tuple[str, ...] = ()
    """Those whose results were fused; none where it is about one encoder."""
    columns: tuple[str, ...] = ()
    """Metrics in the table for people, where they are not those of the task."""

    @property
    def name(self) -> str:
        """What it is called in files and tables: the task, and whether streams were fused."""
        return f"{self.task}-streams" if self.streams else self.task

    @property
    def target(self) -> Indices:
        """(N_test,) true classes of the test clips."""
        target: Indices = self.setup.store.label[self.setup.test].astype(np.int64)
        return target

    @property
    def what(self) -> str:
        """What trains and what tests."""
        return "recordings" if TASKS[self.task].of_recordings else "clips"

    @property
    def picture(self) -> Picture:
        """What is drawn of it."""
        return TASKS[self.task].picture

    @property
    def table_metrics(self) -> tuple[str, ...]:
        """The metrics in the table for people."""
        there = self.rows[0].metrics
        table_metrics = tuple(name for name in self.columns or TASKS[self.task].table_metrics if name in there)
        return table_metrics or tuple(name for name in there if not name.startswith("best_"))

    @property
    def header(self) -> list[str]:
        """The heads of `table`."""
        return header(self.table_metrics)

    def table(self) -> list[list[str]]:
        """Rows of text under `header`."""
        return [row.cells(self.table_metrics) for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the metrics beside the rows are the pretrained encoders'."""
        first = self.rows[0].to_dict()
        return {
            "task": self.name,
            "protocol": self.protocol,
            "models": self.models,
            "steps": self.steps,
            "train_clips": self.train_clips,
            "test_clips": self.test_clips,
            "seeds": self.seeds,
            **{name: value for name, value in first.items() if name not in ("name", "values")},
            "rows": [row.to_dict() for row in self.rows],
            "notes": self.notes,
        }


def evaluate(
    task: str,
    models: Sequence[Path | LoadedEncoder],
    store: ClipStore,
    protocol: str,
    settings: TaskSettings | None = None,
    seeds: int = 3,
    device: Device = "auto",
    on_progress: Callable[[str], object] = lambda name: None,
    *,
    without_leaks: bool = False,
    baselines: int | None = None,
    raw: bool = True,
    precision: Precision = "32",
    map_fn: MapFunction = serial_map,
    keep_heads: bool = False,
) -> Evaluation:
    """How well the encoders do at a task on a store's test side.

    Args:
        task: one of `TASKS`.
        models: run folders or checkpoint files, or what was read from them; all of one shape (seeds of one recipe):
            their mean is the figure. Each file is read once.
        store: the clips.
        protocol: the split.
        settings: of the tasks.
        seeds: heads trained for each encoder, and untrained encoders drawn.
        device: where to compute.
        on_progress: called with the name of an encoder whenever it has been evaluated with a seed.
        without_leaks: leave out test clips that are copies of training clips. Searches for them where no earlier
            search is remembered beside the store (`pcm3.data.audit.leaks`).
        baselines: untrained encoders drawn, and heads on raw coordinates; None: as many as seeds; 0: no baselines.
        raw: whether raw coordinates are among them; beside encoders of as many frames they are the same.
        precision: of the encoders' products, trained or not; "auto" is bfloat16 where the device is fast at it.
        map_fn: where the results of long tasks are found: here, one after the other, or in several processes. The
            metrics are the same.
        keep_heads: whether the result of the first model and seed has its heads.

    Raises:
        CheckpointError: a model is not there, damaged, or does not fit the store.
        ConfigError: the settings ask for what a model does not have.
        DataError: the store cannot serve the protocol or the task: no labels, no untrimmed recordings; or its bytes are
            not what was written.
    """
    chosen = choose_device(device)
    loaded = [LoadedEncoder.of(model) if isinstance(model, Path) else model for model in models]
    paths, specs = [model.path for model in loaded], [model.spec for model in loaded]
    _check_compatible(paths, specs, store)
    of_table, asked = TASKS[task], settings or TaskSettings()
    for model in loaded:
        of_table.check(asked, model.encoder)
    doubts = check_unchanged(store)
    if of_table.by_label:
        _check_labels(store)
    train, test = of_table.splits(store, protocol)
    test, leak_notes = _leaks(store, protocol, test, of_table.of_recordings, without=without_leaks)
    setup = Setup(store, specs[0], train, test, asked, chosen)
    raw_serves = of_table.raw_serves(setup.settings)
    jobs = _jobs(of_table, loaded, seeds, seeds if baselines is None else baselines, raw and raw_serves)
    shared = _Shared(task, setup, choose_precision(precision, chosen) == "bf16")
    elsewhere = map_fn if of_table.long else serial_map
    first = [jobs[0]._replace(keep_heads=True)] if keep_heads else []  # here: heads do not travel between processes
    results = chain(serial_map(_result, first, shared), elsewhere(_result, jobs[len(first) :], shared))
    rows: dict[str, Row] = {}
    kept: TaskResult | None = None
    for job, result in zip(jobs, results, strict=True):
        kept = kept or result
        rows.setdefault(job.row, Row(job.row)).add(result.metrics, result.details)
        on_progress(str(job.model.path if job.model else job.row))
    assert kept is not None
    if len(rows) > 1:
        for name, baseline in of_table.baselines.items():
            rows[name] = Row(name)
            rows[name].add(baseline(setup).metrics)
    return Evaluation(
        task=task,
        protocol=protocol,
        models=[str(path) for path in paths],
        train_clips=len(train),
        test_clips=len(test),
        seeds=seeds,
        steps=[spec.provenance.step for spec in specs],
        rows=list(rows.values()),
        first=kept,
        setup=setup,
        notes=[
            *_non_default_settings(setup, task),
            *(["the encoders' products were of bfloat16"] if shared.in_bfloat16 else []),
            *([] if raw_serves else ["raw coordinates have no feature of a frame, so that they do not stand beside"]),
            *kept.notes,
            *learned_nothing(setup, task, list(rows.values())),
            *label_notes(setup, task, protocol),
            *run_notes(paths, specs, store, protocol),
            *leak_notes,
            *doubts,
        ],
    )


class _Job(NamedTuple):
    """One encoder to be evaluated with one seed."""

    row: str
    seed: int
    model: LoadedEncoder | None = None
    keep_heads: bool = False


def _jobs(of_table: Task, models: Sequence[LoadedEncoder], seeds: int, baselines: int, raw_serves: bool) -> list[_Job]:
    """All results that an evaluation needs, row by row: the models', then those of the baselines."""
    jobs = [_Job(PRETRAINED, seed, model) for model in models for seed in range(seeds if of_table.seeded else 1)]
    jobs += [_Job(UNTRAINED, seed) for seed in range(baselines)]
    raw = baselines if raw_serves else 0
    jobs += [_Job(RAW, seed) for seed in range(raw if of_table.seeded else min(raw, 1))]
    return jobs


class _Shared(NamedTuple):
    """What all jobs of an evaluation have in common."""

    task: str
    setup: Setup
    in_bfloat16: bool


def _result(job: _Job, shared: _Shared) -> TaskResult:
    """What the job's encoder comes to."""
    of_table, setup = TASKS[shared.task], shared.setup
    encoder: ClipEncoder
    if job.row == RAW:
        encoder = of_table.raw(setup)
    else:
        known = job.model.encoder.to(setup.device) if job.model else None
        encoder = known or untrained(setup, job.seed, of_recordings=of_table.of_recordings)
        encoder = InBfloat16(encoder) if shared.in_bfloat16 else encoder
    with threads(evaluation_threads(setup.spec.hidden_size, setup.device)):
        result = of_table.evaluate(encoder, setup, job.seed)
    return result if job.keep_heads else replace(result, heads={})


def untrained(setup: Setup, seed: int, of_recordings: bool = False) -> Encoder:
    """The encoder of the setup with fresh weights; where its features are normalised, by what trains the task."""
    encoder = setup.spec.build(1000 + seed).to(setup.device)
    if setup.spec.normalise_features and of_recordings:
        chosen = setup.settings.detection
        windows = windows_to_fit(setup.recordings, setup.train, chosen.test_stride, chosen.frames)
        fit_readout(setup.recordings.feed.adapted(encoder), windows)
    elif setup.spec.normalise_features:
        fit_readout(setup.clips.feed.adapted(encoder), clips_to_fit(setup.clips, setup.train))
    return encoder


def useful_processes(hidden_size: int, device: Device) -> int:
    """How many processes that evaluate encoders of this width keep the machine busy: a narrow one uses one core."""
    chosen = choose_device(device)
    return 1 if chosen.type == "cuda" else max(cores() // evaluation_threads(hidden_size, chosen), 1)


def work(task: str, models: int, seeds: int, settings: TaskSettings) -> int:
    """How often `evaluate` will call its `on_progress`."""
    each = seeds if TASKS[task].seeded else 1
    return models * each + seeds + (each if TASKS[task].raw_serves(settings) else 0)


def _check_compatible(models: Sequence[Path], specs: Sequence[EncoderSpec], store: ClipStore) -> None:
    """Raises CheckpointError unless all encoders are of one recipe, so that their mean makes sense, and can be fed with
    the store's clips.
    """
    for path, spec in zip(models, specs, strict=True):
        spec.check_compatible(format_of(store), str(path))
        methods = [of.provenance.method for of in (specs[0], spec)]
        if methods[0] != methods[1]:
            raise CheckpointError(
                f"{path}: expected a run of the method {methods[0]} as {models[0]}, whose mean is reported, got one of "
                f"{methods[1]}: evaluate them one by one, or side by side by pcm3 reproduce rows"
            )
        if (spec.stream, spec.frames) != (specs[0].stream, specs[0].frames):
            raise CheckpointError(
                f"{path}: expected stream {specs[0].stream} and {specs[0].frames} frames as {models[0]}, got "
                f"{spec.stream} and {spec.frames}: evaluate them one by one"
            )


def _check_labels(store: ClipStore) -> None:
    """Raises DataError where a clip has a label that no class has: heads are as wide as there are classes."""
    classes = len(store.classes) or CLASSES_LIMIT
    wrong = np.flatnonzero((store.label < UNKNOWN) | (store.label >= classes))
    if len(wrong):
        first = f"{store.ids[wrong[0]]}: {store.label[wrong[0]]}"
        raise DataError(
            f"{store.path}: expected labels 0 to {classes - 1}, of its classes, got others in "
            f"{counted(len(wrong), 'clip')} ({first}): import again with the right labels or classes"
        )


def _leaks(
    store: ClipStore, protocol: str, test: Indices, of_recordings: bool, *, without: bool
) -> tuple[Indices, list[str]]:
    """The test clips, or recordings, to evaluate on; and what there is to say about copies of training clips there."""
    known = remembered(store)
    if known is None and without:
        known = audit(store)
    if known is None:
        check = command("pcm3", "check", store.path)
        return test, [f"not checked for test clips that are copies of training clips: {check}"]
    leaked = leaked_clips(store, known.get(protocol, []))
    copied = np.isin(test, store.recording[leaked] if of_recordings else leaked)
    if not copied.any():
        return test, []
    what = "test recordings hold" if of_recordings else "test clips are"
    leaks = f"{copied.sum():,} of {len(test):,} {what} copies of training clips"
    if not without:
        return test, [f"{leaks}: --without-leaks leaves them out"]
    if copied.all():
        raise DataError(f"{store.path}: {leaks} under {protocol}: none is left to evaluate on")
    return test[~copied], [f"{leaks} and were left out"]


def _non_default_settings(setup: Setup, task: str) -> list[str]:
    """That the metrics are not the protocol's, where its settings were changed."""
    changed = setup.settings.non_default_settings(TASKS[task].groups)
    return [f"not the protocol's settings: {', '.join(changed)}"] if changed else []
