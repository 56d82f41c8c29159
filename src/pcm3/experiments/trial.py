"""One trial of a search: a pretraining run without some training subjects, evaluated on these subjects' clips.

Where no subject is held out, it is evaluated on the test side: so it compares what was chosen before.

A folder a trial, named by its settings: a trial that was stopped goes on there, one that was evaluated is read. A run
may be evaluated on several stores, none of which it need have been pretrained on.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.checksums import read_checked_json, with_checksum
from pcm3.clips import ClipEncoder
from pcm3.data.protocol import hold_out, split
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.device import choose_device, evaluation_threads, threads
from pcm3.encoders.files import load_encoder
from pcm3.errors import CheckpointError, ConfigError, RunFailed
from pcm3.experiments.runs import pretrain_in, run_name, with_threads
from pcm3.files import write_json
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.tasks import SubsetSettings, TaskSettings
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED, untrained
from pcm3.tasks.setup import Setup
from pcm3.tasks.task_table import TASKS
from pcm3.train.pace import measure_pace
from pcm3.train.plan import plan_run, resolve, spec_for, training_clips
from pcm3.train.run_folder import RunFolder

METRICS = {"linear": "linear-cached", "retrieval": "retrieval"}
"""Metric of a trial → the task whose top-1 it is."""
RECOGNITION = "recognition"
"""What every trial is evaluated on, where `TASKS` has names of further tasks."""
FEW_LABELS = SubsetSettings(shares=[0.01, 0.1], kinds=["stratified"])
"""Labels that another measurement knows: where all labels leave no room between recipes, few often do."""
ANEW = "remove it, and run again to have it made anew"
"""What to do about a damaged file of a trial."""


@dataclass(frozen=True)
class Trial:
    """What is evaluated, and where it lies."""

    encoder: str
    """`PRETRAINED`, or one of the baselines `UNTRAINED` and `RAW`."""
    store: Path
    """Pretrains."""
    tested: tuple[Path, ...]
    """Stores that it is evaluated on; where subjects are held out, only the one that pretrains."""
    folder: Path
    settings: PretrainSettings
    """Nothing left on "auto"; the last `held_out` of `exclude_subjects` are those to validate on."""
    held_out: int = 1
    """Training subjects that are validated on; none: the clips of the test side are."""
    tasks: tuple[str, ...] = ()
    """Of `TASKS`, beside recognition."""
    task_settings: TaskSettings = field(default_factory=TaskSettings)
    """Of these tasks; recognition has its own."""


def make_trial(
    store: ClipStore,
    settings: PretrainSettings,
    usual: PretrainSettings,
    seed: int,
    out: Path,
    encoder: str,
    held_out: int = 1,
    tested: tuple[Path, ...] = (),
) -> Trial:
    """The trial of these settings with a seed, which chooses the k subjects to validate on (`_left`).

    What is as `usual` is not told by the name of its folder. It is tested on the store that pretrains, or on others.

    Raises:
        ConfigError: the training side has no subject but these.
    """
    left = _left(store, settings, seed, held_out)
    settings, usual = (_filled_in(which, store, seed, left) for which in (settings, usual))
    name = run_name(settings, usual, store)
    place = out / "runs" if encoder == PRETRAINED else out / "baselines" / encoder.replace(" ", "-")
    return Trial(
        encoder,
        store.path,
        tested or (store.path,),
        place / name,
        settings,
        held_out,
    )


def _left(store: ClipStore, settings: PretrainSettings, seed: int, held_out: int) -> list[int]:
    """The subjects that a seed holds out: from all over the list, as children often have the low numbers.

    Where k divides their number, each is held out once before one is a second time.
    """
    if held_out == 0:
        return []
    subjects = validation_subjects(store, settings)
    if held_out >= len(subjects):
        raise ConfigError(
            f"{store.path}: expected fewer subjects to be held out than the {len(subjects)} of the training side, got "
            f"{held_out}"
        )
    apart = len(subjects) // held_out
    order = [subject for first in range(apart) for subject in subjects[first::apart]]
    return [order[(seed * held_out + number) % len(order)] for number in range(held_out)]


def fewest_clips(store: ClipStore, settings: PretrainSettings, held_out: int) -> int:
    """The clips that a trial has to learn from at least, whoever are held out."""
    settings = resolve(settings, store)
    seeds = len(validation_subjects(store, settings)) if held_out else 1
    return min(
        len(training_clips(store, replace(settings, exclude_subjects=[*settings.exclude_subjects, *left])))
        for left in (_left(store, settings, seed, held_out) for seed in range(seeds))
    )


def _filled_in(settings: PretrainSettings, store: ClipStore, seed: int, left: list[int]) -> PretrainSettings:
    settings = replace(settings, seed=seed, exclude_subjects=[*settings.exclude_subjects, *left])
    return resolve(with_threads(settings), store)


def validation_subjects(store: ClipStore, settings: PretrainSettings) -> list[int]:
    """The subjects on the training side, ascending: each can be held out.

    Raises:
        ConfigError: there are no two of them.
    """
    of = store.subject[training_clips(store, resolve(settings, store))]
    there = [int(subject) for subject in np.unique(of[of != UNKNOWN])]
    if len(there) < 2:
        raise ConfigError(
            f"{store.path}: expected at least two subjects among the training clips, so that one can be left out to "
            f"validate on, but there are {len(there)}; docs/YOUR_DATA.md says how clips get a subject"
        )
    return there


def fold(trial: Trial, store: ClipStore) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The clips that a trial learns from, and those that it validates on; where subjects are held out, none is of the
    test side.
    """
    settings = trial.settings
    if store.path != trial.store:
        return split(store, _protocol(trial, store))
    if trial.held_out == 0:
        return training_clips(store, settings), split(store, settings.protocol)[1]
    return hold_out(store, _training_side(trial, store), settings.exclude_subjects[-trial.held_out :])


