"""TRC, the marker tables of OpenSim and of Motion Analysis: tabs, five lines of heading, three columns a marker."""

from __future__ import annotations

import numpy as np

from pcm3.data.formats.c3d import MOST_MARKERS, SPELLED
from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.names import is_name
from pcm3.data.readers.text_table import printable
from pcm3.data.source_index import Options
from pcm3.errors import DataError


def matches(name: str, head: bytes) -> bool:
    """Whether it begins with the word of the first line."""
    return head.startswith(b"PathFileType")


def read(group: FileGroup, options: Options) -> MotionFile:
    """The markers; an empty or NaN field, and a marker of zeros, is absent.

    Raises:
        DataError: it is no TRC file; the error names the line.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    lines = data.decode("utf-8", "replace").splitlines()
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise DataError(f"{name}: line 1: expected PathFileType and five lines of heading, got {len(lines)} lines")
    about = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    rate = _number(about.get("DataRate", ""))
    if not 0.1 <= rate <= 10_000:
        raise DataError(f"{name}: line 3: expected DataRate, frames a second, got '{about.get('DataRate', '')[:20]}'")
    markers = [field.strip() for field in lines[3].split("\t")[2:] if field.strip()]
    if not 0 < len(markers) <= MOST_MARKERS or len(set(markers)) < len(markers) or not all(map(is_name, markers)):
        raise DataError(f"{name}: line 4: expected Frame#, Time and the names of markers, no two alike")
    width = 2 + 3 * len(markers)
    rows = []
    for number, line in enumerate(lines[4:], 5):
        fields = line.rstrip("\r\n").split("\t")
        if number == 5 or not line.strip():  # X1 Y1 Z1 …, and often an empty line
            continue
        fields = (fields + [""] * width)[: max(width, len(fields))]
        if any(field.strip() for field in fields[width:]):
            raise DataError(f"{name}: line {number}: expected {width} fields, got {len(fields)}")
        values = [_number(field) for field in fields[2:width]]
        if any(np.isinf(value) for value in values):
            raise DataError(f"{name}: line {number}: expected numbers, got {printable(line.encode())}")
        rows.append(values)
    declared = _number(about.get("NumFrames", ""))
    if not rows or (np.isfinite(declared) and declared != len(rows)):
        raise DataError(f"{name}: line 3 says {about.get('NumFrames', '?')[:20]} frames, got {len(rows)}: is it whole?")
    frames = np.array(rows).reshape(len(rows), 1, -1, 3)
    frames[~frames.any(axis=-1) | np.isnan(frames).any(axis=-1)] = np.nan
    return MotionFile(frames, tuple(markers), fps=rate, unit=SPELLED.get(about.get("Units", "").lower()))


def _number(field: str) -> float:
    """The number; NaN of nothing, infinity of what is none."""
    try:
        return float(field) if field.strip() else np.nan
    except ValueError:
        return np.inf
