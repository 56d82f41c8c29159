"""Labelled clips, or recordings of one action each, as untrimmed recordings in which a person's actions follow each
other.

Recordings are cut midway between their actions, clips are taken whole. The pieces of a person, mixed, follow each other
in recordings anew, frame for frame as they were: where two meet, the pose jumps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcm3.data.archives import Skipped
from pcm3.data.recording import UNKNOWN, Changes, Interval, Recording
from pcm3.data.store import CHANGES, ClipStore
from pcm3.data.store_writer import store_writer
from pcm3.errors import DataError
from pcm3.limits import check_integer, check_seed

MOST_PIECES = 10_000
"""To a recording; it lies in memory while it is written."""
WHO = ("subject", "camera", "setup")
"""What a recording has one of."""

Key = tuple[tuple[int, ...], tuple[tuple[str, int], ...]]
"""Person, camera and setup, then the sides of each split that came with the data: pieces of one key may meet."""


@dataclass(frozen=True)
class _Piece:
    """A stretch of a store's frames that stays in one."""

    row: int
    """Of the recording, or clip, that it is from."""
    start: int
    """Its first frame in the store."""
    stop: int
    """The frame after its last."""
    clips: tuple[int, ...]
    """The actions in it, by their start."""
    changes: Changes
    """Those of the recording, at the first of its pieces."""


def join_store(
    store: ClipStore, path: str | Path, *, pieces: int = 10, seed: int = 0, overwrite: bool = False
) -> ClipStore:
    """Writes the actions of each person one after another as untrimmed recordings; returns the store of them.

    Clips keep their names, which tell where they come from; people, cameras, setups and sides are those of the pieces,
    so that every protocol has on each side what it had. Left out, and told in the report, are actions without a class
    and who is not known. The same store and seed give the same bits.

    Args:
        store: of clips, or of untrimmed recordings with their actions.
        path: the folder to write.
        pieces: most of them to a recording; a person's recordings have as many, or one more or less.
        seed: of the order of a person's pieces.
        overwrite: replace a store that is there already.

    Raises:
        ConfigError: no number of pieces, or no seed.
        DataError: no action has a class and a person, or a store is in the way.
    """
    check_integer("pieces", pieces, 1, MOST_PIECES)
    check_seed(seed)
    by_key, left_out = _pieces_by_key(store)
    if not by_key:
        file, reason = left_out[0]
        raise DataError(
            f"{store.path}: expected actions with a class and a person to be joined, got none: {file}: {reason} "
            "(pcm3 import takes both from --labels or --pattern)"
        )
    touching = 0
    with store_writer(
        path,
        layout=store.layout,
        fps=store.fps,
        bodies=store.frames.shape[1],
        kind=f"{store.kind}-joined",
        classes=store.classes,
        protocols=store.protocols,
        normalised=store.normalised,
        preparation=store.preparation | {"joined": {"from": store.checksum, "pieces": pieces, "seed": seed}},
        dtype=store.frames.dtype.name,
        overwrite=overwrite,
    ) as writer:
        for recording in _recordings(store, by_key, pieces, seed):
            writer.add(recording)
            touching += _touching(recording)
        writer.report = {"clips": len(writer), "left_out": [list(entry) for entry in left_out]}
        if touching:
            writer.report["notes"] = [
                f"{touching:,} of {len(writer):,} actions begin where another ends, without a frame of background "
                "between: detection takes such for one action"
            ]
    return ClipStore.open(path)


