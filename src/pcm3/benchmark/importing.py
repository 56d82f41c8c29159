"""How fast NTU RGB+D files become a store, against the usual script and against the mere reading of their numbers."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
    largest_mib: int
    """Largest resident size of any process of the benchmark so far, pages of mapped files counted; 0: not told here."""


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
        ways: dict[tuple[str, int], Callable[[], float]] = {
            (LINE_BY_LINE, 1): lambda: _seconds(clip_line_by_line, different),
            (FROMSTRING, 1): lambda: _seconds(_all_numbers, different),
            (PARSE, 1): lambda: _seconds(_parsed, different),
        }
        for count in workers:
            ways[IMPORT, count] = lambda count=count: _import_seconds(folder, count)  # type: ignore[misc]
        seconds: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
        largest: dict[tuple[str, int], int] = {}
        for _ in range(turns):
            for way, measure in ways.items():
                seconds[way].append(measure())
                largest[way] = _largest_mib()
                on_progress()
        size = sum(file.stat().st_size for file in different) / 1e6
    sizes = {way: size * (copies if way[0] == IMPORT else 1) for way in ways}
    rates = {way: [sizes[way] / taken for taken in seconds[way]] for way in ways}  # megabytes a second in each turn
    return [
        ImportSpeed(
            what=what,
            workers=count,
            files=len(different) * (copies if what == IMPORT else 1),
            files_per_s=round(statistics.median(rate) * len(different) / size, 1),
            megabytes_per_s=round(statistics.median(rate), 1),
            lowest=round(min(rate) * len(different) / size, 1),
            highest=round(max(rate) * len(different) / size, 1),
            to_line_by_line=_ratio(rate, rates[LINE_BY_LINE, 1]),
            to_fromstring=_ratio(rate, rates[FROMSTRING, 1]),
            turns=turns,
            largest_mib=largest[what, count],
        )
        for (what, count), rate in rates.items()
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


def _seconds(read: Callable[[Path], object], files: Sequence[Path]) -> float:
    began = time.perf_counter()
    for file in files:
        read(file)
    return time.perf_counter() - began


def _all_numbers(file: Path) -> object:
    return np.fromstring(file.read_bytes(), sep=" ")


def _parsed(file: Path) -> object:
    return ntu.parse(file.name, file.read_bytes())


def _import_seconds(folder: Path, workers: int) -> float:
    store = folder / "store"
    report = import_recordings("ntu60", folder / "raw", store, workers=workers, progress=False)
    shutil.rmtree(store)
    return report.seconds


def _largest_mib() -> int:
    """The largest resident size that this process, or one that it has waited for, has ever had."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 2**20 if sys.platform == "darwin" else 2**10
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in who) // unit


def _ratio(rates: Sequence[float], others: Sequence[float]) -> float:
    """The median of the quotients within a turn."""
    return round(statistics.median(rate / other for rate, other in zip(rates, others, strict=True)), 2)
