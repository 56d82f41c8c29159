"""Every body of a store as a path through a space of a few numbers, in which a moved or mirrored copy is the same path.

The numbers of a frame are distances between joints, which no rigid motion and no mirror changes, made symmetric under
the exchange of left and right and reduced by PCA to as many as tell most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.store import ClipStore
from pcm3.skeleton import Layout

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

JOINTS = 12
"""Joints whose distances are taken, at most one more for symmetry."""
WIDTH = 12
"""D, the numbers kept of each pose."""
SAMPLE = 8192
"""Frames from which joints and principal components are chosen."""
PRESENT = 0.9
"""Share of the frames in which a joint must be there to be used at all."""
CHUNK, CACHED = 16384, 1024
"""Frames that are in memory, and in the processor's cache, at a time."""


@dataclass(frozen=True)
class PosePaths:
    """K paths, one for each body of each clip, one after the other in one array of F' poses."""

    clip: Indices
    """(K,) the clip, as its index in the store."""
    body: Indices
    """(K,) the body in it."""
    first: Indices
    """(K,) where the path starts in `poses`."""
    length: Indices
    """(K,) frames."""
    poses: Floats
    """(F', D) metres; NaN where the body is absent or lacks a joint."""
    joints: Indices
    """The joints that are nearly always there: those of which copies are to be compared."""

    def of_clips(self, clips: Indices) -> Indices:
        """The paths of these clips."""
        return np.flatnonzero(np.isin(self.clip, clips))


@dataclass(frozen=True)
class PoseSpace:
    """How a pose becomes D numbers."""

    joints: Indices
    pairs: NDArray[np.int64]
    """(P, 2) places in `joints` between which distances are taken, and in the same order in"""
    twins: NDArray[np.int64]
    """(P,) the pair on the other side of the body; a pair is its own twin where it lies on both sides."""
    mean: Floats
    axes: Floats
    """(P, D)."""

    def project(self, bodies: Floats) -> Floats:
        """(n, V, 3) → (n, D) metres."""
        parts = [self.symmetric(few) for few in np.split(bodies, range(CACHED, len(bodies), CACHED))]
        return np.concatenate([(part - self.mean) @ self.axes for part in parts])

    def symmetric(self, bodies: Floats) -> Floats:
        """(n, V, 3) → (n, P): of twin distances their sum and their absolute difference, both over √2."""
        planes = np.ascontiguousarray(bodies[:, self.joints].transpose(2, 1, 0))  # (3, 12, n): long rows are fast
        one, other = self.pairs.T
        distances = np.sqrt(((planes[:, one] - planes[:, other]) ** 2).sum(axis=0))  # (P, n)
        order = np.arange(len(self.twins))
        first, second = np.flatnonzero(order < self.twins), np.flatnonzero(order > self.twins)
        symmetric = distances.copy()
        symmetric[first] = (distances[first] + distances[self.twins[first]]) * np.float32(np.sqrt(0.5))
        symmetric[second] = np.abs(distances[second] - distances[self.twins[second]]) * np.float32(np.sqrt(0.5))
        symmetric_poses: Floats = symmetric.T
        return symmetric_poses


def pose_paths(store: ClipStore) -> PosePaths | None:
    """The paths of all bodies of the store; None where its skeleton has too few joints to be told apart.

    Reads every frame once, a few at a time.
    """
    clip, body = np.nonzero(store.bodies)
    length = store.length[clip].astype(np.int64)
    first = np.cumsum(length) - length
    used = _usable_joints(store)
    if len(used) < 3:
        return None
    space = _pose_space(_sample(store, used), used, store.layout)
    poses = np.full((int(length.sum()), len(space.axes.T)), np.nan, np.float32)
    number = np.full(store.bodies.shape, -1)
    number[clip, body] = np.arange(len(clip))
    for clips in _runs(store):
        start = int(store.start[clips[0]])
        stop = int((store.start[clips] + store.length[clips]).max())  # intervals may lie in each other
        frames = store.frames[start:stop].astype(np.float32)
        for slot in range(frames.shape[1]):
            inside = [int(clip) for clip in clips if store.bodies[clip, slot]]
            if not inside:
                continue
            source = np.concatenate([np.arange(store.length[clip]) + store.start[clip] - start for clip in inside])
            target = np.concatenate([first[number[clip, slot]] + np.arange(store.length[clip]) for clip in inside])
            bodies = frames[source, slot]
            whole = _whole(bodies, used, store)
            poses[target[whole]] = space.project(bodies[whole])
    return PosePaths(clip, body, first, length, poses, used)


