"""Where a body's up is, whether it has depth, whether joints share a place, and whose copy it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.geometry import present_joints
from pcm3.skeleton import Layout

Frames = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]

SAME_POINT = 1e-5
"""Joints nearer than this share of the body's size are at one place."""
FRAMES_EXAMINED = 100
"""Frames of a clip, evenly spread, in which joints are looked for that share a place."""
SAME = 0.006
"""Two bodies are one if their forms differ by less than this share of the body's size (a centimetre of a person): the
root of the mean square over the joints. Two people in the same pose differ by several centimetres."""

EXACTLY = 0.0005
"""The same for a copy at another time: people who stand still look alike over time, but not to a millimetre."""


def presence(frames: Frames, layout: Layout, *, centred: bool) -> Booleans:
    """Where a joint is there (T, M, V); of a centred clip, also the centre joint of the first body that is there,
    which is at the origin.
    """
    present = present_joints(frames)
    if centred:
        body: Booleans = np.asarray(present.any(axis=2))  # (T, M)
        first = body.argmax(axis=1)
        rows = np.arange(len(frames))
        for joint in layout.at_origin:
            present[rows, first, joint] |= body[rows, first]
    return present


def without_gaps(body: Frames, present: Booleans, at: NDArray[np.int64]) -> Frames:
    """The body (T, V, 3) with absent joints between those of the frames before and after (``at`` (T,) says when); a
    joint that is never present stays as it is.
    """
    if present.all():
        return body
    filled = body.copy()
    for joint in np.flatnonzero(present.any(axis=0) & ~present.all(axis=0)):
        there = present[:, joint]
        for axis in range(3):
            filled[:, joint, axis] = np.interp(at, at[there], body[there, joint, axis])
    return filled


def upwards(body: Frames, ever: Booleans, layout: Layout) -> NDArray[np.float64]:
    """The unit direction (3,) from legs to trunk, median over the frames; NaN without a joint of either.

    Args:
        body: (T, V, 3).
        ever: (V,) the joints that are there.
        layout: says which joints are legs and trunk.
    """
    trunk = [joint for joint in layout.parts[0] if ever[joint]]
    legs = [joint for part in layout.parts[3:] for joint in part if ever[joint]]
    if not trunk or not legs:
        return np.full(3, np.nan)
    way = body[:, trunk].mean(axis=1, dtype=np.float64) - body[:, legs].mean(axis=1, dtype=np.float64)
    size = np.linalg.norm(way, axis=1, keepdims=True)
    middle = np.median(way / np.maximum(size, 1e-12), axis=0)
    length = float(np.linalg.norm(middle))
    return middle / length if length > 0 else np.full(3, np.nan)


def depth(body: Frames) -> float:
    """How thin the body (T, V, 3) is: its least spread over its largest, about its middle in each frame; 0: flat."""
    form = (body - body.mean(axis=1, keepdims=True)).reshape(-1, 3).astype(np.float64)
    spread = np.linalg.eigvalsh(form.T @ form)
    return float(np.sqrt(max(spread[0], 0.0) / spread[2])) if spread[2] > 0 else 1.0


def sharing(body: Frames, present: Booleans, extent: float) -> float:
    """The share of frames of the body (T, V, 3) in which two joints that are there lie at one place; looks at some."""
    step = -(-len(body) // FRAMES_EXAMINED)
    body, present = body[::step], present[::step]
    line = body.astype(np.float64) @ np.array([0.5123, 0.6871, 0.5151])
    line[~present] = np.inf
    order = np.argsort(line, axis=1)  # joints at one place follow one another
    rows = np.arange(len(body))[:, None]
    apart = np.abs(np.diff(body[rows, order], axis=1)).max(axis=2)
    both = present[rows, order][:, 1:]  # absent ones come last
    return float((both & (apart < SAME_POINT * extent)).any(axis=1).mean())


def copied(body: Frames, other: Frames, present: Booleans, extent: float) -> tuple[float, int]:
    """How much of the time two bodies (T, V, 3) have one form, wherever they stand: the share of the frames, and how
    many, in which at least half of the joints are there in both.

    Args:
        body: one of them.
        other: the other.
        present: (T, V) where a joint is there in both.
        extent: the body's size in metres.
    """
    compared = present.sum(axis=1) * 2 >= present.shape[1]
    if not compared.any():
        return 0.0, 0
    there = present[compared][..., None]
    between = np.where(there, body[compared] - other[compared], 0)
    count = there.sum(axis=1, keepdims=True)
    between -= np.where(there, between.sum(axis=1, keepdims=True) / count, 0)
    off = np.sqrt((between.astype(np.float64) ** 2).sum(axis=(1, 2)) / count[:, 0, 0])
    same = off < SAME * extent
    return float(same.mean()), int(same.sum())


def repeated(body: Frames, other: Frames, extent: float) -> tuple[float, int]:
    """The share of one body's frames (S, J, 3), and how many, whose form another (T, J, 3) has exactly, at any time: a
    body that was there for a moment and was looped to fill the clip has its copy at other frames.
    """
    if body.shape[1] < 3:
        return 0.0, 0
    forms = [(of - of.mean(axis=1, keepdims=True)).reshape(len(of), -1).astype(np.float64) for of in (body, other)]
    squares = [(form**2).sum(axis=1) for form in forms]
    apart = squares[0][:, None] + squares[1] - 2 * forms[0] @ forms[1].T
    same = np.sqrt(np.maximum(apart.min(axis=1), 0) / body.shape[1]) < EXACTLY * extent
    return float(same.mean()), int(same.sum())
