"""How fast NTU RGB+D files become a store, against the usual script and against the mere reading of their numbers."""

from __future__ import annotations

import os
import shutil
import sys
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
        ways: dict[tuple[str, int], Callable[[int], float]] = {
            (LINE_BY_LINE, 1): partial(_seconds, clip_line_by_line, different),
            (FROMSTRING, 1): partial(_seconds, lambda file: np.fromstring(file.read_bytes(), sep=" "), different),
            (PARSE, 1): partial(_seconds, lambda file: ntu.parse(file.name, file.read_bytes()), different),
            **{(IMPORT, count): partial(_import_seconds, folder, count) for count in workers},
        }
        largest: dict[tuple[str, int], int] = {}

        def measured(way: tuple[str, int], measure: Callable[[int], float], turn: int) -> float:
            seconds = measure(turn)
            largest[way] = _largest_mib()
            return seconds

        goes = {way: partial(measured, way, measure) for way, measure in ways.items()}
        seconds = interleaved(goes, turns, 0, on_progress)
        size = sum(file.stat().st_size for file in different) / 1e6
    sizes = {way: size * (copies if way[0] == IMPORT else 1) for way in ways}
    rates = {way: [sizes[way] / taken for taken in seconds[way]] for way in ways}  # megabytes a second in each turn
    rows = []
    for (what, count), rate in rates.items():
        files_a_second = Spread.of([value * len(different) / size for value in rate], 1)
        rows.append(
            ImportSpeed(
                what=what,
                workers=count,
                files=len(different) * (copies if what == IMPORT else 1),
                files_per_s=files_a_second.median,
                megabytes_per_s=Spread.of(rate, 1).median,
                lowest=files_a_second.lowest,
                highest=files_a_second.highest,
                to_line_by_line=median_ratio(rate, rates[LINE_BY_LINE, 1]),
                to_fromstring=median_ratio(rate, rates[FROMSTRING, 1]),
                turns=turns,
                largest_mib=largest[what, count],
            )
        )
    return rows


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


def _largest_mib() -> int:
    """The largest resident size that this process, or one that it has waited for, has ever had."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 2**20 if sys.platform == "darwin" else 2**10
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(whose).ru_maxrss for whose in who) // unit
