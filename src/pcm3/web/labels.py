"""Labels that are given on the page: one CSV file beside the store, the one that ``pcm3 import --labels`` reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pcm3.data.names import is_name
from pcm3.errors import ConfigError
from pcm3.report.csv_files import write_csv

HEADER = ("file", "label")


@dataclass(frozen=True)
class LabelBook:
    """The label of each clip that has one; every change is on the disk before `give` returns.

    The file is written beside its place and renamed, so that a process that is killed leaves the old one or the new
    one. Rows of clips that the store does not have are kept.
    """

    file: Path
    _labels: dict[str, str] = field(repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def open(cls, file: Path) -> LabelBook:
        """The labels in the file; none where it is not there.

        Raises:
            ConfigError: the file is no table of labels.
        """
        if not file.exists():
            return cls(file, {})
        try:
            with file.open(encoding="utf-8", newline="") as opened:
                header, *rows = list(csv.reader(opened, strict=True))
            if tuple(header) != HEADER or not all(
                len(row) == 2 and is_name(row[0]) and is_name(row[1]) for row in rows
            ):
                raise ValueError("other columns")
        except (OSError, ValueError, csv.Error) as error:
            raise ConfigError(
                f"{file}: expected labels that the explorer wrote (columns {','.join(HEADER)}), which cannot be read "
                f"({error}): move the file away"
            ) from None
        return cls(file, dict(rows))

    def given(self) -> dict[str, str]:
        """Name of a clip → its label, in the order in which they were given."""
        with self._lock:
            return dict(self._labels)

    def give(self, clips: Iterable[str], label: str | None) -> int:
        """These clips have that label from now on, or with None no label; the number of clips that have one.

        Raises:
            ConfigError: a label that does not print, or is too long.
            OSError: the file cannot be written; the labels are then as they were.
        """
        if label is not None and not (is_name(label) and label == label.strip()):
            raise ConfigError("label: expected 1 to 200 characters that print, with no space around them")
        with self._lock:
            changed = dict(self._labels)
            for name in clips:
                changed.pop(name, None)
                if label is not None:
                    changed[name] = label
            write_csv(self.file, HEADER, changed.items())
            self._labels.clear()
            self._labels.update(changed)
            return len(changed)
