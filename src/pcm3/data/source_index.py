"""What a source holds, known before any recording is read: this is what each reader gives the importer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pcm3.data.archives import Entry, Skipped, list_entries
from pcm3.data.recording import Recording
from pcm3.errors import DataError
from pcm3.skeleton import Layout

MIN_SCORE = 0.3
"""A joint of whose place a pose estimator is less sure is taken for absent, unless the user says otherwise."""


@dataclass(frozen=True)
class Options:
    """What a user may say about a source beyond its kind."""

    layout: Layout | None = None
    """The skeleton of a kind that does not fix it."""
    all_files: bool = False
    """Take also the files that the kind's usual list skips."""
    track: Literal["slot", "id"] = "slot"
    """What makes a body the same from frame to frame: its place in the frame, or the number the recorder gave it."""
    labels: str | None = None
    """Which of several files of labels to take, where a source has them (None: the kind's usual one); for files of
    one's own, a table of labels."""
    fps: float | None = None
    """Frames a second of files that do not tell them."""
    units: str | None = None
    """The unit of the coordinates, or the metres in one unit, where it shall not be told from the bodies' size."""
    min_score: float = MIN_SCORE
    """A joint of whose place the source is less sure is absent."""
    pattern: str | None = None
    """How files of one's own are named, ``{subject}_{label}``."""
    fixed_root: bool = False
    """Leave out where the root goes and turns (h36m)."""
    reach: float | None = None
    """Seconds before and after a moment that was tagged that belong to its action (msrc12); None: as the kind says."""
    columns: str | None = None
    """Which columns of tables of one's own tell what of their recordings, ``clip=take,label=action``."""


@dataclass(frozen=True)
class SourceClip:
    """One clip of a source, not read yet."""

    id: str
    file: str
    """Where it lies, as a report names it."""
    read: Callable[[], Recording]


@dataclass(frozen=True)
class SourceIndex:
    """The clips of a source, and what it says of itself where its kind leaves that open (None: as the kind says)."""

    clips: Sequence[SourceClip]
    skipped: list[Skipped] = field(default_factory=list)
    """Files that are not to become clips, and why."""
    unusable: list[Skipped] = field(default_factory=list)
    """Files that should have become clips and cannot, and why: these stop a strict import."""
    kind: str | None = None
    """What the store calls itself, where it is not the data set that the kind is named for."""
    classes: tuple[str, ...] | None = None
    layout: Layout | None = None
    fps: float | None = None
    bodies: int | None = None
    protocols: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    """What a user must know of this source, in whole lines."""
    missing: list[str] = field(default_factory=list)
    """What it does not tell of labels and people, for whoever makes a store of it."""
    chosen: bool = False
    """The bodies are those to keep, in their order: the source was prepared before."""
    normalised: bool = False
    """The clips stand and face as `normalise` leaves them already: turning them again would turn them on."""
    in_process: bool = False
    """The clips share memory and are read best where they are, not in other processes."""


def clip_files(
    entries: Sequence[Entry], suffix: str, parse: Callable[[str, bytes], Recording]
) -> tuple[list[SourceClip], list[Skipped]]:
    """The files with that suffix as clips, by id; and those whose id another one has already.

    Args:
        entries: the files of the source.
        suffix: how the name of a recording ends; what comes before it is the id.
        parse: makes the recording from the file's name and bytes; of the top level of a module, so that it can be
            handed to other processes.
    """
    matching = sorted((e for e in entries if e.name.lower().endswith(suffix.lower())), key=lambda e: (e.name, str(e)))
    clips: dict[str, SourceClip] = {}
    doubles: list[Skipped] = []
    for entry in matching:
        name = entry.name[: -len(suffix)]
        if name in clips:
            doubles.append((str(entry), f"the id '{name}' is taken by '{clips[name].file}'"))
        else:
            clips[name] = SourceClip(name, str(entry), partial(_read, parse, entry))
    return list(clips.values()), doubles


def list_clips(
    source: Path, suffix: str, parse: Callable[[str, bytes], Recording]
) -> tuple[list[SourceClip], list[Entry], list[Skipped]]:
    """The clips under a source, one a file; all its files; and those files that cannot become a clip."""
    entries, refused = list_entries(source)
    clips, doubles = clip_files(entries, suffix, parse)
    return clips, entries, refused + doubles


def _read(parse: Callable[[str, bytes], Recording], entry: Entry) -> Recording:
    return parse(entry.name, entry.read())


def name_numbers(name: str, pattern: str, form: str) -> tuple[int, ...]:
    """The numbers in a file's name: the groups of the pattern, which the name must match from end to end.

    Raises:
        DataError: it does not; ``form`` is how the error spells a right name.
    """
    match = re.fullmatch(pattern, name, re.ASCII)
    if match is None:
        raise DataError(f"{name}: expected a name like {form}")
    return tuple(int(number) for number in match.groups())
