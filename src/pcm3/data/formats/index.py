"""Files of one's own as a source: which recordings there are, on which skeleton, in which unit, at which rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pcm3.data.archives import Entry, Skipped, list_entries
from pcm3.data.formats.clip_columns import read_group, split_tables
from pcm3.data.formats.joints import arranged, layout_of
from pcm3.data.formats.labels import SPLIT, label
from pcm3.data.formats.motion_file import About, FileFormat, FileGroup, MotionFile, Span
from pcm3.data.formats.scale import Scale, find_scale, in_metres
from pcm3.data.names import check_name, printable
from pcm3.data.recording import UNKNOWN, Interval, Recording, metres
from pcm3.data.resample import resample
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.data.store import BY_SPLIT
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import Layout

PROBED = 8
"""Recordings that are looked at to tell skeleton, unit and rate of all."""


DEEPEST = 8
"""Folders that may stand before a recording's name."""


@dataclass(frozen=True)
class Source:
    """What holds of all recordings of a source."""

    layout: Layout
    scale: Scale
    fps: float
    options: Options
    subjects: dict[str, int]
    cameras: dict[str, int]
    classes: tuple[str, ...]
    untrimmed: bool
    """Whether any of them has labelled parts; those that have one label as a whole are one such part then."""


def index(source: Path, options: Options, *, form: FileFormat) -> SourceIndex:
    """The recordings of that format under the source, see `index_entries`."""
    return index_entries(str(source), *list_entries(source), options, form=form)


def index_entries(
    where: str,
    entries: Sequence[Entry],
    unusable: list[Skipped],
    options: Options,
    *,
    form: FileFormat,
    as_named: bool = False,
) -> SourceIndex:
    """The recordings of that format among some files, by their names; those of a table in its order.

    Args:
        where: what errors call them.
        entries: the files.
        unusable: what was found beside them and cannot be read, and why.
        options: what the user says of them.
        form: of the files; others among them are passed over.
        as_named: in the order of the files, which may stand there twice, and not by name.

    Raises:
        DataError: skeleton, unit or rate cannot be told, and are asked for; or none of the files looked at can be read.
        ConfigError: an option that makes no sense.
    """
    if not 0 <= options.min_score <= 1:
        raise ConfigError(f"setting min_score: expected 0 to 1, got {options.min_score:g}")
    in_files = sorted(form.group(list(dict.fromkeys(entries)), form.suffixes), key=lambda group: group.file)
    recordings, table_notes = split_tables(form, in_files, options.columns)
    if not recordings:
        return SourceIndex([], unusable=unusable)
    named = _ids(recordings)
    in_tables = len(recordings) > len(in_files)
    ids = (
        _by_file(named, entries if as_named else sorted(set(entries), key=str))
        if as_named or in_tables
        else sorted(named)
    )
    groups = [named[name] for name in ids]
    files = _probe(where, form, groups, options)
    usual = Counter(file.joints for file in files).most_common(1)[0][0]
    typical = next(file for file in files if file.joints == usual)
    layout, layout_notes = layout_of(where, typical, options.layout)
    usable = [arranged_file for file in files if (arranged_file := _arranged(file, layout)) is not None]
    if not usable:
        arranged(where, typical, layout)  # says why not
    scale = find_scale(where, usable, layout, options.units)
    fps, fps_notes = _fps(where, files, options)
    labelling = label(groups, options.labels, options.pattern or form.pattern, ids)
    classes = sorted({name for about in labelling.about for name in _labels(about) if name})
    for name in classes:
        check_name("class names", name)
    subjects, subject_notes = _numbers("subjects", {about.subject for about in labelling.about})
    cameras, camera_notes = _numbers("cameras", {about.camera for about in labelling.about})
    untrimmed = any(about.spans for about in labelling.about)
    source = Source(layout, scale, fps, options, subjects, cameras, tuple(classes), untrimmed)
    clips = [
        SourceClip(name, group.file, partial(read, form, group, name, about, source))
        for name, group, about in zip(ids, groups, labelling.about, strict=True)
    ]
    notes = [
        note
        for note in (
            *layout_notes,
            scale.text,
            *fps_notes,
            *table_notes,
            *labelling.notes,
            *subject_notes,
            *camera_notes,
        )
        if note
    ]
    notes += dict.fromkeys(note for file in files for note in file.notes)
    return SourceIndex(
        clips,
        unusable=unusable,
        classes=tuple(classes),
        layout=layout,
        fps=fps,
        bodies=max(file.frames.shape[1] for file in usable),
        protocols=_protocols(labelling.about, subjects),
        notes=notes,
        missing=labelling.missing,
        in_process=in_tables,
    )


def read(form: FileFormat, group: FileGroup, name: str, about: About, source: Source) -> Recording:
    """A recording in metres on the source's skeleton and at its rate.

    Raises:
        DataError: the file cannot be read, or its skeleton is another one.
    """
    file = arranged(group.name, read_group(form, group, source.options), source.layout)
    frames = in_metres(file.frames, source.scale)
    if file.scores is not None:
        frames = np.where((file.scores < source.options.min_score)[..., None], np.nan, frames)
    present = np.asarray(np.isfinite(frames).all(axis=-1))
    recording = Recording(
        name,
        metres(group.name, frames),
        source.classes.index(about.label) if about.label and not source.untrimmed else UNKNOWN,
        source.subjects.get(about.subject, UNKNOWN),
        source.cameras.get(about.camera, UNKNOWN),
        splits={} if about.side == UNKNOWN else {SPLIT: about.side},
        present=present,
        scores=file.scores,
    )
    rate = file.fps or source.fps
    if source.untrimmed:
        intervals, lost = _intervals(about, rate, len(frames), source.classes)
        recording = replace(recording, intervals=intervals, lost=lost)
    return resample(recording, source.fps / rate) if rate != source.fps else recording