def _protocol(trial: Trial, store: ClipStore) -> str:
    """The one that the run goes by; of a store that has none of the name, the first."""
    named = trial.settings.protocol
    return named if store.path == trial.store or named in store.protocols else next(iter(store.protocols), named)


def _training_side(trial: Trial, store: ClipStore) -> NDArray[np.int64]:
    """The clips that are learned from or validated on, where subjects are held out."""
    kept_out = trial.settings.exclude_subjects[: -trial.held_out]
    return training_clips(store, replace(trial.settings, exclude_subjects=kept_out))


def evaluated(trial: Trial, shared: None = None) -> list[dict[str, Any]]:
    """What the trial came to on each store that it is tested on.

    Top-1 of linear evaluation and 1-NN, and of logistic regression with `FEW_LABELS`; of further tasks the metrics that
    are shown, after the task's name; and of the run seconds, clips/s, last loss.

    Kept in the folder as ``evaluation*.json``; the weights are not kept. A run whose loss was not finite has only
    ``failed``, the reason.
    """
    stores = [ClipStore.open(path) for path in trial.tested]
    asked = [
        (store, task, trial.folder / _file_name(trial, store, task))
        for store in stores
        for task in served(store, trial.tasks)
    ]
    missing = [of for of in asked if not of[-1].is_file()]
    run = _pretrained_or_failed(trial) if missing and trial.encoder == PRETRAINED else {}
    for store, task, file in missing:
        evaluation = _about(trial) | run | ({} if "failed" in run else _evaluate(trial, store, task))
        trial.folder.mkdir(parents=True, exist_ok=True)
        write_json(file, with_checksum(evaluation))
    _drop_weights(trial.folder)
    results = []
    for tested in stores:
        files = [file for store, _, file in asked if store is tested]
        read = [read_checked_json(file, CheckpointError, ANEW) for file in files]
        results.append({name: value for of in reversed(read) for name, value in of.items()})  # recognition's count
    return results


def served(store: ClipStore, tasks: Sequence[str]) -> list[str]:
    """Recognition and those of the tasks that a store serves: of recordings, one that has untrimmed ones."""
    return [RECOGNITION, *(task for task in tasks if store.recordings is not None or not TASKS[task].of_recordings)]


def _file_name(trial: Trial, store: ClipStore, task: str) -> str:
    """Where an evaluation lies in the trial's folder."""
    words = ["evaluation"] + [store.checksum[:8]] * (store.path != trial.store)
    if task != RECOGNITION:
        words.append(task)
        if others := trial.task_settings.non_default_settings(TASKS[task].groups):
            words.append(hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()[:8])
    return "-".join(words) + ".json"


def _about(trial: Trial) -> dict[str, Any]:
    """What tells its results from those of other trials."""
    settings = trial.settings
    left = settings.exclude_subjects[len(settings.exclude_subjects) - trial.held_out :]
    return {"seed": settings.seed, "held_out": left, "run": trial.folder.name}


