"""``pcm3 simulate STORE_OR_RAW``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pcm3.cli.places import check_folder
from pcm3.errors import command


@dataclass
class SimulateOptions:
    """What to simulate."""

    form: Literal["raw", "store", "pkummd"] = "raw"
    """Raw NTU RGB+D .skeleton files, a store imported from them, or long recordings as raw PKU-MMD files."""
    subjects: int = 10
    """People; protocol xsub trains on 1 2 4 5 8 9 ... as NTU RGB+D does."""
    repetitions: int = 2
    """Times that everyone does each action; not of pkummd."""
    cameras: int = 3
    """Cameras that see the same performance, 1 to 3; pkummd always has 3."""
    sessions: int = 20
    """Long recordings of pkummd, three videos each."""
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
    from pcm3.simulate.folder import MOST, check_counts, check_empty

    check_counts({name: (getattr(options, name), most) for name, most in MOST.items()}, options.actions, options.seed)
    check_folder("folder", options.folder)
    check_empty(options.folder)
    began = time.monotonic()
    if options.form == "store":
        from pcm3.data.importer import import_recordings

        with tempfile.TemporaryDirectory(prefix="pcm3-simulate-") as raw:
            files = write_clips(Path(raw) / "raw", options)
            import_recordings("ntu60", Path(raw) / "raw", options.folder)
    else:
        files = (write_sessions if options.form == "pkummd" else write_clips)(options.folder, options)
    seconds = time.monotonic() - began
    what = {
        "raw": "recordings (NTU RGB+D .skeleton files)",
        "store": "clips (a store)",
        "pkummd": "untrimmed videos (PKU-MMD files)",
    }
    print(f"{options.folder}: {files:,} {what[options.form]}, {seconds:.1f} s")
    if options.form != "store":
        kind = "ntu60" if options.form == "raw" else "pkummd1"
        print(f"next: {command('pcm3', 'import', kind, options.folder, 'STORE')}")
    return 0, {"folder": str(options.folder), "clips": files, "seconds": round(seconds, 3)}


def write_clips(folder: Path, options: Any) -> int:
    """The recordings as raw NTU RGB+D files, with a progress bar; how many."""
    from pcm3.simulate import simulate

    return _with_bar(
        simulate,
        folder,
        subjects=options.subjects,
        repetitions=options.repetitions,
        cameras=options.cameras,
        actions=options.actions,
        seed=options.seed,
    )


def write_sessions(folder: Path, options: Any) -> int:
    """The sessions as raw PKU-MMD files, with a progress bar; how many videos."""
    from pcm3.simulate import simulate_sessions

    return _with_bar(
        simulate_sessions,
        folder,
        sessions=options.sessions,
        subjects=options.subjects,
        actions=options.actions,
        seed=options.seed,
    )


def _with_bar(simulate: Callable[..., int], folder: Path, **what: Any) -> int:
    """What `simulate` returns, which tells of its progress."""
    from tqdm import tqdm

    with tqdm(desc="simulate", unit="file", delay=1) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return simulate(folder, progress=on_progress, **what)
