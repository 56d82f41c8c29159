"""Three streams together: encoders of joints, bones and motion are evaluated one by one, and their logits summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pcm3.data.store import ClipStore
from pcm3.encoders.files import is_model, load_encoder
from pcm3.errors import CheckpointError, ConfigError
from pcm3.geometry import STREAMS
from pcm3.tasks.evaluate import Evaluation, LoadedEncoder, evaluate
from pcm3.tasks.fusion import fusion
from pcm3.tasks.result_table import Row
from pcm3.tasks.task_table import TASKS, TaskResult

FUSED = ("linear", "linear-cached", "finetune")
"""Tasks whose results are logits, which can be summed."""
METRICS = ("top1", "top1_logits_664", "top1_scores_equal", "top1_scores_664", *(f"top1_{name}" for name in STREAMS))


def streams_of(folder: Path, of_run: bool = False) -> dict[str, Path]:
    """The streams that a folder holds a model of each, in folders of their names; none where it is a model itself.

    `of_run`: where it is the run of a method that trains an encoder for each stream (as CMD does), all of them: the
    run's own model and those in the folders beneath it.
    """
    beneath: dict[str, Path] = {name: folder / name for name in STREAMS if (folder / name).is_dir()}
    if not is_model(folder):
        return beneath
    if not of_run or not beneath:
        return {}
    own = load_encoder(folder)[1].stream
    return {name: folder if name == own else beneath[name] for name in STREAMS if name == own or name in beneath}


def stream_runs(folders: Sequence[Path], of_runs: bool = False) -> dict[str, list[Path]]:
    """Stream → its model in each of the folders, see `streams_of`; empty where they are no folders of streams.

    Raises:
        CheckpointError: folders that do not hold the same streams.
    """
    each = [streams_of(folder, of_runs) for folder in folders]
    for folder, streams in zip(folders, each, strict=True):
        if list(streams) != list(each[0]):
            expected = ", ".join(each[0]) or "none"
            raise CheckpointError(
                f"{folder}: expected the streams {expected} as in {folders[0]}, got {', '.join(streams) or 'none'}"
            )
    return {name: [streams[name] for streams in each] for name in each[0]}


def not_fused(task: str, each_alone: bool = False) -> str | None:
    """Why streams cannot be fused in a task, and what to do; None where they can.

    `each_alone`: what was given is a model in itself, too, as the run of a method that leaves an encoder a stream.
    """
    if task in FUSED:
        return None
    instead = (
        "leave out --fuse, and a run's main stream is evaluated" if each_alone else "give --model one stream's run"
    )
    return f"streams can be fused in {', '.join(FUSED)}, not in {task}: {instead}"


def evaluate_streams(
    task: str,
    runs: Mapping[str, Sequence[Path | LoadedEncoder]],
    store: ClipStore,
    protocol: str,
    **settings: Any,
) -> Evaluation:
    """The task for each stream, and for their sum: equal weights and .6, .6, .4, of logits and of softmax scores.

    `runs`: stream → its runs, as many for each; those of one place go together. `settings`: as of `evaluate`.

    Raises:
        ConfigError: a task without logits.
        CheckpointError: whatever `evaluate` says of a run.
    """
    if (reason := not_fused(task)) is not None:
        raise ConfigError(reason)
    alone = {name: evaluate(task, models, store, protocol, **settings) for name, models in runs.items()}
    each = list(alone.values())
    rows = [_fused_row(index, alone, each[0]) for index in range(len(each[0].rows))]
    fused, heads = rows[0].results[0], {name: of.first.heads[""] for name, of in alone.items() if of.first.heads}
    return replace(
        each[0],
        models=[model for evaluation in each for model in evaluation.models],
        steps=[steps for evaluation in each for steps in evaluation.steps],
        rows=rows,
        first=TaskResult(fused.metrics, fused, heads),
        notes=notes_of_streams({name: evaluation.notes for name, evaluation in alone.items()}),
        streams=tuple(alone),
        columns=tuple(name for name in METRICS if name in rows[0].metrics),
    )


def notes_of_streams(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Each note once: as it is where every stream has it, else behind the names of those that do."""
    each = dict.fromkeys(note for of_stream in notes.values() for note in of_stream)
    have = {note: [name for name, of_stream in notes.items() if note in of_stream] for note in each}
    return [note if len(names) == len(notes) else f"{' and '.join(names)}: {note}" for note, names in have.items()]


def _fused_row(index: int, alone: Mapping[str, Evaluation], first: Evaluation) -> Row:
    """One kind of encoder: for every run and seed the streams' sum. Seeds go together in their order."""
    row = Row(first.rows[index].name)
    results = zip(*(evaluation.rows[index].results for evaluation in alone.values()), strict=True)
    for of_each in results:
        fused = fusion({name: result.logits for name, result in zip(alone, of_each, strict=True)}, first.target)
        row.add(fused.metrics, fused)
    return row


assert set(FUSED) <= set(TASKS)
