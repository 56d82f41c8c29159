"""Actions in PKU-MMD's text form, which other evaluators read: a file a video, ``label,start,end,confidence`` a line.

Labels count from 1 there. ``end`` is our `stop`: the official script's overlap takes end − start as the length. Its
label files have the same form, so that they are read as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from pcm3.errors import DataError
from pcm3.files import write_atomically
from pcm3.tasks.detection.average_precision import Segments, segments

Row = tuple[int, int, int, int, float]


def write_segments(folder: Path, found: Segments, names: Mapping[int, str]) -> None:
    """A file for each of the videos, also for those in which there is nothing, as the official script asks.

    Args:
        folder: is made; files of these videos in it are replaced.
        found: of these videos.
        names: video, as `Segments.video` numbers them → its name, which becomes that of its file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for video, name in names.items():
        mine = found.take(found.video == video)
        columns = (mine.start, mine.stop, mine.label + 1, mine.confidence)
        rows = sorted(zip(*(column.tolist() for column in columns), strict=True))
        text = "".join(f"{label},{start},{stop},{confidence!r}\n" for start, stop, label, confidence in rows)
        write_atomically(_file(folder, name), partial(_write, text))


def _write(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def read_segments(folder: Path, names: Mapping[int, str]) -> Segments:
    """What such files say of these videos; a video without a file has nothing in it.

    Raises:
        DataError: there is a file for none of them, or a line is not ``label,start,end,confidence``, with commas or
            spaces between.
    """
    files = {video: _file(folder, name) for video, name in names.items()}
    there = {video: file for video, file in files.items() if file.is_file()}
    if not there:
        wanted = ", ".join(file.name for file in list(files.values())[:3])
        raise DataError(f"{folder}: expected a file for each video ({wanted}, …), found none of them")
    return segments(row for video, file in there.items() for row in _rows(video, file))


def _rows(video: int, file: Path) -> list[Row]:
    """Its lines as (video, label from 0, start, stop, confidence)."""
    rows: list[Row] = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text ({error})") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label, start, stop, confidence = (float(field) for field in re.split(r"[\s,]+", line.strip(" ,\t\r")))
            whole = [int(label), int(start), int(stop)]
        except (ValueError, OverflowError):
            whole, confidence = [0, 0, 0], math.nan
        if whole[0] < 1 or not 0 <= whole[1] < whole[2] or not math.isfinite(confidence):
            raise DataError(
                f"{file}: line {number}: expected label,start,end,confidence with a label from 1 and 0 <= start < end, "
                f"got {line[:60]!r}"
            )
        rows.append((video, whole[0] - 1, whole[1], whole[2], confidence))
    return rows


def _file(folder: Path, name: str) -> Path:
    """Where the actions of a video lie; a name that no file can have is written as in a web address."""
    return folder / f"{quote(name, safe=' ')}.txt"
