"""Recordings of any form that pcm3 reads, by the names of their files: what the library takes in place of arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pcm3.data.archives import Skipped
from pcm3.data.datasets import find_dataset
from pcm3.data.recognise import AUTO, recognise
from pcm3.data.recording import Recording
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.skeleton import Layout, load_layout

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Recordings:
    """The recordings of some files, and what holds of all of them."""

    recordings: list[Recording]
    layout: Layout
    fps: float
    classes: tuple[str, ...]
    notes: list[str]
    """What was guessed, in whole lines."""
    lost: list[Skipped]
    """Files that could not be read, and why."""


def read_recordings(
    paths: Paths, *, kind: str = AUTO, layout: str | Path | Layout | None = None, fps: float | None = None
) -> list[Recording]:
    """The recordings in files, folders or zips, in metres, as they were recorded: nothing chosen, filled or turned.

    Args:
        paths: one or several; all recordings must be of one skeleton and one rate.
        kind: of all of them, as ``pcm3 import`` calls it; ``auto``: told by looking at each.
        layout: of files that do not tell their skeleton: a name, a TOML file, or a `Layout`.
        fps: frames a second of files that do not tell them.

    Raises:
        DataError: a file cannot be read, or what it does not tell is missing.
    """
    files = read_files(paths, kind=kind, layout=layout, fps=fps)
    if files.lost:
        raise DataError(": ".join(files.lost[0]))
    return files.recordings


def read_files(
    paths: Paths, *, kind: str = AUTO, layout: str | Path | Layout | None = None, fps: float | None = None
) -> Recordings:
    """As `read_recordings`, with layout, rate and class names.

    Raises:
        DataError: as `read_recordings`; two paths of different skeletons, rates or classes.
    """
    given = load_layout(layout) if isinstance(layout, str | Path) else layout
    sources = [paths] if isinstance(paths, str | Path) else list(paths)
    if not sources:
        raise DataError("expected the name of a file at least, got none")
    read = [_read(Path(source), kind, given, fps) for source in sources]
    first = read[0]
    for source, other in zip(sources[1:], read[1:], strict=True):
        for what in ("layout", "fps", "classes"):
            if getattr(other, what) != getattr(first, what):
                mine, theirs = (_shown(getattr(files, what)) for files in (other, first))
                raise DataError(f"{source}: expected {what} {theirs} as in {sources[0]}, got {mine}: read them apart")
    recordings = _told_apart([recording for files in read for recording in files.recordings])
    notes = list(dict.fromkeys(note for files in read for note in files.notes))
    lost = [skipped for files in read for skipped in files.lost]
    return Recordings(recordings, first.layout, first.fps, first.classes, notes, lost)


def _read(source: Path, kind: str, layout: Layout | None, fps: float | None) -> Recordings:
    notes = []
    if kind == AUTO:
        belief = recognise(source)
        kind, notes = belief.kind, [belief.why]
    dataset = find_dataset(kind)
    index = dataset.read(source, Options(None if dataset.layout else layout, fps=fps))
    if not index.clips:
        why = f": {index.unusable[0][1]}" if index.unusable else ""
        raise DataError(f"{source}: no recordings of kind {kind} there{why}")
    skeleton = index.layout or load_layout(str(dataset.layout))
    classes = dataset.classes if index.classes is None else index.classes
    recordings, lost = [], list(index.unusable)
    for clip in index.clips:
        try:
            recordings.append(clip.read())
        except DataError as error:
            reason = str(error).removeprefix(f"{clip.id}: ").removeprefix(f"{clip.file}: ")
            lost.append((clip.file, reason))
    if not recordings:
        raise DataError(": ".join(lost[0]))
    rate = index.fps or dataset.fps or fps or 30.0
    return Recordings(recordings, skeleton, rate, classes, notes + index.notes, lost)


def _told_apart(recordings: list[Recording]) -> list[Recording]:
    """The recordings with ids that differ: of files of one name in several folders, ``walk`` and ``walk.2``."""
    count: Counter[str] = Counter()
    apart = []
    for recording in recordings:
        count[recording.id] += 1
        again = count[recording.id]
        apart.append(recording if again == 1 else replace(recording, id=f"{recording.id}.{again}"))
    return apart


def _shown(value: object) -> str:
    return value.name if isinstance(value, Layout) else f"{value}"
