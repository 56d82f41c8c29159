"""``pcm3 simulate STORE_OR_RAW``."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass
class SimulateOptions:
    """What to simulate."""

    form: Literal["raw", "store"] = "raw"
    """Raw NTU RGB+D .skeleton files, or a store imported from them."""
    subjects: int = 10
    """People; protocol xsub trains on 1 2 4 5 8 9 ... as NTU RGB+D does."""
    repetitions: int = 2
    """Times that everyone does each action."""
    cameras: int = 3
    """Cameras that see the same performance, 1 to 3."""
    actions: int | None = None
    """The first so many actions; null for all."""
    seed: int = 0
    """Another seed, other people."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", type=Path, help="folder to write; must not exist, or be empty")
    parser.add_class_arguments(SimulateOptions)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Simulates, and says what was written."""
    began = time.monotonic()
    if options.form == "raw":
        files = write_raw(options.folder, options)
    else:
        from pcm3.data.importer import import_recordings

        with tempfile.TemporaryDirectory(prefix="pcm3-simulate-") as raw:
            files = write_raw(Path(raw) / "raw", options)
            import_recordings("ntu60", Path(raw) / "raw", options.folder)
    seconds = time.monotonic() - began
    what = "recordings (NTU RGB+D .skeleton files)" if options.form == "raw" else "clips (a store)"
    print(f"{options.folder}: {files:,} {what}, {seconds:.1f} s")
    if options.form == "raw":
        print(f"next: pcm3 import ntu60 {options.folder} STORE")
    return 0, {"folder": str(options.folder), "clips": files, "seconds": round(seconds, 3)}


def write_raw(folder: Path, options: Any) -> int:
    """The recordings as raw files, with a progress bar; how many."""
    from tqdm import tqdm

    from pcm3.data.simulate import simulate

    with tqdm(desc="simulate", unit="file", delay=1) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return simulate(
            folder,
            subjects=options.subjects,
            repetitions=options.repetitions,
            cameras=options.cameras,
            actions=options.actions,
            seed=options.seed,
            progress=tell,
        )
