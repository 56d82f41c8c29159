"""What a long import has done so far, kept beside its frames, so that a killed one goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

PROGRESS = "progress.jsonl"
"""The file: a line that says which work it is, then one for each saving. The store that is made in the end has none."""


class Progress:
    """The lines of such a file; opened, it holds what an earlier process has left of the same work."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        self.entries: list[dict[str, Any]] = read_progress(file, fingerprint)
        """What was saved, in its order."""
        self._file = file
        self._title = "" if self.entries else json.dumps({"fingerprint": fingerprint}) + "\n"

    def save(self, entry: dict[str, Any]) -> None:
        """Adds a line, and has the disk hold it."""
        with self._file.open("a" if not self._title else "w", encoding="utf-8") as file:
            file.write(self._title + json.dumps(entry, ensure_ascii=False) + "\n")
            self._title = ""
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Removes the file: the work is complete."""
        self._file.unlink(missing_ok=True)


def read_progress(file: Path, fingerprint: str) -> list[dict[str, Any]]:
    """What was saved of this work; nothing where there is no such file, or it is of other work.

    A line that was being written when its process died is cut off, with whatever follows.
    """
    try:
        lines = file.read_bytes().split(b"\n")
        if json.loads(lines[0]) != {"fingerprint": fingerprint}:
            return []
    except (OSError, ValueError):
        return []
    entries = []
    for line in lines[1:-1]:  # what follows the last end of a line is empty, or was not written to its end
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    complete = b"\n".join([*lines[: len(entries) + 1], b""])
    if file.stat().st_size != len(complete):
        os.truncate(file, len(complete))
    return entries
