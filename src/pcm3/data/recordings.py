"""Recordings of any form that pcm3 reads, by the names of their files: what the library takes in place of arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pcm3.data.archives import Skipped, list_entries
from pcm3.data.datasets import check_options, find_dataset
from pcm3.data.formats.index import index_entries
from pcm3.data.formats.table import FORMATS
from pcm3.data.recognise import AUTO, Belief, recognise
from pcm3.data.recording import Recording
from pcm3.data.resample import resample
from pcm3.data.source_index import Options, SourceIndex
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
        paths: one or several, of one skeleton; those of other rates are resampled to the first one's. What is read
            keeps their order; what lies in one folder is sorted by name.
        kind: of all of them, as ``pcm3 import`` calls it; ``auto``: recognised from each.
        layout: of files that do not tell their skeleton: a name, a TOML file, or a `Layout`.
        fps: frames a second of files that do not hold them.

    Raises:
        DataError: a file cannot be read, or what it does not tell is missing.
    """
    files = read_files(paths, Options(chosen_layout(layout), fps=fps), kind=kind)
    if files.lost:
        raise DataError(": ".join(files.lost[0]))
    return files.recordings


def chosen_layout(layout: str | Path | Layout | None) -> Layout | None:
    """The layout of that name or file."""
    return load_layout(layout) if isinstance(layout, str | Path) else layout


def read_files(paths: Paths, options: Options = Options(), *, kind: str = AUTO) -> Recordings:  # noqa: B008 (frozen)
    """As `read_recordings`, with layout, rate and class names; files of one format are looked at together.

    Args:
        paths: see `read_recordings`.
        options: what the user says of them.
        kind: see `read_recordings`.

    Raises:
        DataError: as `read_recordings`; two paths of different skeletons or classes.
    """
    sources = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not sources:
        raise DataError("expected the name of a file at least, got none")
    beliefs = [Belief(kind, "") if kind != AUTO else recognise(source) for source in sources]
    if len(sources) > 1 and {belief.kind for belief in beliefs} <= {beliefs[0].kind} & FORMATS.keys():
        read = [_together(sources, beliefs[0].kind, options)]
    else:
        read = [_read(source, belief, options) for source, belief in zip(sources, beliefs, strict=True)]
    first = read[0]
    for source, other in zip(sources[1:], read[1:], strict=False):
        for what in ("layout", "classes"):
            if getattr(other, what) != getattr(first, what):
                mine, theirs = (_described(getattr(files, what)) for files in (other, first))
                raise DataError(
                    f"{source}: expected {what} {theirs} as in {sources[0]}, got {mine}: give them apart, one command "
                    "each"
                )
    recordings = [recording for files in read for recording in _at_rate(files, first.fps)]
    notes = list(dict.fromkeys(note for files in read for note in files.notes))
    if others := sorted({files.fps for files in read} - {first.fps}):
        notes.append(f"recordings of {', '.join(f'{rate:g}' for rate in others)} frames a second are resampled to "
                     f"{first.fps:g}")  # fmt: skip
    lost = [skipped for files in read for skipped in files.lost]
    return Recordings(_with_unique_ids(recordings), first.layout, first.fps, first.classes, notes, lost)


def _together(sources: Sequence[Path], kind: str, options: Options) -> Recordings:
    """Paths of one format of users' own as one source: skeleton, unit and rate are those of most of them."""
    check_options(kind, options)
    listed = [list_entries(source) for source in sources]
    entries = [entry for source_entries, _ in listed for entry in source_entries]
    where = f"{sources[0]} and {len(sources) - 1:,} more"
    unusable = [bad for _, refused in listed for bad in refused]
    index = index_entries(where, entries, unusable, options, form=FORMATS[kind], as_named=True)
    return _recordings(where, kind, index, options, [f"taken for {kind}: {len(index.clips):,} recordings"])


def _read(source: Path, belief: Belief, options: Options) -> Recordings:
    dataset = find_dataset(belief.kind)
    check_options(belief.kind, options)
    index = dataset.read(source, replace(options, layout=None) if dataset.layout else options)
    return _recordings(str(source), belief.kind, index, options, [belief.why] if belief.why else [])


def _recordings(where: str, kind: str, index: SourceIndex, options: Options, notes: list[str]) -> Recordings:
    """The recordings of an index, read."""
    if not index.clips:
        why = f": {index.unusable[0][1]}" if index.unusable else ""
        raise DataError(f"{where}: no recordings of kind {kind} there{why}")
    dataset = find_dataset(kind)
    skeleton = index.layout or load_layout(str(dataset.layout))
    classes = dataset.classes if index.classes is None else index.classes
    recordings, lost = [], list(index.unusable)
    for clip in index.clips:
        try:
            recordings.append(clip.read())
        except DataError as error:
            reason = str(error)
            for name in (clip.id, clip.file, Path(clip.file).name):
                reason = reason.removeprefix(f"{name}: ")
            lost.append((clip.file, reason))
    if not recordings:
        raise DataError(": ".join(lost[0]))
    rate = index.fps or dataset.fps or options.fps or 30.0
    return Recordings(recordings, skeleton, rate, classes, notes + index.notes, lost)


def _at_rate(files: Recordings, fps: float) -> list[Recording]:
    """The recordings at so many frames a second."""
    return [resample(recording, fps / files.fps) for recording in files.recordings]


def _with_unique_ids(recordings: list[Recording]) -> list[Recording]:
    """The recordings with ids that differ: of files of one name in several folders, ``walk`` and ``walk.2``."""
    count: Counter[str] = Counter()
    apart = []
    for recording in recordings:
        count[recording.id] += 1
        again = count[recording.id]
        apart.append(recording if again == 1 else replace(recording, id=f"{recording.id}.{again}"))
    return apart


def _described(value: object) -> str:
    return value.name if isinstance(value, Layout) else f"{value}"
