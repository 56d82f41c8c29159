"""Three streams together: encoders of joints, bones and motion are judged one by one, and their verdicts are summed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pcm3.data.store import ClipStore
from pcm3.errors import CheckpointError, ConfigError
from pcm3.geometry import STREAMS
from pcm3.tasks.evaluate import STREAMS_SUFFIX, Evaluation, evaluate
from pcm3.tasks.fusion import fusion
from pcm3.tasks.result_table import Row
from pcm3.tasks.task_table import TASKS, Verdict

FUSED = ("linear", "linear-cached", "finetune")
"""Tasks whose verdicts are logits, which can be summed."""
SHOWN = ("top1", "top1_logits_664", "top1_scores_equal", "top1_scores_664", *(f"top1_{name}" for name in STREAMS))


def streams_of(folder: Path) -> list[str]:
    """The streams that a folder holds a run of each, in folders of their names; none where it is a run itself."""
    return [name for name in STREAMS if (folder / name).is_dir()]


def stream_runs(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Stream → its run in each of the folders, which ``pcm3 pretrain --streams`` wrote.

    Raises:
        CheckpointError: folders that do not hold the same streams.
    """
    names = streams_of(folders[0])
    for folder in folders:
        if streams_of(folder) != names:
            raise CheckpointError(f"{folder}: expected the streams {', '.join(names)} as in {folders[0]}")
    return {name: [folder / name for folder in folders] for name in names}


def evaluate_streams(
    task: str,
    runs: Mapping[str, Sequence[Path]],
    store: ClipStore,
    protocol: str,
    tick: Callable[[str], object] = lambda told: None,
    **settings: Any,
) -> Evaluation:
    """The task for each stream, and for their sum: equal weights and .6, .6, .4, of logits and of softmax scores.

    Args:
        task: one of `FUSED`.
        runs: stream → its runs, as many for each: those of one place go together.
        store: labelled clips.
        protocol: the split.
        tick: called with a word whenever something is done.
        settings: as of `evaluate`.

    Raises:
        ConfigError: a task without logits.
        CheckpointError: whatever `evaluate` says of a run.
    """
    if task not in FUSED:
        raise ConfigError(f"streams can be fused in {', '.join(FUSED)}, not in {task}: give --model one stream's run")
    alone = {name: evaluate(task, models, store, protocol, tick=tick, **settings) for name, models in runs.items()}
    first = next(iter(alone.values()))
    rows = [_fused_row(number, alone, first) for number in range(len(first.rows))]
    notes = [note for found in alone.values() for note in found.notes]
    return replace(
        first,
        task=task + STREAMS_SUFFIX,
        models=[model for found in alone.values() for model in found.models],
        steps=[steps for found in alone.values() for steps in found.steps],
        rows=rows,
        first=Verdict(rows[0].results[0].figures, rows[0].results[0].predicted, rows[0].results[0]),
        notes=list(dict.fromkeys(notes)),
        columns=tuple(name for name in SHOWN if name in rows[0].figures),
    )


def _fused_row(number: int, alone: dict[str, Evaluation], first: Evaluation) -> Row:
    """One kind of encoder: for every run and seed the streams' sum. Seeds go together in their order."""
    row = Row(first.rows[number].name)
    results = zip(*(found.rows[number].results for found in alone.values()), strict=True)
    for of_each in results:
        fused = fusion({name: one.logits for name, one in zip(alone, of_each, strict=True)}, first.target)
        row.add(fused.figures, fused)
    return row


assert set(FUSED) <= set(TASKS)
