"""Whether two stretches of two bodies are copies: what is left between them after the best rigid motion or mirror.

A copy has the same sensor noise as its original. Another camera's view of the same performance has not, nor has another
performance, however alike: they stay a centimetre and more apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.copy_search import Hits
from pcm3.data.audit.pose_paths import Floats, Indices, PosePaths
from pcm3.data.store import ClipStore

SAMPLES = 64
"""Frames at most at which two stretches are compared."""
ALIKE = 0.010
"""Metres between the joints of copies, root mean square, at most: noise of a few mm that was added to one of them."""
STILL = 0.5
"""What is left between copies is at most this share of how far the joints move: people who stand still are alike."""
FRAME = 2.5
"""A frame belongs to a copied stretch if its joints are no farther apart than this times `ALIKE`."""
LEAST = 10
"""Frames of the coarser clip that a copied stretch has at least."""
SHARE = 0.48
"""Of one of the two clips, a copied stretch covers at least this share: half of it, but for a frame at either end."""
SURE = 0.001
"""Metres left at which no other way to lay one over the other is tried."""
ROUNDS = 4
HITS_AT_ONCE = 256

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Proof:
    """What is left between the two stretches of each hit (H,), and where the stretches are."""

    left: Doubles
    """Metres, root mean square over joints and frames."""
    moves: Doubles
    """Metres by which the joints move about within the stretch, root mean square."""
    mirrored: NDArray[np.bool_]
    """Whether one is a mirror image of the other."""
    exchanged: NDArray[np.bool_]
    """Whether left and right joints are exchanged."""
    test: Doubles
    """(H, 2) first and last frame of the stretch in the test clip."""
    train: Doubles
    frames: Doubles
    """Frames in the coarser of the two."""
    share: Doubles
    """Of the clip of which the stretch covers more."""

    @property
    def copied(self) -> NDArray[np.bool_]:
        """(H,)."""
        alike = (self.left <= ALIKE) & (self.left < STILL * self.moves)
        copied: NDArray[np.bool_] = alike & (self.frames >= LEAST) & (self.share >= SHARE)
        return copied

    @property
    def sure(self) -> NDArray[np.bool_]:
        """(H,) copies of which no other case could leave less."""
        sure: NDArray[np.bool_] = self.copied & (self.left < SURE)
        return sure


def prove(store: ClipStore, paths: PosePaths, hits: Hits) -> Proof:
    """What is left between the paths' bodies where the hits say that they run together."""
    parts = []
    for few in np.array_split(np.arange(len(hits)), max(len(hits) // HITS_AT_ONCE, 1)):
        taken = hits.take(few)
        proof = _case(store, paths, taken, by_test=True, exchanged=False)
        for by_test, exchanged in ((False, False), (True, True), (False, True)):
            open_ = np.flatnonzero(~proof.sure)
            proof = _better(proof, _case(store, paths, taken.take(open_), by_test, exchanged), open_)
        parts.append(proof)
    return Proof(*(np.concatenate([getattr(part, name) for part in parts]) for name in Proof.__dataclass_fields__))


def _better(proof: Proof, other: Proof, at: Indices) -> Proof:
    """The proof, but at the places (H',) the other where its stretch is longer, or as long with less left."""
    changed = {name: getattr(proof, name).copy() for name in Proof.__dataclass_fields__}
    better = other.frames - 1e3 * other.left > proof.frames[at] - 1e3 * proof.left[at]
    for name, column in changed.items():
        column[at[better]] = getattr(other, name)[better]
    return Proof(**changed)


def _case(store: ClipStore, paths: PosePaths, hits: Hits, by_test: bool, exchanged: bool) -> Proof:
    """The proof with the frames of one of the clips as they are, those of the other between its own."""
    test_last, train_last = paths.length[hits.test] - 1, paths.length[hits.train] - 1
    begin = np.maximum(0, hits.test_frame - hits.train_frame / hits.rate)
    end = np.minimum(test_last, hits.test_frame + (train_last - hits.train_frame) / hits.rate)
    spread = begin[:, None] + np.linspace(0, 1, SAMPLES) * np.maximum(end - begin, 0)[:, None]
    if by_test:
        test_at = np.clip(np.round(spread), 0, test_last[:, None])
        train_at = hits.train_frame[:, None] + hits.rate[:, None] * (test_at - hits.test_frame[:, None])
    else:
        train_at = hits.train_frame[:, None] + hits.rate[:, None] * (spread - hits.test_frame[:, None])
        train_at = np.clip(np.round(train_at), 0, train_last[:, None])
        test_at = hits.test_frame[:, None] + (train_at - hits.train_frame[:, None]) / hits.rate[:, None]
    one, here = _bodies_at(store, paths, hits.test, test_at)
    other, there = _bodies_at(store, paths, hits.train, train_at)
    if exchanged:
        place = {int(joint): index for index, joint in enumerate(paths.joints)}
        order = [place.get(store.layout.mirrored[joint], index) for joint, index in place.items()]
        other = other[:, :, order]
    return _compare(hits, paths, one, other, here & there, test_at, train_at, exchanged)


def _bodies_at(store: ClipStore, paths: PosePaths, path: Indices, frame: Doubles) -> tuple[Floats, NDArray[np.bool_]]:
    """Joints (H, S, V', 3) around their middle, and where they are there (H, S)."""
    last = paths.length[path][:, None] - 1
    there = (frame >= -0.1) & (frame <= last + 0.1)
    inside = np.clip(frame, 0, last)
    whole = inside.astype(np.int64)
    share = np.where(inside - whole < 0.01, 0, inside - whole).astype(np.float32)
    following = np.where(share > 0, np.minimum(whole + 1, last), whole)
    first, start = paths.first[path][:, None], store.start[paths.clip[path]][:, None]
    there &= ~np.isnan(paths.poses[first + whole, 0]) & ~np.isnan(paths.poses[first + following, 0])
    body = paths.body[path][:, None]
    one = store.frames[start + whole, body][:, :, paths.joints].astype(np.float32)
    other = store.frames[start + following, body][:, :, paths.joints].astype(np.float32)
    with np.errstate(invalid="ignore"):  # a damaged store may hold infinities; they are not there
        bodies = one + share[..., None, None] * (other - one)
    bodies = np.where(there[..., None, None], bodies, np.float32(0))
    return bodies - bodies.mean(axis=2, keepdims=True), there


def _compare(
    hits: Hits,
    paths: PosePaths,
    one: Floats,
    other: Floats,
    there: NDArray[np.bool_],
    test_at: Doubles,
    train_at: Doubles,
    exchanged: bool,
) -> Proof:
    """Kabsch over the frames that agree, then which agree, and again."""
    weight = there.astype(np.float64)
    joints = one.shape[2]
    bodies = one.astype(np.float64), other.astype(np.float64)  # squares of what is nearly equal are subtracted
    squares = (bodies[0] ** 2).sum(axis=(2, 3)), (bodies[1] ** 2).sum(axis=(2, 3))
    per_frame = bodies[0].transpose(0, 1, 3, 2) @ bodies[1]
    for _ in range(ROUNDS):
        turn = _turn(np.einsum("hs,hsij->hij", weight, per_frame))
        left = squares[0] + squares[1] - 2 * np.einsum("hij,hsij->hs", turn, per_frame)
        left = np.sqrt(np.maximum(left, 0) / joints)  # metres, per frame
        weight = there / (1 + (left / (FRAME * ALIKE)) ** 2) ** 2
    good = there & (left <= FRAME * ALIKE)
    begin, end = _longest_run(good, there)
    every = np.arange(len(good))
    within = (np.arange(SAMPLES) >= begin[:, None]) & (np.arange(SAMPLES) <= end[:, None])
    inside = good & within
    count = np.maximum(inside.sum(axis=1), 1)
    rms = np.sqrt((left**2 * inside).sum(axis=1) / count)
    test = np.stack([test_at[every, begin], test_at[every, end]], axis=1)
    train = np.stack([train_at[every, begin], train_at[every, end]], axis=1)
    proven = good.any(axis=1) & (inside.sum(axis=1) >= within.sum(axis=1) / 2)
    test_frames, train_frames = (np.where(proven, span[:, 1] - span[:, 0] + 1, 0.0) for span in (test, train))
    lengths = paths.length[hits.test], paths.length[hits.train]
    return Proof(
        left=np.where(proven, rms, np.inf),
        moves=_moves(bodies[0], inside),
        mirrored=np.linalg.det(turn) < 0,
        exchanged=np.full(len(good), exchanged),
        test=test,
        train=train,
        frames=np.minimum(test_frames, train_frames),
        share=np.maximum(test_frames / lengths[0], train_frames / lengths[1]),
    )


def _turn(products: Doubles) -> Doubles:
    """The rotations or mirrored rotations (H, 3, 3) that bring the other's joints nearest to the one's."""
    left, _, right = np.linalg.svd(products)
    turn: Doubles = left @ right
    return turn


def _longest_run(good: NDArray[np.bool_], there: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """First and last place (H,) of the longest run of good frames (H, S).

    Neither a single bad frame ends it, nor frames in which a body is absent.
    """
    bridged = good | ~there
    bridged[:, 1:-1] |= bridged[:, :-2] & bridged[:, 2:]
    first, begin, end = (np.full(len(good), -1) for _ in range(3))
    for place in range(good.shape[1]):
        first = np.where(bridged[:, place], np.where((first < 0) & good[:, place], place, first), -1)
        longer = good[:, place] & (first >= 0) & (place - first > end - begin - (begin < 0))
        begin, end = np.where(longer, first, begin), np.where(longer, place, end)
    return np.maximum(begin, 0), np.maximum(end, 0)


def _moves(bodies: Doubles, inside: NDArray[np.bool_]) -> Doubles:
    """How far the joints (H, S, V', 3) are from their mean over the frames inside (H, S), root mean square (H,)."""
    weight = inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    mean = np.einsum("hs,hsvc->hvc", weight, bodies)
    squares = ((bodies - mean[:, None]) ** 2).sum(axis=3).mean(axis=2)
    moves: Doubles = np.sqrt((weight * squares).sum(axis=1))
    return moves
