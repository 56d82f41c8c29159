"""Results as files: JSON for scripts, Markdown for reading, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pcm3.data.names import file_name
from pcm3.data.store import ClipStore
from pcm3.files import write_atomically, write_json
from pcm3.report.motion import motion_strips, moving_clips
from pcm3.report.occluded import occluded_picture
from pcm3.report.pictures import confusion_matrix
from pcm3.report.tables import markdown_table
from pcm3.report.timeline import timelines
from pcm3.tasks.detection.files import write_segments

if TYPE_CHECKING:
    from pcm3.tasks.evaluate import Evaluation

SHOWN = 6
"""Test recordings in the picture of a detection."""


def write_evaluation(found: Evaluation, store: ClipStore, folder: Path) -> list[Path]:
    """``<task>-<protocol>.json``, ``.md`` and a picture in the folder; for detection what was found, too, as text files
    in the data set's official form. Returns the paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{found.task}-{file_name(found.protocol)}"
    data, text = folder / f"{stem}.json", folder / f"{stem}.md"
    write_json(data, found.to_dict() | {"store": {"kind": store.kind, "clips": len(store), "checksum": store.checksum}})
    lines = [
        f"# {found.task}, {store.kind} {found.protocol}",
        "",
        f"{found.train_clips:,} training {found.what}, {found.test_clips:,} test {found.what}; models "
        f"{', '.join(found.models)} after {', '.join(f'{steps:,}' for steps in found.steps)} steps; {found.seeds} "
        "seeds.",
        "",
        markdown_table(found.header, found.table()),
        *(f"\nNote: {note}" for note in found.notes),
    ]
    write_atomically(text, lambda file: file.write(("\n".join(lines) + "\n").encode()))
    draw = PICTURES.get(found.task.partition("-")[0], _confusion)
    return [data, text, *draw(found, store, folder, stem)]


def _confusion(found: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """Which class was taken for which."""
    if found.first.predicted is None:
        return []
    picture = folder / f"{stem}-confusion.png"
    title = f"{found.task}, {store.kind} {found.protocol}: {found.first.figures['top1']:.1f} %"
    confusion_matrix(found.target, found.first.predicted, store.classes, picture, title)
    return [picture]


def _timelines(found: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """What was found in some test recordings, beside the truth; and all of it as text."""
    assert store.recordings is not None
    result, names = found.first.result, store.recordings.ids
    tested = found.setup.test
    files = folder / f"{stem}-found"
    write_segments(files, result.predicted, {int(one): str(names[one]) for one in tested})
    picture, shown = folder / f"{stem}-timeline.png", [int(one) for one in tested[:SHOWN]]
    seconds = {one: float(store.recordings.length[one] / store.fps) for one in shown}
    predicted, true = (all_of.take(np.isin(all_of.video, shown)) for all_of in (result.predicted, result.true))
    timelines(predicted, true, {one: str(names[one]) for one in shown}, store.classes, seconds, store.fps, picture)
    return [picture, files]


def _motion(found: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """Predicted bodies over the true ones."""
    picture = folder / f"{stem}-motion.png"
    clips = moving_clips(found.first.result, found.setup.motions)
    motion_strips(clips, store.layout, store.normalised, picture)
    return [picture]


def _occluded(found: Evaluation, store: ClipStore, folder: Path, stem: str) -> list[Path]:
    """A few test clips, and what is left of them."""
    picture = folder / f"{stem}-clips.png"
    shown = found.setup.test[np.linspace(0, len(found.setup.test) - 1, 4).astype(int)]
    occluded_picture(store, [int(clip) for clip in dict.fromkeys(shown)], picture, found.setup.settings.occlusion)
    return [picture]


PICTURES: dict[str, Callable[[Evaluation, ClipStore, Path, str], list[Path]]] = {
    "detection": _timelines,
    "prediction": _motion,
    "occlusion": _occluded,
}
"""Task, without its variant → what draws it; all others are drawn as confusion matrices."""
