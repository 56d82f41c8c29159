"""How fast NTU RGB+D files become a store, against the usual script and against the mere reading of their numbers."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pcm3.benchmark.interleaved import Spread, interleaved, median_ratio
from pcm3.benchmark.reference_reader import clip_line_by_line
from pcm3.data.importer import import_recordings
from pcm3.data.readers import ntu
from pcm3.simulate import ACTIONS, simulate

CAMERAS = 3

LINE_BY_LINE, FROMSTRING, PARSE, IMPORT = "line by line", "numpy.fromstring", "parse", "import"


@dataclass(frozen=True)
class ImportSpeed:
    """The row of one way to read the files."""

    what: str
    """``line by line``: the usual script (`benchmark.reference_reader`), which prepares the clip and stores nothing.
    ``numpy.fromstring``: the bytes, and every number in them. ``parse``: the bytes, and the recording in them.
    ``import``: the whole, from the folder to the store."""
    workers: int
    """Processes."""
    files: int
    """Read in each turn."""
    files_per_s: float
    """Median over the turns."""
    megabytes_per_s: float
    """Median over the turns."""
    lowest: float
    """Files a second in the slowest turn."""
    highest: float
    """Files a second in the fastest turn."""
    to_line_by_line: float
    """Bytes a second over those of ``line by line`` in the same turn, median over the turns."""
    to_fromstring: float
    """Bytes a second over those of ``numpy.fromstring`` in the same turn, median over the turns."""
    turns: int


def benchmark_import(
    files: int, workers: Sequence[int], turns: int, on_progress: Callable[[], object] = lambda: None
) -> list[ImportSpeed]:
    """Time all ways of reading simulated NTU RGB+D files, turn by turn: in each turn every way has its go.

    A few hundred different files are simulated and stand in the folder under many names, as often as each other; the
    ways other than the import read each file once. All of them are in the page cache.

    Args:
        files: about how many to import.
        workers: numbers of processes to import with.
        turns: goes of each way.
        on_progress: called after every go.
    """
    with tempfile.TemporaryDirectory(prefix="pcm3-benchmark-") as name:
        folder = Path(name)
        different = _simulated(folder / "raw", files)
        copies = len(list((folder / "raw").glob("*.skeleton"))) // len(different)
        ways: dict[tuple[str, int], Callable[[int], float]] = {
            (LINE_BY_LINE, 1): partial(_seconds, clip_line_by_line, different),
            (FROMSTRING, 1): partial(_seconds, lambda file: np.fromstring(file.read_bytes(), sep=" "), different),
            (PARSE, 1): partial(_seconds, lambda file: ntu.parse(file.name, file.read_bytes()), different),
            **{(IMPORT, count): partial(_import_seconds, folder, count) for count in workers},
        }
        seconds = interleaved(ways, turns, 0, on_progress)
        size = sum(file.stat().st_size for file in different) / 1e6
    counts = {way: len(different) * (copies if way[0] == IMPORT else 1) for way in ways}
    # Megabytes a second in each turn.
    rates = {way: [size * counts[way] / len(different) / taken for taken in seconds[way]] for way in ways}
    return [
        ImportSpeed(
            *way,
            counts[way],
            Spread.of([counts[way] / taken for taken in seconds[way]], 1).median,
            Spread.of(rate, 1).median,
            *Spread.of([counts[way] / taken for taken in seconds[way]], 1)[1:],
            to_line_by_line=median_ratio(rate, rates[LINE_BY_LINE, 1]),
            to_fromstring=median_ratio(rate, rates[FROMSTRING, 1]),
            turns=turns,
        )
        for way, rate in rates.items()
    ]


def _simulated(folder: Path, files: int) -> list[Path]:
    """Different files; beside them the folder has as many links to each as make about so many files in all."""
    actions = min(len(ACTIONS), max(files // CAMERAS, 1))
    simulate(folder, subjects=1, repetitions=1, cameras=CAMERAS, actions=actions)
    different = sorted(folder.glob("*.skeleton"))
    for copy in range(2, round(files / len(different)) + 1):
        for file in different:
            other = file.with_name(file.name.replace("R001", f"R{copy:03}"))
            try:
                os.link(file, other)
            except OSError:  # a file system without links
                shutil.copyfile(file, other)
    return different


def _seconds(read: Callable[[Path], object], files: Sequence[Path], _turn: int) -> float:
    began = time.perf_counter()
    for file in files:
        read(file)
    return time.perf_counter() - began


def _import_seconds(folder: Path, workers: int, _turn: int) -> float:
    store = folder / "store"
    report = import_recordings("ntu60", folder / "raw", store, workers=workers, progress=False)
    shutil.rmtree(store)
    return report.seconds