def _runs(store: ClipStore) -> Iterator[Indices]:
    """The clips in the order of their frames, in runs that together hold about `CHUNK` frames."""
    order = np.argsort(store.start, kind="stable")
    filled = np.cumsum(store.length[order].astype(np.int64)) // CHUNK
    yield from np.split(order, np.flatnonzero(np.diff(filled)) + 1)


def _usable_joints(store: ClipStore) -> Indices:
    """The joints that are there in most frames; the one at the origin of a normalised store is there too."""
    bodies = _some_bodies(store)
    present = (bodies != 0).any(axis=2).mean(axis=0) if len(bodies) else np.zeros(len(store.layout.joints))
    if store.normalised:
        present[list(store.layout.at_origin)] = 1.0
    return np.flatnonzero(present >= PRESENT)


def _some_bodies(store: ClipStore) -> Floats:
    """Up to `SAMPLE` poses (n, V, 3) of bodies that are there, spread over the whole store."""
    frames = np.unique(np.linspace(0, len(store.frames) - 1, SAMPLE).astype(np.int64))
    bodies = store.frames[frames].astype(np.float32).reshape(-1, *store.frames.shape[2:])
    finite = np.isfinite(bodies).all(axis=(1, 2))
    some: Floats = bodies[finite & (bodies != 0).any(axis=(1, 2))]
    return some


def _sample(store: ClipStore, used: Indices) -> Floats:
    bodies = _some_bodies(store)
    return bodies[_whole(bodies, used, store)]


def _whole(bodies: Floats, used: Indices, store: ClipStore) -> NDArray[np.bool_]:
    """Which of the bodies (n, V, 3) have every usable joint, and finite."""
    needed = used[~np.isin(used, store.layout.at_origin)] if store.normalised else used
    points = bodies[:, needed]
    whole: NDArray[np.bool_] = (points != 0).any(axis=2).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
    return whole


def _pose_space(bodies: Floats, used: Indices, layout: Layout) -> PoseSpace:
    """The space in which these poses (n, V, 3) differ most."""
    joints = _far_apart(bodies, used, layout)
    one, other = np.triu_indices(len(joints), 1)
    pairs = np.stack([one, other], axis=1)
    place = {int(joint): index for index, joint in enumerate(joints)}
    across = np.array([place.get(layout.mirrored[joint], place[int(joint)]) for joint in joints])
    number = {(int(a), int(b)): index for index, (a, b) in enumerate(pairs)}
    twins = np.array([number[min(across[a], across[b]), max(across[a], across[b])] for a, b in pairs])
    nothing = np.zeros((0, 0), np.float32)
    raw = PoseSpace(joints, pairs, twins, nothing, nothing).symmetric(bodies)
    mean = raw.mean(axis=0)
    spread = np.cov((raw - mean).T.astype(np.float64)) if len(raw) > 1 else np.zeros(())  # one pose does not differ
    _, vectors = np.linalg.eigh(np.broadcast_to(spread, (len(pairs), len(pairs))))
    axes = vectors[:, ::-1][:, :WIDTH].astype(np.float32)
    return PoseSpace(joints, pairs, twins, mean, axes)


def _far_apart(bodies: Floats, used: Indices, layout: Layout) -> Indices:
    """About `JOINTS` of the usable joints, as far from each other as can be; a joint comes with its mirror image."""
    points = bodies[:1024, used].astype(np.float64)
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=3).mean(axis=0)
    chosen: list[int] = []
    nearest = apart.mean(axis=0)
    while len(chosen) < min(JOINTS, len(used)):
        farthest = int(np.argmax(nearest))
        image = np.flatnonzero(used == layout.mirrored[used[farthest]])
        for joint in {farthest, *image.tolist()}:
            chosen.append(joint)
        nearest = apart[chosen].min(axis=0)
        nearest[chosen] = -1.0
    joints: Indices = used[np.array(sorted(chosen))]
    return joints
