"""Results as files: JSON for scripts, Markdown for reading, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pcm3.data.names import file_name
from pcm3.data.store import ClipStore
from pcm3.files import write_atomically, write_json
from pcm3.report.harmed import harmed_picture
from pcm3.report.motion import motion_strips, moving_clips
from pcm3.report.occluded import occluded_picture
from pcm3.report.pictures import confusion_matrix
from pcm3.report.tables import markdown_table
from pcm3.report.timeline import timelines
from pcm3.summary import counted
from pcm3.tasks.detection.evaluate import DetectionResult
from pcm3.tasks.detection.files import write_segments
from pcm3.tasks.evaluate import Evaluation
from pcm3.tasks.prediction.evaluate import PredictionResult
from pcm3.tasks.task_table import Picture

MOST_DRAWN = 6
"""Test recordings in the picture of a detection."""


def write_evaluation(evaluation: Evaluation, store: ClipStore, folder: Path) -> list[Path]:
    """``<task>-<protocol>.json``, ``.md`` and a picture in the folder; for detection what was found, too, as text files
    in the data set's official form. Returns the paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{evaluation.name}-{file_name(evaluation.protocol)}"
    data, text = folder / f"{stem}.json", folder / f"{stem}.md"
    about = {"kind": store.kind, "clips": len(store), "checksum": store.checksum}
    write_json(data, evaluation.to_dict() | {"store": about})
    steps = ", ".join(f"{steps:,}" for steps in evaluation.steps)
    lines = [
        f"# {evaluation.name}, {store.kind} {evaluation.protocol}",
        "",
        f"{evaluation.train_clips:,} training {evaluation.what}, {evaluation.test_clips:,} test {evaluation.what}; "
        f"models {', '.join(evaluation.models)} after {steps} steps; {counted(evaluation.seeds, 'seed')}.",
        "",
        markdown_table(evaluation.header, evaluation.table()),
        *(f"\nNote: {note}" for note in evaluation.notes),
    ]
    write_atomically(text, lambda file: file.write(("\n".join(lines) + "\n").encode()))
    return [data, text, *PICTURES[evaluation.picture](evaluation, store, folder, stem)]


def _confusion(evaluation: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """Which class was taken for which."""
    if evaluation.first.predicted is None:
        return []
    picture = folder / f"{stem}-confusion.png"
    title = f"{evaluation.name}, {store.kind} {evaluation.protocol}: {evaluation.first.metrics['top1']:.1f} %"
    confusion_matrix(evaluation.target, evaluation.first.predicted, store.classes, picture, title)
    return [picture]


def _timelines(evaluation: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """What was found in some test recordings, beside the truth; and all of it as text."""
    result = evaluation.first.details
    assert store.recordings is not None
    assert isinstance(result, DetectionResult)
    names = store.recordings.ids
    tested = evaluation.setup.test
    files = folder / f"{stem}-found"
    write_segments(files, result.predicted, {int(video): str(names[video]) for video in tested})
    picture, selected = folder / f"{stem}-timeline.png", [int(video) for video in tested[:MOST_DRAWN]]
    seconds = {video: float(store.recordings.length[video] / store.fps) for video in selected}
    predicted, true = (all_of.take(np.isin(all_of.video, selected)) for all_of in (result.predicted, result.true))
    timelines(
        predicted, true, {video: str(names[video]) for video in selected}, store.classes, seconds, store.fps, picture
    )
    return [picture, files]


def _motion(evaluation: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """Predicted bodies over the true ones."""
    picture = folder / f"{stem}-motion.png"
    assert isinstance(evaluation.first.details, PredictionResult)
    clips = moving_clips(evaluation.first.details, evaluation.setup.motions)
    motion_strips(clips, store.layout, store.normalised, picture)
    return [picture]


def _occluded(evaluation: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """A few test clips, and what is left of them."""
    picture = folder / f"{stem}-clips.png"
    selected = evaluation.setup.test[np.linspace(0, len(evaluation.setup.test) - 1, 4).astype(int)]
    occluded_picture(
        store, [int(clip) for clip in dict.fromkeys(selected)], picture, evaluation.setup.settings.occlusion
    )
    return [picture]


def _harmed(evaluation: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """A test clip, and all that was done to it."""
    picture, setup = folder / f"{stem}-clips.png", evaluation.setup
    selected = [int(setup.test[len(setup.test) // 2])]
    harmed_picture(store, selected, setup.spec.frames, picture, setup.settings.robustness)
    return [picture]


PICTURES: dict[Picture, Callable[[Evaluation, ClipStore, Path, str], list[Path]]] = {
    "confusion": _confusion,
    "timelines": _timelines,
    "motion": _motion,
    "occlusion": _occluded,
    "harmed": _harmed,
}
"""What draws each kind of picture."""