def _probe(where: str, form: FileFormat, groups: Sequence[FileGroup], options: Options) -> list[MotionFile]:
    """Some of the recordings, evenly; the first that cannot be read says why where none can."""
    files, first = [], None
    for place in np.unique(np.linspace(0, len(groups) - 1, PROBED).astype(int)):
        try:
            files.append(read_group(form, groups[place], options))
        except DataError as error:
            first = first or error
    if files:
        return files
    if len(groups) == 1:
        why = str(first).removeprefix(f"{groups[0].own_name}: ")  # the source is named, and its only file not again
        raise DataError(f"{where}: {why}") from first
    raise DataError(f"{where}: none of the {form.name} can be read; {first}") from first


def _arranged(file: MotionFile, layout: Layout) -> MotionFile | None:
    try:
        return arranged("", file, layout)
    except DataError:
        return None


def _fps(where: str, files: Sequence[MotionFile], options: Options) -> tuple[float, list[str]]:
    """The rate of the source: what most of the files say, or what the user says where they do not."""
    rates = Counter(round(file.fps, 3) for file in files if file.fps is not None)
    if rates:
        rate = rates.most_common(1)[0][0]
        others = ", ".join(f"{other:g}" for other in sorted(rates) if other != rate)
        return rate, [f"recordings of {others} frames a second are resampled to {rate:g}"] if others else []
    if options.fps is None:
        raise DataError(f"{where}: how many frames a second? The files do not tell: give them with --fps")
    return options.fps, [f"{options.fps:g} frames a second, as given"]


def _ids(groups: Sequence[FileGroup]) -> dict[str, FileGroup]:
    """The recordings by names: their own, with so many folders before them as tell those of one name apart."""
    same: dict[str, list[FileGroup]] = {}
    for group in groups:
        same.setdefault(group.name, []).append(group)
    ids: dict[str, FileGroup] = {}
    for alike in same.values():
        by_depth = ([_name(group, depth) for group in alike] for depth in range(DEEPEST + 1 if alike[1:] else 1))
        names = max(by_depth, key=lambda names: len(set(names)))  # the first of equals: the fewest folders
        for name, group in zip(names, alike, strict=True):
            taken = 1
            while (own := name if taken == 1 else f"{name}.{taken}") in ids:
                taken += 1
            ids[own] = group
    return ids


def _by_file(named: Mapping[str, FileGroup], entries: Sequence[Entry]) -> list[str]:
    """The recordings by their files, in this order, and by where they begin in a table."""
    of_file: dict[Entry, list[str]] = {}
    for name, group in named.items():
        of_file.setdefault(group.entries[0], []).append(name)
    for names in of_file.values():
        names.sort(key=lambda name: named[name].begins)
    return [name for entry in entries for name in of_file.get(entry, ())]


def _name(group: FileGroup, folders: int) -> str:
    """The recording's name after the names of so many of its folders."""
    above = group.folder.parts[-folders:] if folders else ()
    return printable("/".join((*above, group.name)), 150) or "recording"


def _labels(about: About) -> list[str]:
    return [about.label, *(span.label for span in about.spans)]


def _numbers(what: str, words: set[str]) -> tuple[dict[str, int], list[str]]:
    """A number for each of the names: itself, or its place among them."""
    names = sorted(word for word in words if word)
    if all(word.isascii() and word.isdigit() and len(word) < 7 for word in names):
        own = {word: int(word) for word in names}
        if len(set(own.values())) == len(own):  # 7 and 007 are two
            return own, []
    numbers = {word: number for number, word in enumerate(names, 1)}
    listed = ", ".join(f"{printable(word, 20)} = {number}" for word, number in list(numbers.items())[:4])
    return numbers, [f"{what} by number: {listed}" + (", …" if len(names) > 4 else "")]


def _protocols(about: Sequence[About], subjects: dict[str, int]) -> dict[str, Any]:
    """`split` where the folders tell it, `xsub` where there are several people: every second one trains."""
    protocols: dict[str, Any] = {}
    if any(entry.side != UNKNOWN for entry in about):
        protocols[SPLIT] = BY_SPLIT
    people = sorted(set(subjects.values()))
    if len(people) > 1:
        protocols["xsub"] = {"by": "subject", "train": people[::2]}
    return protocols


def _intervals(
    about: About, fps: float, frames: int, classes: tuple[str, ...]
) -> tuple[tuple[Interval, ...], tuple[Skipped, ...]]:
    """The labelled parts that lie in the recording, by their start; and those that do not."""
    intervals, lost = [], []
    full_span = [Span(0, frames, about.label, in_frames=True)] if about.label and not about.spans else []
    for span in (*about.spans, *full_span):
        start, stop = (round(end if span.in_frames else end * fps) for end in (span.start, span.stop))
        last, lasts = min(stop, frames), frames / fps
        if start < last:
            intervals.append(Interval(start, last, classes.index(span.label) if span.label else UNKNOWN))
        if start >= last or stop > frames + fps:  # labels given by eye may end a second too late
            where = f"{span.start if start >= last else lasts:.4g} to {span.stop:g} s"
            lost.append((where, f"no frame of the recording, which lasts {lasts:.3g} s"))
    return tuple(sorted(intervals, key=lambda interval: (interval.start, interval.stop))), tuple(lost)
