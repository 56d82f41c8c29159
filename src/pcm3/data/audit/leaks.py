"""Test clips that are also in the training set, equal or nearly: the same frames cut, slowed, mirrored, moved or noisy.

The search is a nearest-neighbour search in a tree of poses (`pose_paths`, `copy_search`), so that its time grows little
faster than the number of clips; what it finds is aligned in time (`copy_timing`) and proved joint by joint
(`copy_proof`). The outcome stays beside the store, so that an evaluation need not search again.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.checksums import read_checked_json, with_checksum
from pcm3.data.audit.copy_proof import copied, prove
from pcm3.data.audit.copy_search import NEIGHBOURS, search
from pcm3.data.audit.copy_timing import timed
from pcm3.data.audit.pose_paths import PosePaths, pose_paths
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.files import write_json
from pcm3.parallel import cores

AUDIT_FILE = "leaks.json"
VERSION = 1
"""Of the audit: a remembered one of another version is made again."""


@dataclass(frozen=True)
class Leak:
    """A training clip and a test clip that are copies of each other, or of one recording."""

    train: str
    """Id of the training clip."""
    test: str
    train_frames: tuple[int, int]
    """First and last frame of the training clip that is also in the test clip."""
    test_frames: tuple[int, int]
    mirrored: bool
    """Whether one is a mirror image of the other."""
    exchanged: bool
    """Whether left and right joints are exchanged."""
    rate: float
    """Training frames for a test frame."""
    residual_mm: float
    """What is left between the joints, root mean square; 0 where the clips are equal to the bit."""

    def __str__(self) -> str:
        if self.residual_mm == 0:
            return f"{self.train} = {self.test}: equal to the bit"
        (first, last), (begin, end) = self.train_frames, self.test_frames
        words = [f"frames {first}-{last} of it are {begin}-{end} there"]
        words += [f"{self.rate:.2f} times as fast"] * (abs(self.rate - 1) > 0.02)
        words += ["mirrored"] * self.mirrored + ["left and right exchanged"] * self.exchanged
        return f"{self.train} = {self.test}: {', '.join(words)}, {self.residual_mm:.1f} mm"


Audit = dict[str, list[Leak]]
"""Protocol → its leaks, for every protocol that can split the store."""


def find_leaks(store: ClipStore, protocol: str) -> list[Leak]:
    """The pairs of a training and a test clip of a protocol that are copies.

    A test clip with many copies is listed with some of them.

    Raises:
        DataError: the store has no such protocol, or one side of it is empty.
    """
    return _find(store, protocol, twins(store), pose_paths(store))


def audit(store: ClipStore, groups: Sequence[Sequence[int]] | None = None, *, remember: bool = True) -> Audit:
    """The leaks of all protocols that can split the store; written beside it where that is allowed.

    Args:
        store: the clips.
        groups: its `twins`, where they are known.
        remember: write them; or only read the store.
    """
    began = time.perf_counter()
    groups = twins(store) if groups is None else groups
    paths, leaks_by_protocol = pose_paths(store), {}
    for protocol in store.protocols:
        try:
            leaks_by_protocol[protocol] = _find(store, protocol, groups, paths)
        except DataError:  # the protocol cannot split the store, so nothing can leak; `check` says so
            continue
    if remember:
        _remember(store, leaks_by_protocol, time.perf_counter() - began)
    return leaks_by_protocol


def remembered(store: ClipStore) -> Audit | None:
    """The audit that lies beside the store; None where there is none of this store by this version."""
    try:
        fields = read_checked_json(store.path / AUDIT_FILE)
        if fields["audit"] != VERSION or fields["store"] != store.checksum:
            return None
        return {protocol: [_leak(pair) for pair in pairs] for protocol, pairs in fields["protocols"].items()}
    except (OSError, DataError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, IndexError):
        return None


def leaked_clips(store: ClipStore, leaks: Sequence[Leak]) -> NDArray[np.int64]:
    """The test clips among the leaks, as ascending indices into the store."""
    return np.flatnonzero(np.isin(store.ids, sorted({leak.test for leak in leaks})))


def twins(store: ClipStore) -> list[list[int]]:
    """Groups of clips with equal frames to the bit, two or more in each; clips without a skeleton are in none."""
    groups: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for index in np.flatnonzero(store.bodies.any(axis=1)).tolist():
        start, length = int(store.start[index]), int(store.length[index])
        frames = np.ascontiguousarray(store.frames[start : start + length])
        groups[length, hashlib.blake2b(frames.data, digest_size=16).digest()].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _find(store: ClipStore, protocol: str, groups: Sequence[Sequence[int]], paths: PosePaths | None) -> list[Leak]:
    train, test = split(store, protocol)
    exact = _exact(store, set(train.tolist()), set(test.tolist()), groups)
    near = _near(store, paths, train, test) if paths is not None else ()
    known = {(leak.train, leak.test) for leak in exact}
    return sorted(
        [*exact, *(leak for leak in near if (leak.train, leak.test) not in known)], key=attrgetter("test", "train")
    )


def _exact(store: ClipStore, train: set[int], test: set[int], groups: Sequence[Sequence[int]]) -> list[Leak]:
    """The leaks among clips that are equal to the bit."""
    leaks = []
    for group in groups:
        every_frame = (0, int(store.length[group[0]]) - 1)
        for known in [index for index in group if index in train][:NEIGHBOURS]:
            for asked in (index for index in group if index in test):
                leaks.append(
                    Leak(str(store.ids[known]), str(store.ids[asked]), every_frame, every_frame, False, False, 1.0, 0.0)
                )
    return leaks


def _near(store: ClipStore, paths: PosePaths, train: NDArray[np.int64], test: NDArray[np.int64]) -> Iterator[Leak]:
    """The leaks among bodies, each pair of clips once: with the longest stretch."""
    hits = timed(paths, search(paths, paths.of_clips(train), paths.of_clips(test), cores()))
    proofs = prove(store, paths, hits)
    rows = np.flatnonzero(copied(proofs))
    reported: set[tuple[int, int]] = set()
    for row in rows[np.argsort(-proofs["frames"][rows], kind="stable")]:
        hit, proof = hits[row], proofs[row]
        pair = int(paths.clip[hit["train"]]), int(paths.clip[hit["test"]])
        if pair not in reported:
            reported.add(pair)
            yield Leak(
                str(store.ids[pair[0]]),
                str(store.ids[pair[1]]),
                _nearest(proof["train"]),
                _nearest(proof["test"]),
                bool(proof["mirrored"]),
                bool(proof["exchanged"]),
                round(float(hit["rate"]), 4),
                max(round(float(proof["left"]) * 1e3, 4), 1e-4),
            )


def _nearest(span: NDArray[np.float64]) -> tuple[int, int]:
    """The frames nearest to the first and the last of a stretch."""
    return max(round(span[0]), 0), round(span[1])


def _remember(store: ClipStore, leaks_by_protocol: Audit, seconds: float) -> None:
    """Writes the audit beside the store; a folder that cannot be written is no error."""
    pairs = {protocol: [vars(leak) for leak in leaks] for protocol, leaks in leaks_by_protocol.items()}
    fields = {"audit": VERSION, "store": store.checksum, "seconds": round(seconds, 1), "protocols": pairs}
    try:
        write_json(store.path / AUDIT_FILE, with_checksum(fields))
    except OSError:
        return


def _leak(fields: dict[str, Any]) -> Leak:
    spans = {name: (int(fields[name][0]), int(fields[name][1])) for name in ("train_frames", "test_frames")}
    return Leak(**(fields | spans | {name: str(fields[name]) for name in ("train", "test")}))
