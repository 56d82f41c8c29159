"""Results as files: JSON for scripts, Markdown for reading, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pcm3.data.store import ClipStore
from pcm3.files import write_atomically, write_json
from pcm3.report.pictures import confusion_matrix
from pcm3.report.tables import markdown_table

if TYPE_CHECKING:
    from pcm3.tasks.evaluate import Evaluation


def write_evaluation(found: Evaluation, store: ClipStore, folder: Path) -> list[Path]:
    """``<task>-<protocol>.json``, ``.md`` and the confusion matrix in the folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{found.task}-{found.protocol}"
    data, text, picture = folder / f"{stem}.json", folder / f"{stem}.md", folder / f"{stem}-confusion.png"
    write_json(data, found.to_dict() | {"store": {"kind": store.kind, "clips": len(store), "checksum": store.checksum}})
    lines = [
        f"# {found.task}, {store.kind} {found.protocol}",
        "",
        f"{found.train_clips:,} training clips, {found.test_clips:,} test clips; models {', '.join(found.models)} "
        f"after {', '.join(f'{steps:,}' for steps in found.steps)} steps; {found.seeds} seeds.",
        "",
        markdown_table(found.HEADER, found.table()),
        *(f"\nNote: {note}" for note in found.notes),
    ]
    write_atomically(text, lambda file: file.write(("\n".join(lines) + "\n").encode()))
    title = f"{found.task}, {store.kind} {found.protocol}: {found.rows[0].to_dict()['top1']:.1f} %"
    confusion_matrix(found.target, found.predicted, store.classes, picture, title)
    return [data, text, picture]
