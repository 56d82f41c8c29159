"""Where a path through the space of poses may run along another one: found by a tree of telling frames.

Nothing here looks at joints; `copy_proof` decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.pose_paths import Floats, Indices, PosePaths


@dataclass(frozen=True)
class Telling:
    """How often a path is looked at: at the slowest frame of each stretch, which resampling moves least."""

    metres: float
    """A stretch is at least so long, or"""
    longest: int
    """frames, whatever it travels, and at least"""
    shortest: int
    """frames."""


INDEX, QUERY = Telling(0.04, 1 << 30, 2), Telling(0.15, 12, 4)
"""Of the training paths, all that differ; of the test paths, enough that a copy of ten frames has one."""
NEIGHBOURS = 10
"""Training frames that are taken for a frame looked up."""
NEAR = 0.06
"""Metres from a frame looked up beyond which nothing is taken: a few mm of noise, and the path between two frames."""

VOTED = 16
"""Frames looked up whose neighbours are followed, at most, of each test path: those whose nearest is nearest by far."""
PLACES, ROOM = 4, 0.0005
"""Places at which two paths are looked at closer, at most; a frame nearer to an end counts as so many metres."""

RATES = np.geomspace(0.47, 2.13, 25)
"""Training frames for each test frame that are tried."""
AROUND = np.array([-20, -13, -8, -5, -3, 3, 5, 8, 13, 20])
"""Frames before and after one that two paths have in common at which they are compared, at the denser of the two."""
ALIKE = 0.15
"""Metres between two paths, about the root mean square there, beyond which they are not looked at closer."""
FIRST_RATES, FIRST_AROUND, FIRST_ALIKE = RATES[::3], np.array([-9, -5, 5, 9]), 0.22
"""The same for a first look."""

PATHS_AT_ONCE, QUERIES_AT_ONCE, HITS_AT_ONCE = 1024, 65536, 4096


Distances = NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """H frames of test paths and frames of training paths that may be the same, with the rate between the two."""

    test: Indices
    """(H,) path."""
    train: Indices
    test_frame: NDArray[np.float64]
    """(H,) from the start of the path."""
    train_frame: NDArray[np.float64]
    rate: NDArray[np.float64]
    """(H,) training frames for a test frame."""
    apart: NDArray[np.float64]
    """(H,) how far apart the paths are around these frames, metres."""

    def __len__(self) -> int:
        return len(self.test)

    def take(self, which: NDArray[np.bool_] | Indices) -> Hits:
        """Some of them."""
        return Hits(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def search(paths: PosePaths, train: Indices, test: Indices, workers: int) -> Hits:
    """The likeliest place for each pair of a training and a test path that may have frames in common.

    Args:
        paths: of the whole store.
        train: the paths of the training clips.
        test: the paths of the test clips.
        workers: threads that look up frames.
    """
    known, asked = _telling(paths, train, INDEX), _telling(paths, test, QUERY)
    if len(known[0]) == 0 or len(asked[0]) == 0:
        empty = np.zeros(0, np.int64)
        return Hits(empty, empty, *np.zeros((4, 0)))
    looked_up, place, apart, doubt = _neighbours(paths.poses[known[1]], paths.poses[asked[1]], workers)
    test_path, train_path = asked[0][looked_up], known[0][place]
    hits = Hits(
        test_path,
        train_path,
        (asked[1][looked_up] - paths.first[test_path]).astype(np.float64),
        (known[1][place] - paths.first[train_path]).astype(np.float64),
        np.ones(len(place)),
        apart,
    )
    hits = hits.take(_first_of(VOTED, (test_path,), doubt, looked_up))
    hits = hits.take(_first_of(PLACES, (hits.test, hits.train), hits.apart - ROOM * _room(paths, hits)))
    hits = _with_rates(paths, hits, FIRST_RATES, FIRST_AROUND, FIRST_ALIKE)
    hits = _with_rates(paths, hits, RATES, AROUND, ALIKE)
    return hits.take(_first_of(1, (hits.test, hits.train), hits.apart))


def _room(paths: PosePaths, hits: Hits) -> Distances:
    """Frames from each hit to the nearest end of one of its paths, as far as paths are compared there."""
    before = np.minimum(hits.test_frame, hits.train_frame)
    after = np.minimum(paths.length[hits.test] - hits.test_frame, paths.length[hits.train] - hits.train_frame)
    return np.clip(np.minimum(before, after), 0, AROUND[-1]).astype(np.float64)


def _first_of(
    count: int, groups: tuple[Indices, ...], value: NDArray[np.float64], kind: Indices | None = None
) -> Indices:
    """Of each group those with the ``count`` least values; with a kind, all of the ``count`` kinds of least value.

    Equal kinds are of one group and one value.
    """
    kind = np.arange(len(value)) if kind is None else kind
    order = np.lexsort((kind, value, *groups))
    new_group = np.append(True, np.any([np.diff(group[order]) != 0 for group in groups], axis=0))[: len(order)]
    new_kind = np.append(True, np.diff(kind[order]) != 0)[: len(order)] | new_group
    rank = np.cumsum(new_kind)
    rank -= np.maximum.accumulate(np.where(new_group, rank, 0))
    return order[rank < count]


def _neighbours(known: Floats, asked: Floats, workers: int) -> tuple[Indices, Indices, Distances, Distances]:
    """The nearest known poses of those asked for: of each pair its place in ``asked``, that in ``known``, the distance.

    And how doubtful the pose's neighbours are, from 0 to 1: the nearest distance as a share of the farthest.
    """
    from scipy.spatial import cKDTree

    tree: Any = cKDTree(known, balanced_tree=False)
    looked_up, places, distances, doubts = [], [], [], []
    for first in range(0, len(asked), QUERIES_AT_ONCE):
        few = asked[first : first + QUERIES_AT_ONCE]
        apart, place = tree.query(few, NEIGHBOURS, distance_upper_bound=NEAR, workers=workers)
        row, rank = np.nonzero(np.isfinite(apart))
        looked_up.append(first + row)
        places.append(place[row, rank])
        distances.append(apart[row, rank])
        doubts.append((apart[:, 0] / np.minimum(apart[:, -1], NEAR).clip(1e-9))[row])
    return np.concatenate(looked_up), np.concatenate(places), np.concatenate(distances), np.concatenate(doubts)


def _telling(paths: PosePaths, chosen: Indices, often: Telling) -> tuple[Indices, Indices]:
    """The telling frames of the chosen paths: (their paths, their places in `paths.poses`)."""
    parts = [_telling_of_few(paths, few, often) for few in np.array_split(chosen, max(len(chosen) // PATHS_AT_ONCE, 1))]
    return np.concatenate([number for number, _ in parts]), np.concatenate([place for _, place in parts])


def _telling_of_few(paths: PosePaths, chosen: Indices, often: Telling) -> tuple[Indices, Indices]:
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
    turns = (speed <= np.roll(speed, 1)) & (speed <= np.roll(speed, -1))
    advance = np.clip(speed / often.metres, 1 / often.longest, 1 / often.shortest)[there]
    number, place, speed, passes = number[there], place[there], speed[there], ~turns[there]
    stretch = np.cumsum(advance, dtype=np.float64).astype(np.int64)
    order = np.lexsort((speed, passes, stretch, number))
    new = (np.diff(number[order], prepend=-1) != 0) | (np.diff(stretch[order], prepend=-1) != 0)
    return number[order[new]], place[order[new]]


def _with_rates(paths: PosePaths, hits: Hits, rates: Distances, around: Indices, alike: float) -> Hits:
    """The hits around which the paths go on together at some of the rates, each with the best one."""
    kept = []
    for part in np.array_split(np.arange(len(hits)), max(len(hits) // HITS_AT_ONCE, 1)):
        few = hits.take(part)
        apart = np.stack([_apart(paths, few, rate, around) for rate in rates.tolist()], axis=1)
        best = np.argmin(apart, axis=1)
        refined = replace(few, rate=rates[best], apart=apart[np.arange(len(best)), best])
        kept.append(refined.take(refined.apart < alike))
    return Hits(*(np.concatenate([getattr(part, name) for part in kept]) for name in Hits.__dataclass_fields__))


def _apart(paths: PosePaths, hits: Hits, rate: float, around: Indices) -> Distances:
    """How far the paths are from each other around the hits (H,), if they run at this rate; inf where none can say."""
    steps = around / max(rate, 1.0)
    one, there = poses_at(paths, hits.test, hits.test_frame[:, None] + steps)
    other, here = poses_at(paths, hits.train, hits.train_frame[:, None] + rate * steps)
    both = there & here
    squares = np.where(both, np.minimum(((one - other) ** 2).sum(axis=2), (3 * ALIKE) ** 2), 0)
    count = both.sum(axis=1)
    enough = count >= len(around) // 4 + 1
    return np.where(enough, np.sqrt(squares.sum(axis=1) / np.maximum(count, 1)), np.inf)


def poses_at(paths: PosePaths, path: Indices, frame: NDArray[np.float64]) -> tuple[Floats, NDArray[np.bool_]]:
    """The poses (H, S, D) of paths (H,) at frames (H, S) between whole ones, and where they are (H, S)."""
    last = paths.length[path][:, None] - 1
    there = (frame >= -0.01) & (frame <= last + 0.01)
    inside = np.clip(frame, 0, last)
    whole = inside.astype(np.int64)
    share = (inside - whole).astype(np.float32)[..., None]
    first = paths.first[path][:, None]
    one = paths.poses[first + whole]
    other = paths.poses[first + np.minimum(whole + 1, last)]
    poses = one + share * np.where(share > 0, other - one, 0)
    there = there & ~np.isnan(poses[..., 0])
    return np.where(there[..., None], poses, 0), there
