"""Copies of clips as they come about, to see whether the audit finds them: moved, mirrored, cut, slowed, noisy.

``python tests/helpers/planted_copies.py FILES OUT.json`` plants them among about so many simulated clips and writes how
many of each kind are found, what is found besides, and how long the audit takes (`results/benchmark-leaks.json`).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.leaks import find_leaks
from pcm3.data.importer import import_recordings
from pcm3.data.protocol import split
from pcm3.data.recording import TEST, TRAIN, Recording
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.data.store_writer import write_store
from pcm3.files import write_json
from pcm3.simulate import ACTIONS, simulate
from pcm3.skeleton import Layout

Clip = NDArray[np.float32]
"""(T, M, V, 3) metres."""
Plant = Callable[[Clip, Layout, np.random.Generator], tuple[Clip, Clip]]
"""From a clip to two that are copies of each other."""


def resampled(clip: Clip, frames: int) -> Clip:
    """So many frames, the first and the last those of the clip, in between by linear interpolation."""
    at = np.linspace(0, len(clip) - 1, frames)
    whole = np.minimum(at.astype(int), max(len(clip) - 2, 0))
    share = (at - whole)[:, None, None, None]
    between = clip[whole] * (1 - share) + clip[np.minimum(whole + 1, len(clip) - 1)] * share
    return np.asarray(between, np.float32)


def moved(clip: Clip, rng: np.random.Generator) -> Clip:
    """Turned and shifted, all frames alike; absent bodies stay zeros."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    return _where_there(clip, clip @ turn.T + rng.normal(0, 1, 3))


def mirrored(clip: Clip) -> Clip:
    """Seen in a mirror, x to −x; the names of the joints stay where they are."""
    return clip * np.array([-1, 1, 1], np.float32)


def exchanged(clip: Clip, layout: Layout) -> Clip:
    """Left joints under the names of the right ones."""
    return clip[:, :, list(layout.mirrored)]


def noisy(clip: Clip, size: float, rng: np.random.Generator) -> Clip:
    """With independent noise on each coordinate, standard deviation ``size`` metres; absent bodies stay zeros."""
    return _where_there(clip, clip + rng.normal(0, size, clip.shape))


def _where_there(clip: Clip, changed: NDArray[np.float64]) -> Clip:
    there = (clip != 0).any(axis=(2, 3), keepdims=True)
    return np.asarray(np.where(there, changed, 0), np.float32)


def stretch(clip: Clip, share: float, rng: np.random.Generator) -> Clip:
    """A stretch of that share of the frames, anywhere."""
    frames = max(round(len(clip) * share), 1)
    first = int(rng.integers(len(clip) - frames + 1))
    return clip[first : first + frames]


def _overlapping(clip: Clip, _: Layout, rng: np.random.Generator) -> tuple[Clip, Clip]:
    """The first and the last three quarters or less: at least half of each is also in the other."""
    frames = round(len(clip) * rng.uniform(0.68, 0.9))
    return clip[:frames], clip[len(clip) - frames :]


def _all_at_once(clip: Clip, layout: Layout, rng: np.random.Generator) -> tuple[Clip, Clip]:
    part = stretch(clip, rng.uniform(0.6, 0.9), rng)
    part = resampled(part, round(len(part) * rng.uniform(0.6, 1.6)))
    part = exchanged(mirrored(part), layout) if rng.random() < 0.5 else part
    return clip, noisy(moved(part, rng), 0.002, rng).astype(np.float16).astype(np.float32)


PLANTS: dict[str, Plant] = {
    "equal": lambda clip, _, rng: (clip, clip),
    "cropped": lambda clip, _, rng: (clip, stretch(clip, rng.uniform(0.5, 0.95), rng)),
    "part in training": lambda clip, _, rng: (stretch(clip, rng.uniform(0.5, 0.95), rng), clip),
    "shifted": _overlapping,
    "resampled": lambda clip, _, rng: (clip, resampled(clip, round(len(clip) * 2 ** rng.uniform(-1, 1)))),
    "mirrored": lambda clip, _, rng: (clip, mirrored(clip)),
    "mirrored, sides exchanged": lambda clip, layout, rng: (clip, exchanged(mirrored(clip), layout)),
    "sides exchanged": lambda clip, layout, rng: (clip, exchanged(clip, layout)),
    "moved": lambda clip, _, rng: (clip, moved(clip, rng)),
    "bodies exchanged": lambda clip, _, rng: (clip, clip[:, ::-1]),
    "float16": lambda clip, _, rng: (clip, clip.astype(np.float16).astype(np.float32)),
    "noise of 3 mm": lambda clip, _, rng: (clip, noisy(clip, 0.003, rng)),
    "noise of 5 mm": lambda clip, _, rng: (clip, noisy(clip, 0.005, rng)),
    "all at once": _all_at_once,
}
"""What happens to the copy → the clip for training and the clip for the test. Noise is that of each coordinate."""

