"""Labels that are given on the page: one CSV file beside the store, the one that ``pcm3 import --labels`` reads."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from pcm3.data.formats.labels import seconds_of
from pcm3.data.formats.table_text import divider_of
from pcm3.data.names import NOTHING, is_name, printable
from pcm3.errors import ConfigError
from pcm3.report.csv_files import write_csv
from pcm3.summary import counted

HEADER = ("file", "label")
WITH_STRETCHES = (*HEADER, "start", "stop")
"""The columns where there are labels of parts of recordings."""
CHANGED = "labels of this recording were changed elsewhere meanwhile: look at them, and give yours again"

Written = tuple[int, int, int]
"""Of a file: when it was changed, its bytes, its number on the disk."""


class Stretch(NamedTuple):
    """A part of a recording that has a label."""

    start: float
    """Seconds."""
    stop: float
    label: str


@dataclass(frozen=True)
class Labels:
    """What a file holds."""

    clips: dict[str, str] = field(default_factory=dict)
    """Name of a clip → its label, in the order in which they were given."""
    stretches: dict[str, tuple[Stretch, ...]] = field(default_factory=dict)
    """Name of a recording → its labelled parts."""

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Those of the file, below `HEADER` or `WITH_STRETCHES`."""
        empty = ("", "") if self.stretches else ()
        yield from ((name, label, *empty) for name, label in self.clips.items())
        for name, stretches in self.stretches.items():
            yield from ((name, label, f"{start:.10g}", f"{stop:.10g}") for start, stop, label in stretches)


@dataclass(eq=False)
class LabelBook:
    """The label of each clip, and of each part of a recording, that has one; every change is on the disk before `give`
    or `mark` returns.

    The file is written beside its place and renamed, so that a process that is killed leaves the old one or the new
    one. Rows of clips that the store does not have are kept, and so is what somebody writes there meanwhile.
    """

    file: Path
    _labels: Labels = field(repr=False)
    _written: Written | None = field(repr=False)
    """The file whose labels these are; None: there was none."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def open(cls, file: Path) -> LabelBook:
        """The labels in the file; none where it is not there.

        Raises:
            ConfigError: the file is no table of labels.
        """
        written = _written(file)
        return cls(file, Labels() if written is None else _read(file), written)

    def given(self) -> dict[str, str]:
        """Name of a clip → its label, in the order in which they were given."""
        return dict(self._now().clips)

    def stretches(self) -> dict[str, tuple[Stretch, ...]]:
        """Name of a recording → its labelled parts, by their start."""
        return dict(self._now().stretches)

    def give(self, clips: Collection[str], label: str | None, before: Sequence[str | None] | None = None) -> int:
        """These clips have that label from now on, or with None no label; the number of clips that have one.

        Args:
            clips: their names.
            label: the same for all.
            before: the labels that whoever asks for it has seen; it is refused where one is another one now. None:
                whatever there is.

        Raises:
            ConfigError: a label that does not print, is too long, or says in tables that there is none; or somebody
                has made the file one that cannot be read.
            OSError: the file cannot be written; the labels are then as they were.
        """
        _check_label(label)
        with self._lock:
            self._look()
            changed = dict(self._labels.clips)
            for name, expected in zip(clips, before or (), strict=before is not None):
                now = changed.get(name)
                if now not in (expected, label):
                    what = "its label was taken away" if now is None else f"'{printable(now, 30)}' was given to it"
                    raise ConfigError(f"{printable(name)}: {what} elsewhere meanwhile: look, and press the key again")
            for name in clips:
                changed.pop(name, None)
                if label is not None:
                    changed[name] = label
            self._write(Labels(changed, self._labels.stretches))
            return len(changed)

    def mark(self, recording: str, before: Sequence[Stretch], after: Sequence[Stretch]) -> None:
        """A recording has these labelled parts from now on.

        Args:
            recording: its name.
            before: what whoever asks for it has seen there; it is refused where the file says something else.
            after: by their start.

        Raises:
            ConfigError: somebody has changed them meanwhile, or as for `give`.
            OSError: as for `give`.
        """
        for stretch in after:
            _check_label(stretch.label)
        with self._lock:
            self._look()
            marked = dict(self._labels.stretches)
            if marked.pop(recording, ()) != tuple(before):
                raise ConfigError(CHANGED)
            if after:
                marked[recording] = tuple(after)
            self._write(Labels(self._labels.clips, marked))

    def _now(self) -> Labels:
        with self._lock:
            with suppress(ConfigError):  # the next `give` tells what is wrong with the file
                self._look()
            return self._labels

    def _look(self) -> None:
        """Reads the file again where somebody has changed it; where it was taken away, the labels stay."""
        now = _written(self.file)
        if now is not None and now != self._written:
            self._labels, self._written = _read(self.file), now

    def _write(self, changed: Labels) -> None:
        write_csv(self.file, WITH_STRETCHES if changed.stretches else HEADER, changed.rows())
        self._labels, self._written = changed, _written(self.file)


def _check_label(label: str | None) -> None:
    if label is not None and not (is_name(label) and label == label.strip()):
        raise ConfigError("label: expected 1 to 200 characters that print, with no space around them")
    if label in NOTHING:
        raise ConfigError(f"label: '{label}' says in a table that there is no label: choose another word")


def _written(file: Path) -> Written | None:
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
    return about.st_mtime_ns, about.st_size, about.st_ino


def _read(file: Path) -> Labels:
    """The labels in a file, also where a spreadsheet or an editor saved it. Raises ConfigError with the line."""
    lines = None
    try:
        text = file.read_bytes().decode("utf-8-sig")
        lines = csv.reader(StringIO(text, newline=""), strict=True, delimiter=divider_of(text) or ",")
        header = tuple(name.strip().lower() for name in next(lines, []))
        if header not in (HEADER, WITH_STRETCHES):
            got = printable(",".join(header)) or "nothing"
            raise ValueError(f"expected the columns file,label or file,label,start,stop, got {got}")
        clips: dict[str, str] = {}
        stretches: dict[str, list[Stretch]] = {}
        for row in filter(None, lines):
            if len(row) != len(header):
                raise ValueError(f"expected {','.join(header)}, got {counted(len(row), 'cell')}")
            name, label = row[0], row[1].strip()
            if not is_name(name) or (label and not is_name(label)):
                raise ValueError(f"expected names of 1 to 200 characters that print, got {printable(','.join(row))}")
            if any(row[2:]):
                stretches.setdefault(name, []).append(Stretch(*_seconds(row), label))
            elif label and clips.setdefault(name, label) != label:
                first, second = printable(clips[name], 30), printable(label, 30)
                raise ValueError(f"expected one label for '{printable(name)}', got '{first}' and '{second}'")
    except UnicodeDecodeError:
        why = "expected text in UTF-8"
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    except (ValueError, csv.Error) as error:
        why = f"{f'line {lines.line_num}: ' if lines and lines.line_num else ''}{error}"
    else:
        return Labels(clips, {name: tuple(sorted(parts)) for name, parts in stretches.items()})
    raise ConfigError(f"{file}: labels that the explorer keeps: {why}: mend it, or move the file away") from None


def _seconds(row: Sequence[str]) -> tuple[float, float]:
    """From and to of a part of a recording. Raises ValueError."""
    with suppress(ValueError):
        if row[1].strip():
            return seconds_of(row[2], row[3])
    raise ValueError(f"expected a label from and to seconds, from first, got {printable(','.join(row[1:]), 40)}")
