"""Whether two stretches of two bodies are copies: what is left between them after the best rigid motion or mirror.

A copy has the same sensor noise as its original. Another camera's view of the same performance has not, nor has another
performance, however alike: they stay a centimetre and more apart.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.copy_search import Hits, between, in_batches
from pcm3.data.audit.pose_paths import Booleans, Doubles, Floats, Indices, PosePaths
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

Proof = NDArray[Any]
"""(H,) what is left between the two stretches of each hit, and where the stretches are."""
PROOF = np.dtype(
    [
        ("left", np.float64),  # metres, root mean square over joints and frames
        ("moves", np.float64),  # metres by which the joints move about within the stretch, root mean square
        ("mirrored", np.bool_),  # whether one is a mirror image of the other
        ("exchanged", np.bool_),  # whether left and right joints are exchanged
        ("test", np.float64, (2,)),  # first and last frame of the stretch in the test clip
        ("train", np.float64, (2,)),
        ("frames", np.float64),  # in the coarser of the two
        ("share", np.float64),  # of the clip of which the stretch covers more
    ]
)


def copied(proof: Proof) -> Booleans:
    """(H,) which are copies."""
    alike = (proof["left"] <= ALIKE) & (proof["left"] < STILL * proof["moves"])
    return np.asarray(alike & (proof["frames"] >= LEAST) & (proof["share"] >= SHARE))


def prove(store: ClipStore, paths: PosePaths, hits: Hits) -> Proof:
    """What is left between the paths' bodies where the hits say that they run together."""
    return in_batches(partial(_best_of_cases, store, paths), hits, HITS_AT_ONCE)


def _best_of_cases(store: ClipStore, paths: PosePaths, hits: Hits) -> Proof:
    """The case with the longest stretch, or of equally long ones the one with the least left."""
    proof = _case(store, paths, hits, by_test=True, exchanged=False)
    for by_test, exchanged in ((False, False), (True, True), (False, True)):
        open_ = np.flatnonzero(~copied(proof) | (proof["left"] >= SURE))
        other = _case(store, paths, hits[open_], by_test, exchanged)
        better = _merit(other) > _merit(proof[open_])
        proof[open_[better]] = other[better]
    return proof


def _merit(proof: Proof) -> Doubles:
    return np.asarray(proof["frames"] - 1e3 * proof["left"])


def _case(store: ClipStore, paths: PosePaths, hits: Hits, by_test: bool, exchanged: bool) -> Proof:
    """The proof with the frames of one of the clips as they are, those of the other between its own."""
    test_frame, train_frame, rate = (hits[name][:, None] for name in ("test_frame", "train_frame", "rate"))
    test_last, train_last = (paths.length[hits[name]][:, None] - 1 for name in ("test", "train"))
    begin = np.maximum(0, test_frame - train_frame / rate)
    end = np.minimum(test_last, test_frame + (train_last - train_frame) / rate)
    test_at = begin + np.linspace(0, 1, SAMPLES) * np.maximum(end - begin, 0)
    if by_test:
        test_at = np.round(test_at)
        train_at = train_frame + rate * (test_at - test_frame)
    else:
        train_at = np.round(train_frame + rate * (test_at - test_frame))
        test_at = test_frame + (train_at - train_frame) / rate
    test, test_present = _bodies_at(store, paths, hits["test"], test_at)
    train, train_present = _bodies_at(store, paths, hits["train"], train_at)
    if exchanged:
        place = {int(joint): index for index, joint in enumerate(paths.joints)}
        train = train[:, :, [place.get(store.layout.mirrored[joint], index) for joint, index in place.items()]]
    proof = _compare(test, train, test_present & train_present, test_at, train_at)
    proof["exchanged"] = exchanged
    frames = [np.where(np.isfinite(proof["left"]), np.ptp(proof[name], axis=1) + 1, 0.0) for name in ("test", "train")]
    proof["frames"] = np.minimum(*frames)
    proof["share"] = np.maximum(frames[0] / (test_last[:, 0] + 1), frames[1] / (train_last[:, 0] + 1))
    return proof


def _bodies_at(store: ClipStore, paths: PosePaths, path: Indices, frame: Doubles) -> tuple[Floats, Booleans]:
    """Joints (H, S, V', 3) around their middle, and where they are there (H, S)."""
    at, start = between(paths, path, frame), store.start[paths.clip[path]][:, None]
    first, body = paths.first[path][:, None], paths.body[path][:, None]
    there = at.inside & ~np.isnan(paths.poses[first + at.low, 0]) & ~np.isnan(paths.poses[first + at.high, 0])
    low, high = (
        store.frames[start + which, body][:, :, paths.joints].astype(np.float32) for which in (at.low, at.high)
    )
    with np.errstate(invalid="ignore"):  # a damaged store may hold infinities; they are not there
        bodies = low + at.share[..., None, None] * (high - low)
    bodies = np.where(there[..., None, None], bodies, np.float32(0))
    return bodies - bodies.mean(axis=2, keepdims=True), there


def _compare(test: Floats, train: Floats, there: Booleans, test_at: Doubles, train_at: Doubles) -> Proof:
    """Kabsch over the frames that agree, then which agree, and again."""
    weight = there.astype(np.float64)
    bodies, others = test.astype(np.float64), train.astype(np.float64)  # squares of what is nearly equal are subtracted
    squares = (bodies**2).sum(axis=(2, 3)) + (others**2).sum(axis=(2, 3))
    products = bodies.transpose(0, 1, 3, 2) @ others
    for _ in range(ROUNDS):
        before, _, after = np.linalg.svd(np.einsum("hs,hsij->hij", weight, products))
        rotation = before @ after  # the rotations, mirrored or not, that bring the bodies nearest to each other
        left = squares - 2 * np.einsum("hij,hsij->hs", rotation, products)
        left = np.sqrt(np.maximum(left, 0) / test.shape[2])  # metres, per frame
        weight = there / (1 + (left / (FRAME * ALIKE)) ** 2) ** 2
    good = there & (left <= FRAME * ALIKE)
    begin, end = _longest_run(good, there)
    within = (np.arange(SAMPLES) >= begin[:, None]) & (np.arange(SAMPLES) <= end[:, None])
    inside = good & within
    proven = good.any(axis=1) & (inside.sum(axis=1) >= within.sum(axis=1) / 2)
    proof = np.zeros(len(good), PROOF)
    rms = np.sqrt((left**2 * inside).sum(axis=1) / np.maximum(inside.sum(axis=1), 1))
    proof["left"] = np.where(proven, rms, np.inf)
    proof["moves"] = _moves(bodies, inside)
    proof["mirrored"] = np.linalg.det(rotation) < 0
    for name, at in (("test", test_at), ("train", train_at)):
        proof[name] = np.take_along_axis(at, np.stack([begin, end], axis=1), axis=1)
    return proof


def _longest_run(good: Booleans, there: Booleans) -> tuple[Indices, Indices]:
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


def _moves(bodies: Doubles, inside: Booleans) -> Doubles:
    """How far the joints (H, S, V', 3) are from their mean over the frames inside (H, S), root mean square (H,)."""
    weight = inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    mean = np.einsum("hs,hsvc->hvc", weight, bodies)
    squares = ((bodies - mean[:, None]) ** 2).sum(axis=3).mean(axis=2)
    return np.asarray(np.sqrt((weight * squares).sum(axis=1)))
