"""Every body of a store as a path through a space of a few numbers, in which a moved or mirrored copy is the same path.

The numbers of a frame are distances between joints, which no rigid motion and no mirror changes, made symmetric under
the exchange of left and right and reduced by PCA to those in which poses differ most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.store import ClipStore
from pcm3.skeleton import Layout

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Indices = NDArray[np.int64]

JOINTS = 12
"""Joints whose distances are taken, at most one more for symmetry."""
WIDTH = 12
"""D, the numbers kept of each pose."""
SAMPLE = 8192
"""Frames from which joints and principal components are chosen."""
PRESENT = 0.9
"""Share of the frames in which a joint must be there to be used at all."""


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
    pairs: Indices
    """(P, 2) places in `joints` between which distances are taken."""
    twins: Indices
    """(P,) the pair on the other side of the body; a pair is its own twin where it lies on both sides."""
    mean: Floats
    axes: Floats
    """(P, D)."""

    def project(self, bodies: Floats) -> Floats:
        """(n, V, 3) → (n, D) metres."""
        projected: Floats = np.asarray((self.symmetric(bodies) - self.mean) @ self.axes, np.float32)
        return projected

    def symmetric(self, bodies: Floats) -> Floats:
        """(n, V, 3) → (n, P): of twin distances their sum and their absolute difference, both over √2."""
        planes = np.ascontiguousarray(bodies[:, self.joints].transpose(2, 1, 0))  # (3, 12, n): long rows are fast
        first, second = self.pairs.T
        distances = np.sqrt(((planes[:, first] - planes[:, second]) ** 2).sum(axis=0))  # (P, n)
        twin, order = distances[self.twins], np.arange(len(self.twins))[:, None]
        half = np.float32(np.sqrt(0.5))
        paired = np.where(order < self.twins[:, None], (distances + twin) * half, np.abs(distances - twin) * half)
        poses: Floats = np.where(order == self.twins[:, None], distances, paired).T.astype(np.float32)
        return poses


def pose_paths(store: ClipStore) -> PosePaths | None:
    """The paths of all bodies of the store; None where its skeleton has too few joints to be told apart.

    Reads every frame once, a clip at a time.
    """
    frames = np.unique(np.linspace(0, len(store.frames) - 1, SAMPLE).astype(np.int64))
    bodies = store.frames[frames].astype(np.float32).reshape(-1, *store.frames.shape[2:])
    bodies = bodies[np.isfinite(bodies).all(axis=(1, 2)) & bodies.any(axis=(1, 2))]
    used = _usable_joints(bodies, store)
    if len(used) < 3:
        return None
    space = _pose_space(bodies[_has_joints(bodies, used, store)], used, store.layout)
    clip, body = np.nonzero(store.bodies)
    length = store.length[clip].astype(np.int64)
    first = np.cumsum(length) - length
    poses = np.full((int(length.sum()), space.axes.shape[1]), np.nan, np.float32)
    for path, (index, slot) in enumerate(zip(clip.tolist(), body.tolist(), strict=True)):
        start = int(store.start[index])
        moving = store.frames[start : start + int(length[path]), slot].astype(np.float32)
        there = _has_joints(moving, used, store)
        poses[first[path] + np.flatnonzero(there)] = space.project(moving[there])
    return PosePaths(clip, body, first, length, poses, used)


def _usable_joints(bodies: Floats, store: ClipStore) -> Indices:
    """The joints that are there in most of the bodies; the one at the origin of a normalised store is there too."""
    present = bodies.any(axis=2).mean(axis=0) if len(bodies) else np.zeros(len(store.layout.joints))
    if store.normalised:
        present[list(store.layout.at_origin)] = 1.0
    return np.flatnonzero(present >= PRESENT)


def _has_joints(bodies: Floats, used: Indices, store: ClipStore) -> Booleans:
    """Which of the bodies (n, V, 3) have every usable joint, and finite."""
    points = bodies[:, used[~np.isin(used, store.layout.at_origin)] if store.normalised else used]
    return np.asarray((points != 0).any(axis=2).all(axis=1) & np.isfinite(points).all(axis=(1, 2)))


def _pose_space(bodies: Floats, used: Indices, layout: Layout) -> PoseSpace:
    """The space in which these poses (n, V, 3) differ most."""
    joints = _far_apart(bodies, used, layout)
    pairs = np.stack(np.triu_indices(len(joints), 1), axis=1)
    place = {int(joint): index for index, joint in enumerate(joints)}
    across = np.array([place.get(layout.mirrored[joint], index) for joint, index in place.items()])
    number = {(int(a), int(b)): index for index, (a, b) in enumerate(pairs)}
    twins = np.array([number[min(across[a], across[b]), max(across[a], across[b])] for a, b in pairs])
    nothing = np.zeros((0, 0), np.float32)
    raw = PoseSpace(joints, pairs, twins, nothing, nothing).symmetric(bodies)
    mean = raw.mean(axis=0)
    spread = np.cov((raw - mean).T.astype(np.float64)) if len(raw) > 1 else np.zeros(())  # one pose does not differ
    _, vectors = np.linalg.eigh(np.broadcast_to(spread, (len(pairs), len(pairs))))
    return PoseSpace(joints, pairs, twins, mean, vectors[:, ::-1][:, :WIDTH].astype(np.float32))


def _far_apart(bodies: Floats, used: Indices, layout: Layout) -> Indices:
    """About `JOINTS` of the usable joints, as far from each other as can be; a joint comes with its mirror image."""
    points = bodies[:1024, used].astype(np.float64)
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=3).mean(axis=0)
    chosen: list[int] = []
    nearest = apart.mean(axis=0)
    while len(chosen) < min(JOINTS, len(used)):
        farthest = int(np.argmax(nearest))
        image = np.flatnonzero(used == layout.mirrored[used[farthest]])
        chosen += {farthest, *image.tolist()}
        nearest = apart[chosen].min(axis=0)
        nearest[chosen] = -1.0
    return np.asarray(used[np.array(sorted(chosen))])
