"""The bodies in a ``.skeleton`` file as the recording software writes it, all lines at once: five times as fast.

Whatever is not exactly of that form is left to `ntu_lines`: a file with other gaps than one space, a line with a number
that is not written in the usual way. So both read the same, and only that one knows of mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.readers.decimals import MARGIN, decimal_numbers, whole_numbers
from pcm3.data.readers.ntu_lines import BODY_COLUMNS, JOINT_COLUMNS, JOINTS, Bodies
from pcm3.data.readers.text_table import coordinates

Index = NDArray[np.int64]

SPACE, LF, CR = ord(" "), ord("\n"), ord("\r")


@dataclass(frozen=True)
class _Table:
    """A text in which single spaces stand between the fields of a line, and nowhere else."""

    text: bytes
    """With `MARGIN` bytes more than belong to it."""
    gaps: Index
    """Every space and line feed, by its place in the text."""
    ends: Index
    """Every line's line feed, by its place among the gaps."""
    fields: Index
    """The number of fields of each line."""
    returns: NDArray[np.bool_]
    """Where a line ends in CR LF."""


def read_bytes(name: str, data: bytes) -> Bodies | None:
    """The bodies in a file, or None where it is not laid out as the recording software does.

    Raises:
        DataError: a coordinate is not a number of metres; the error names the line.
    """
    table = _table(data)
    if table is None:
        return None
    bodies = _bodies(table)
    if bodies is None:
        return None
    counts, first = bodies
    frames = len(counts)
    frame = np.repeat(np.arange(frames), counts)
    slot = np.arange(len(first)) - np.repeat(counts.cumsum() - counts, counts)
    return Bodies(frames, frame, slot, first - 2, _points(name, table, first))


def _table(data: bytes) -> _Table | None:
    """The text and its gaps; None where two gaps follow each other, or other white space or control bytes are there."""
    text = b"%b\n%b" % (data.rstrip(), b"0" * MARGIN)
    codes = np.frombuffer(text, np.uint8)
    carriage_returns = codes == CR
    gaps = np.flatnonzero((codes <= SPACE) ^ carriage_returns)
    marks = codes[gaps]
    ends = np.flatnonzero(marks == LF)
    last = gaps[ends]
    returns = codes[last - 1] == CR
    regular = (
        (gaps[1:] - gaps[:-1]).min(initial=2) > 1
        and (last[1:] - gaps[ends[1:] - 1] > 1 + returns[1:]).all()
        and np.count_nonzero(marks == SPACE) == len(gaps) - len(ends)
        and np.count_nonzero(carriage_returns) == np.count_nonzero(returns)
    )
    return _Table(text, gaps, ends, np.diff(ends, prepend=-1), returns) if regular else None


def _bodies(table: _Table) -> tuple[Index, Index] | None:
    """The number of bodies of each frame (T), and the line of the first joint of each (B); None for another order.

    The lines of one field are the number of frames, then for each frame the number of bodies, then for each body 25.
    """
    single = np.flatnonzero(table.fields == 1)
    if len(single) == 0 or single[0] != 0:
        return None
    end = table.ends[single]
    start, stop = table.gaps[end - 1] + 1, table.gaps[end] - table.returns[single]
    start[0] = 0
    numbers, valid = whole_numbers(table.text, start, stop)
    if not valid.all():
        return None
    body = table.fields[single - 1] == BODY_COLUMNS
    body[0] = False
    head = np.flatnonzero(~body)
    # Lines to the next line of one field: over the joints of this body and the first line of the next one.
    step = 1 + JOINTS * body
    step[:-1] += body[1:]
    bodies = np.append(head[1:], len(single)) - head - 1
    first = single[body] + 1
    regular = (
        (np.append(single[1:], len(table.ends)) - single == step).all()
        and (bodies[0], numbers[0]) == (0, len(head) - 1)
        and (bodies[1:] == numbers[head[1:]]).all()
        and (numbers[body] == JOINTS).all()
        and (stop[body] - start[body] == 2).all()
        and (table.fields[first[:, None] + np.arange(JOINTS)] == JOINT_COLUMNS).all()
    )
    return (bodies[1:], first) if regular else None


def _points(name: str, table: _Table, first: Index) -> NDArray[np.float64]:
    """x, y, z of the joints (B, 25, 3) of the bodies whose first joint is in that line (B)."""
    before = table.ends[first - 1, None] + JOINT_COLUMNS * np.arange(JOINTS)  # the gap before each joint (B, 25)
    edges = table.gaps[before.ravel() + np.arange(4)[:, None]]  # before and after x, y, z of each joint (4, B · 25)
    start, stop = edges[:3] + 1, edges[1:]
    numbers, usual = decimal_numbers(table.text, start.ravel(), stop.ravel())
    points = numbers.reshape(3, -1).T
    others = np.unique(np.flatnonzero(~usual) % max(len(points), 1))
    if len(others):
        pairs = zip(start[:, others].T.ravel().tolist(), stop[:, others].T.ravel().tolist(), strict=True)
        lines = first[others // JOINTS] + others % JOINTS + 1
        points[others] = coordinates(name, [table.text[a:b] for a, b in pairs], lambda row: int(lines[row]))
    return points.reshape(-1, JOINTS, 3)
