"""Labels that are given on the page: one CSV file beside the store, the one that ``pcm3 import --labels`` reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from threading import Lock

from pcm3.data.formats.table_text import divider_of
from pcm3.data.names import NOTHING, is_name, printable
from pcm3.errors import ConfigError
from pcm3.report.csv_files import write_csv

HEADER = ("file", "label")

Written = tuple[int, int, int]
"""Of a file: when it was changed, its bytes, its number on the disk."""


@dataclass(eq=False)
class LabelBook:
    """The label of each clip that has one; every change is on the disk before `give` returns.

    The file is written beside its place and renamed, so that a process that is killed leaves the old one or the new
    one. Rows of clips that the store does not have are kept, and so is what somebody writes there meanwhile.
    """

    file: Path
    _labels: dict[str, str] = field(repr=False)
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
        return cls(file, {} if written is None else _read(file), written)

    def given(self) -> dict[str, str]:
        """Name of a clip → its label, in the order in which they were given."""
        with self._lock, suppress(ConfigError):  # the next `give` tells what is wrong with the file
            self._look()
        with self._lock:
            return dict(self._labels)

    def give(self, clips: Iterable[str], label: str | None) -> int:
        """These clips have that label from now on, or with None no label; the number of clips that have one.

        Raises:
            ConfigError: a label that does not print, is too long, or says in tables that there is none; or somebody
                has made the file one that cannot be read.
            OSError: the file cannot be written; the labels are then as they were.
        """
        if label is not None and not (is_name(label) and label == label.strip()):
            raise ConfigError("label: expected 1 to 200 characters that print, with no space around them")
        if label in NOTHING:
            raise ConfigError(f"label: '{label}' says in a table that there is no label: choose another word")
        with self._lock:
            self._look()
            changed = dict(self._labels)
            for name in clips:
                changed.pop(name, None)
                if label is not None:
                    changed[name] = label
            write_csv(self.file, HEADER, changed.items())
            self._labels, self._written = changed, _written(self.file)
            return len(changed)

    def _look(self) -> None:
        """Reads the file again where somebody has changed it; where it was taken away, the labels stay."""
        now = _written(self.file)
        if now is not None and now != self._written:
            self._labels, self._written = _read(self.file), now


def _written(file: Path) -> Written | None:
    try:
        about = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
    return about.st_mtime_ns, about.st_size, about.st_ino


def _read(file: Path) -> dict[str, str]:
    """The labels in a file, also where a spreadsheet or an editor saved it. Raises ConfigError with the line."""
    lines = None
    try:
        text = file.read_bytes().decode("utf-8-sig")
        lines = csv.reader(StringIO(text, newline=""), strict=True, delimiter=divider_of(text) or ",")
        header = next(lines, [])
        if tuple(name.strip().lower() for name in header) != HEADER:
            raise ValueError(f"expected the columns file,label, got {printable(','.join(header)) or 'nothing'}")
        labels: dict[str, str] = {}
        for row in filter(None, lines):
            if len(row) != 2:
                raise ValueError(f"expected file,label, got {len(row)} cell{'s' if len(row) > 1 else ''}")
            name, label = row[0], row[1].strip()
            if not is_name(name) or (label and not is_name(label)):
                raise ValueError(f"expected names of 1 to 200 characters that print, got {printable(','.join(row))}")
            if label and labels.setdefault(name, label) != label:
                one, other = printable(labels[name], 30), printable(label, 30)
                raise ValueError(f"expected one label for '{printable(name)}', got '{one}' and '{other}'")
    except UnicodeDecodeError:
        why = "expected text in UTF-8"
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    except (ValueError, csv.Error) as error:
        why = f"{f'line {lines.line_num}: ' if lines and lines.line_num else ''}{error}"
    else:
        return labels
    raise ConfigError(f"{file}: labels that the explorer keeps: {why}: mend it, or move the file away") from None
