"""How many planted copies the leak audit finds among the clips of a store, in what time, and what it finds besides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pcm3.benchmark.planted_copies import PLANTS
from pcm3.data.audit.leaks import find_leaks
from pcm3.data.protocol import split
from pcm3.data.recording import TEST, TRAIN, Recording
from pcm3.data.store import BY_SPLIT, ClipStore
from pcm3.data.store_writer import write_store

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
