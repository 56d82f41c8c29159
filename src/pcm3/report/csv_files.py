"""Rows as CSV, as spreadsheets and other programs read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from pcm3.files import write_atomically

Value = str | float | int | None


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """A file in UTF-8 with a header; numbers with as many digits as float32 has, None as an empty cell."""

    def write(opened: BinaryIO) -> None:
        text = io.TextIOWrapper(opened, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(header)
        for row in rows:
            writer.writerow([f"{cell:.9g}" if isinstance(cell, float) else cell for cell in row])
        text.detach()

    write_atomically(file, write)
