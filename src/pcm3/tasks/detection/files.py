"""Actions in PKU-MMD's text form, which other evaluators read: a file a video, ``label,start,end,confidence`` a line.

Labels count from 1 there. ``end`` is our `stop`: the official script's overlap takes end − start as the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pcm3.data.names import own_file_name
from pcm3.files import write_atomically
from pcm3.tasks.detection.average_precision import Segments


def write_segments(folder: Path, predicted: Segments, names: Mapping[int, str]) -> None:
    """A file for each of the videos, also for those in which there is nothing, as the official script asks.

    `names`: video, as `Segments.video` numbers them → its name, which becomes that of its file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for video, name in names.items():
        mine = predicted.take(predicted.video == video)
        columns = (mine.start, mine.stop, mine.label + 1, mine.confidence)
        rows = sorted(zip(*(column.tolist() for column in columns), strict=True))
        text = "".join(f"{label},{start},{stop},{confidence!r}\n" for start, stop, label, confidence in rows)
        write_atomically(_file(folder, name), partial(_write, text))


def _write(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def _file(folder: Path, name: str) -> Path:
    """Where the actions of a video lie; a name that no file can have is written as in a web address."""
    return folder / f"{own_file_name(name)}.txt"