def _pieces_by_key(store: ClipStore) -> tuple[dict[Key, list[_Piece]], list[Skipped]]:
    """The pieces that may meet, in the order of their keys and of the store; and what is left out."""
    whole = store.recordings or store
    by_key: dict[Key, list[_Piece]] = defaultdict(list)
    left_out: list[Skipped] = []
    for row, clips in enumerate(_clips_by_recording(store)):
        if whole.subject[row] == UNKNOWN:
            left_out.append((str(whole.ids[row]), "its person is not known"))
            continue
        who = tuple(int(getattr(whole, column)[row]) for column in WHO)
        key = who, tuple(sorted((name, int(side[row])) for name, side in whole.splits.items()))
        changes = Changes(*(int(getattr(whole, column)[row]) for column in CHANGES))
        for start, stop, inside in _stretches(store, int(whole.start[row]), int(whole.length[row]), clips):
            nameless = [clip for clip in inside if store.label[clip] < 0]
            if nameless:
                reasons = dict.fromkeys(nameless, "no class")
                left_out += [
                    (str(store.ids[clip]), reasons.get(clip, "overlaps one without a class")) for clip in inside
                ]
                continue
            by_key[key].append(_Piece(row, start, stop, inside, changes))
            changes = Changes()
    return {key: by_key[key] for key in sorted(by_key)}, left_out


def _clips_by_recording(store: ClipStore) -> list[np.ndarray]:
    """The clips of each recording, by their start; of a store of clips each itself."""
    if store.recordings is None:
        return [np.array([clip]) for clip in range(len(store))]
    order = np.lexsort((store.start, store.recording))
    return np.split(order, np.searchsorted(store.recording[order], np.arange(1, len(store.recordings))))


def _stretches(
    store: ClipStore, first: int, length: int, clips: np.ndarray
) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """A recording cut midway between its actions: first frame, the one after the last, and the actions of each stretch.

    Actions that overlap stay together.
    """
    starts = store.start[clips]
    ends = np.maximum.accumulate(starts + store.length[clips])
    apart = np.flatnonzero(starts[1:] >= ends[:-1]) + 1
    cuts = [first, *((ends[apart - 1] + starts[apart]) // 2).tolist(), first + length]
    for start, stop, inside in zip(cuts[:-1], cuts[1:], np.split(clips, apart), strict=True):
        yield start, stop, tuple(inside.tolist())


def _recordings(store: ClipStore, by_key: dict[Key, list[_Piece]], most: int, seed: int) -> Iterator[Recording]:
    """The pieces of each key, mixed, in recordings of nearly as many each."""
    generator = np.random.default_rng(seed)
    numbers: Counter[tuple[int, ...]] = Counter()
    for (who, sides), pieces in by_key.items():
        order = generator.permutation(len(pieces))
        for part in np.array_split(order, -(-len(pieces) // most)):
            numbers[who] += 1
            known = [f"{column}{value}" for column, value in zip(WHO, who, strict=True) if value != UNKNOWN]
            name = "-".join([*known, f"{numbers[who]:03}"])
            yield _joined(store, [pieces[index] for index in part], name, who, dict(sides))


def _joined(
    store: ClipStore, pieces: list[_Piece], name: str, who: tuple[int, ...], sides: dict[str, int]
) -> Recording:
    """The pieces, one after another."""
    intervals: list[Interval] = []
    begin = 0
    for piece in pieces:
        for clip in piece.clips:
            start = begin + int(store.start[clip]) - piece.start
            label, confidence = int(store.label[clip]), int(store.confidence[clip])
            intervals.append(Interval(start, start + int(store.length[clip]), label, confidence, str(store.ids[clip])))
        begin += piece.stop - piece.start
    changes = np.sum([[getattr(piece.changes, column) for column in CHANGES] for piece in pieces], axis=0)
    scores = store.scores
    subject, camera, setup = who
    return Recording(
        name,
        np.concatenate([store.frames[piece.start : piece.stop] for piece in pieces]).astype(np.float32),
        subject=subject,
        camera=camera,
        setup=setup,
        splits={protocol: side for protocol, side in sides.items() if side != UNKNOWN},
        intervals=tuple(intervals),
        scores=None if scores is None else np.concatenate([scores[piece.start : piece.stop] for piece in pieces]),
        changes=Changes(*changes.tolist()),
    )


def _touching(recording: Recording) -> int:
    """The actions that begin before or where another one ends."""
    intervals = recording.intervals or ()
    ends = np.maximum.accumulate([interval.stop for interval in intervals])
    return int((np.array([interval.start for interval in intervals[1:]]) <= ends[:-1]).sum())