PROTOCOL = "planted"


@dataclass(frozen=True)
class LeakRecall:
    """One kind of copy."""

    copies: str
    """What was done to them."""
    planted: int
    found: int


@dataclass(frozen=True)
class LeakBenchmark:
    """What the audit made of a store with planted copies."""

    rows: list[LeakRecall]
    clips: int
    """In the store, with those that were planted."""
    frames: int
    false_pairs: list[tuple[str, str]]
    """Training and test clips that are not copies of each other, nor of the same clip, and were listed."""
    seconds: float
    """Of the audit, with reading."""


def leak_benchmark(store: ClipStore, protocol: str, copies: int, folder: Path, seed: int = 0) -> LeakBenchmark:
    """Plant copies of a store's clips on both sides of a protocol and look for them.

    Args:
        store: clips without copies among them.
        protocol: says which of them train and test.
        copies: pairs planted of each kind.
        folder: where to write the store with the copies; must not exist.
        seed: of the copies.
    """
    sources: dict[str, str] = {}
    planted = write_store(
        folder,
        _with_copies(store, protocol, copies, np.random.default_rng(seed), sources),
        layout=store.layout,
        fps=store.fps,
        bodies=store.bodies.shape[1],
        kind=store.kind,
        protocols={PROTOCOL: BY_SPLIT},
        normalised=store.normalised,
        dtype=store.frames.dtype.name,
    )
    began = time.perf_counter()
    leaks = {(leak.train, leak.test) for leak in find_leaks(planted, PROTOCOL)}
    seconds = time.perf_counter() - began
    rows = [
        LeakRecall(kind, copies, sum(_names(number, copy) in leaks for copy in range(copies)))
        for number, kind in enumerate(PLANTS)
    ]
    false = sorted((train, test) for train, test in leaks if sources[train] != sources[test])
    return LeakBenchmark(rows, len(planted), len(planted.frames), false, round(seconds, 2))


def _with_copies(
    store: ClipStore, protocol: str, copies: int, rng: np.random.Generator, sources: dict[str, str]
) -> Iterator[Recording]:
    """The clips of the store and the planted ones; notes in ``sources`` which clip each is of."""
    train, test = split(store, protocol)
    for side, indices in ((TRAIN, train), (TEST, test)):
        for index in indices.tolist():
            name = str(store.ids[index])
            sources[name] = name
            yield Recording(name, store.clip(index), splits={PROTOCOL: side})
    for number, plant in enumerate(PLANTS.values()):
        for copy in range(copies):
            index = int(rng.integers(len(store)))
            clips = plant(store.clip(index), store.layout, rng)
            for name, clip, side in zip(_names(number, copy), clips, (TRAIN, TEST), strict=True):
                sources[name] = str(store.ids[index])
                yield Recording(name, clip, splits={PROTOCOL: side})


def _names(number: int, copy: int) -> tuple[str, str]:
    """The ids of a planted training clip and of its test clip."""
    return f"plant-{number}-{copy}-train", f"plant-{number}-{copy}-test"


def main(files: int, out: Path) -> None:
    """Writes the figures of a store of about so many simulated clips, of whom half of four or more subjects train."""
    with tempfile.TemporaryDirectory(prefix="pcm3-leaks-") as folder:
        raw, store = Path(folder, "raw"), Path(folder, "store")
        simulate(raw, subjects=max(files // (4 * 3 * len(ACTIONS)), 4), repetitions=4, cameras=3)
        import_recordings("ntu60", raw, store)
        recall = leak_benchmark(ClipStore.open(store), "xsub", max(files // 200, 1), Path(folder, "planted"))
    same = {"clips": recall.clips, "false_pairs": len(recall.false_pairs), "seconds": round(recall.seconds, 1)}
    write_json(out, {"benchmark": "leaks", "rows": [asdict(row) | same for row in recall.rows]})


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