def _evaluate(trial: Trial, store: ClipStore, task: str) -> dict[str, Any]:
    """The metrics of recognition or of a further task on a store, and of how many clips they are."""
    settings = trial.settings
    learned, held = fold(trial, store)
    recordings = task != RECOGNITION and TASKS[task].of_recordings
    if recordings:
        learned, held = TASKS[task].splits(store, _protocol(trial, store))
    elif task == RECOGNITION or TASKS[task].by_label:
        learned, held = (clips[store.label[clips] >= 0] for clips in (learned, held))
    device = choose_device(settings.device)
    spec = spec_for(store, settings)
    recognition = task == RECOGNITION
    chosen = TaskSettings(subset=FEW_LABELS) if recognition else trial.task_settings
    setup = Setup(_blind(trial, store), spec, learned, held, chosen, device, features_once=recognition)
    with threads(evaluation_threads(settings.encoder.hidden_size, device)):
        encoder = _encoder(trial, setup, task)
        metrics = (
            _recognised(encoder, setup, settings.seed)
            if task == RECOGNITION
            else _of_task(task, encoder, setup, settings.seed)
        )
    return metrics | {"training_clips": len(learned), "validation_clips": len(held)}


def _recognised(encoder: ClipEncoder, setup: Setup, seed: int) -> dict[str, float]:
    """What every trial is evaluated on."""
    top1 = {metric: TASKS[task].evaluate(encoder, setup, seed).metrics["top1"] for metric, task in METRICS.items()}
    return top1 | TASKS["semi-frozen"].evaluate(encoder, setup, seed).metrics


def _of_task(task: str, encoder: ClipEncoder, setup: Setup, seed: int) -> dict[str, float]:
    """The metrics of a task that are shown, after its name."""
    metrics = TASKS[task].evaluate(encoder, setup, seed).metrics
    return {f"{task}_{name}": metrics[name] for name in TASKS[task].table_metrics or metrics if name in metrics}


def _pretrained_or_failed(trial: Trial) -> dict[str, Any]:
    """What the run came to; only the reason, as ``failed``, of one whose loss was not finite."""
    try:
        return _pretrained(trial)
    except RunFailed as error:
        if isinstance(error.__cause__, OSError):  # a full disk is no fault of the settings
            raise
        return {"failed": str(error)}


def _pretrained(trial: Trial) -> dict[str, Any]:
    """What the run came to, made now or ended."""
    result = asdict(pretrain_in(trial, trial.store))
    return {name: result[name] for name in ("steps", "epochs", "seconds", "clips_per_s", "loss")}


def _encoder(trial: Trial, setup: Setup, task: str) -> ClipEncoder:
    """The encoder to be evaluated, on the setup's device."""
    if trial.encoder == RAW:
        return TASKS["retrieval" if task == RECOGNITION else task].raw(setup)
    if trial.encoder == UNTRAINED:
        of_recordings = task != RECOGNITION and TASKS[task].of_recordings
        return untrained(setup, trial.settings.seed, of_recordings)
    return load_encoder(trial.folder)[0].to(setup.device)


def _blind(trial: Trial, store: ClipStore) -> ClipStore:
    """The store; where subjects are held out, without the labels of all clips that are not on the training side."""
    if trial.held_out == 0:
        return store
    label = np.full_like(store.label, UNKNOWN)
    clips = _training_side(trial, store)
    label[clips] = store.label[clips]
    return replace(store, label=label)


def seconds_a_step(trial: Trial, shared: None = None) -> float | None:
    """How long a step of the trial's run takes, measured once in a few steps; None where it fails.

    Of one thread on the CPU without what other programs took of the core meanwhile: else those trials would have fewer
    steps whose pace is measured while the machine is busy, or that was stopped.

    Kept in the folder as ``pace.json``, so that a search that goes on comes to the same numbers of steps.
    """
    file = trial.folder / "pace.json"
    if not file.is_file():
        settings = trial.settings
        alone = settings.threads == 1 and choose_device(settings.device).type == "cpu" and settings.devices == 1
        store = ClipStore.open(trial.store)
        plan = plan_run(store, trial.folder, settings, measure_pace, lambda line: None)
        try:
            pace = measure_pace(store, plan, time.process_time if alone else time.monotonic)
        except RunFailed as error:
            if isinstance(error.__cause__, OSError):
                raise
            return None
        trial.folder.mkdir(parents=True, exist_ok=True)
        write_json(file, with_checksum({"seconds_a_step": pace}))
    return float(read_checked_json(file, CheckpointError, ANEW)["seconds_a_step"])


def _drop_weights(folder: Path) -> None:
    """Removes what an evaluated run does not need any more, the most of it."""
    run = RunFolder(folder)
    for file in (run.checkpoint, run.encoder, *folder.glob(f"*/{run.encoder.name}")):  # of all encoders of the method
        file.unlink(missing_ok=True)
