"""Where a path through the space of poses may run along another one: found by a tree of characteristic frames.

Nothing here looks at joints; `copy_proof` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.pose_paths import Booleans, Doubles, Floats, Indices, PosePaths

Hits = NDArray[Any]
"""(H,) frames of test paths and frames of training paths that may be the same, with the rate between the two."""
HIT = np.dtype(
    [
        ("test", np.int64),  # path
        ("train", np.int64),
        ("test_frame", np.float64),  # from the start of the path
        ("train_frame", np.float64),
        ("rate", np.float64),  # training frames for a test frame
        ("apart", np.float64),  # how far apart the paths are around these frames, metres
    ]
)


class Stretches(NamedTuple):
    """How often a path is looked at: at the slowest frame of each stretch, which resampling moves least."""

    metres: float
    """A stretch is at least so long, or"""
    longest: int
    """frames, whatever it travels, and at least"""
    shortest: int
    """frames."""


INDEX, QUERY = Stretches(0.04, 1 << 30, 2), Stretches(0.15, 12, 4)
"""Of the training paths, all that differ; of the test paths, enough that a copy of ten frames has one."""
NEIGHBOURS = 10
"""Training frames that are taken for a frame looked up."""
NEAR = 0.06
"""Metres from a frame looked up beyond which nothing is taken: a few mm of noise, and the path between two frames."""
FOLLOWED = 160
"""Neighbours that are followed of each test path, at most: those that are nearer by far than the others."""

RATES = np.geomspace(0.47, 2.13, 25)
"""Training frames for each test frame that are tried."""
AROUND = np.array([-20, -13, -8, -5, -3, 3, 5, 8, 13, 20])
"""Frames before and after one that two paths have in common at which they are compared, at the denser of the two."""
ALIKE = 0.15
"""Metres between two paths, about the root mean square there, beyond which they are not looked at closer."""
FIRST_RATES, FIRST_AROUND, FIRST_ALIKE = RATES[::3], np.array([-9, -5, 5, 9]), 0.22
"""The same for a first look."""

PATHS_AT_ONCE, QUERIES_AT_ONCE, HITS_AT_ONCE = 1024, 65536, 4096


def in_batches(work: Callable[[Any], NDArray[Any]], rows: NDArray[Any], at_once: int) -> NDArray[Any]:
    """What the work makes of the rows, done so many at a time, as one array."""
    return np.concatenate([work(part) for part in np.array_split(rows, max(len(rows) // at_once, 1))])


def search(paths: PosePaths, train: Indices, test: Indices, workers: int) -> Hits:
    """The likeliest place for each pair of a training and a test path that may have frames in common.

    Args:
        paths: of the whole store.
        train: the paths of the training clips.
        test: the paths of the test clips.
        workers: threads that look up frames.
    """
    known, queries = (
        in_batches(partial(_characteristic, paths, stretches), chosen, PATHS_AT_ONCE)
        for chosen, stretches in ((train, INDEX), (test, QUERY))
    )
    if len(known) == 0 or len(queries) == 0:
        return np.zeros(0, HIT)
    hits = _neighbours(paths, known, queries, workers)
    for rates, around, alike in ((FIRST_RATES, FIRST_AROUND, FIRST_ALIKE), (RATES, AROUND, ALIKE)):
        hits = in_batches(partial(_with_best_rate, paths, rates, around, alike), hits, HITS_AT_ONCE)
    return hits[_least(1, (hits["test"], hits["train"]), hits["apart"])]


def _least(count: int, groups: tuple[Indices, ...], value: Doubles) -> Indices:
    """The ``count`` least values of each group."""
    order = np.lexsort((value, *groups))
    begins = np.append(True, np.any([np.diff(group[order]) != 0 for group in groups], axis=0))[: len(order)]
    place = np.arange(len(order))
    return np.asarray(order[place - np.maximum.accumulate(np.where(begins, place, 0)) < count])


def _neighbours(paths: PosePaths, known: Indices, queries: Indices, workers: int) -> Hits:
    """The hits among (path, place in `paths.poses`) of training and test frames: the nearest poses."""
    from scipy.spatial import cKDTree

    tree: Any = cKDTree(paths.poses[known[:, 1]], balanced_tree=False)

    def look_up(few: Indices) -> Hits:
        apart, place = tree.query(paths.poses[few[:, 1]], NEIGHBOURS, distance_upper_bound=NEAR, workers=workers)
        row, rank = np.nonzero(np.isfinite(apart))
        hits = np.zeros(len(row), HIT)
        (hits["test"], test_place), (hits["train"], train_place) = few[row].T, known[place[row, rank]].T
        hits["test_frame"] = test_place - paths.first[hits["test"]]
        hits["train_frame"] = train_place - paths.first[hits["train"]]
        # Whether the nearest stands out: its distance as a share of the farthest one's.
        hits["apart"] = (apart[:, 0] / np.minimum(apart[:, -1], NEAR).clip(1e-9))[row]
        return hits

    hits = in_batches(look_up, queries, QUERIES_AT_ONCE)
    return hits[_least(FOLLOWED, (hits["test"],), hits["apart"])]


def _characteristic(paths: PosePaths, stretches: Stretches, chosen: Indices) -> Indices:
    """(n, 2) the characteristic frames of the chosen paths: path, and place in `paths.poses`."""
    length = paths.length[chosen]
    number = np.repeat(chosen, length)
    frame = np.arange(len(number)) - np.repeat(np.cumsum(length) - length, length)
    before = paths.poses[paths.first[number] + np.maximum(frame - 1, 0)]
    after = paths.poses[paths.first[number] + np.minimum(frame + 1, paths.length[number] - 1)]
    place = paths.first[number] + frame
    there = ~np.isnan(paths.poses[place, 0])
    speed = np.linalg.norm(after - before, axis=1) / 2
    speed[np.isnan(speed)] = 1e3  # beside a gap: the last choice
    # Whatever stretches a copy is divided into, the frames slower than those around them are the same.
    is_minimum = (speed <= np.roll(speed, 1)) & (speed <= np.roll(speed, -1))
    advance = np.clip(speed / stretches.metres, 1 / stretches.longest, 1 / stretches.shortest)[there]
    number, place, speed, passes = number[there], place[there], speed[there], ~is_minimum[there]
    stretch = np.cumsum(advance, dtype=np.float64).astype(np.int64)
    order = np.lexsort((speed, passes, stretch, number))
    new = (np.diff(number[order], prepend=-1) != 0) | (np.diff(stretch[order], prepend=-1) != 0)
    return np.stack([number[order[new]], place[order[new]]], axis=1)


def _with_best_rate(paths: PosePaths, rates: Doubles, around: Indices, alike: float, hits: Hits) -> Hits:
    """The hits around which the paths go on together at some of the rates, each with the best one."""
    apart = np.stack([_apart(paths, hits, rate, around) for rate in rates.tolist()], axis=1)
    best, refined = np.argmin(apart, axis=1), hits.copy()
    refined["rate"], refined["apart"] = rates[best], apart[np.arange(len(best)), best]
    return refined[refined["apart"] < alike]


def _apart(paths: PosePaths, hits: Hits, rate: float, around: Indices) -> Doubles:
    """How far the paths are from each other around the hits (H,), if they run at this rate; inf where none can say."""
    steps = around / max(rate, 1.0)
    test, test_present = poses_at(paths, hits["test"], hits["test_frame"][:, None] + steps)
    train, train_present = poses_at(paths, hits["train"], hits["train_frame"][:, None] + rate * steps)
    both = test_present & train_present
    squares = np.where(both, np.minimum(((test - train) ** 2).sum(axis=2), (3 * ALIKE) ** 2), 0)
    count = both.sum(axis=1)
    enough = count >= len(around) // 4 + 1
    return np.where(enough, np.sqrt(squares.sum(axis=1) / np.maximum(count, 1)), np.inf)


class Between(NamedTuple):
    """Places (H, S) in paths between two frames."""

    low: Indices
    high: Indices
    share: Floats
    """Of the way from the one to the other."""
    inside: Booleans
    """Whether the path goes so far."""


def between(paths: PosePaths, path: Indices, frame: Doubles) -> Between:
    """Where frames (H, S) of paths (H,) lie; what is hardly behind a frame, or outside, is that frame."""
    last = paths.length[path][:, None] - 1
    within = np.clip(frame, 0, last)
    low = (within + 0.01).astype(np.int64)
    share = np.maximum(within - low, 0).astype(np.float32)
    high = np.where(share > 0, np.minimum(low + 1, last), low)
    return Between(low, high, share, (frame >= -0.1) & (frame <= last + 0.1))


def poses_at(paths: PosePaths, path: Indices, frame: Doubles) -> tuple[Floats, Booleans]:
    """The poses (H, S, D) of paths (H,) at frames (H, S) between whole ones, and where they are (H, S)."""
    at, first = between(paths, path, frame), paths.first[path][:, None]
    low, high = paths.poses[first + at.low], paths.poses[first + at.high]
    poses = low + at.share[..., None] * (high - low)
    there = at.inside & ~np.isnan(poses[..., 0])
    return np.where(there[..., None], poses, 0), there
