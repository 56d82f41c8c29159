"""``pcm3 simulate STORE_OR_RAW``."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

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
    began, form = time.monotonic(), FORMS[options.form]
    if options.form == "store":
        from pcm3.data.importer import import_recordings

        with tempfile.TemporaryDirectory(prefix="pcm3-simulate-") as raw:
            files = _simulated(Path(raw) / "raw", options, form)
            import_recordings("ntu60", Path(raw) / "raw", options.folder)
    else:
        files = _simulated(options.folder, options, form)
    seconds = time.monotonic() - began
    print(f"{options.folder}: {files:,} {form.what}, {seconds:.1f} s")
    if form.kind:
        print(f"next: {command('pcm3', 'import', form.kind, options.folder, 'STORE')}")
    return 0, {"folder": str(options.folder), "clips": files, "seconds": round(seconds, 3)}


class _Form(NamedTuple):
    what: str
    """Of how many the command tells."""
    kind: str
    """What ``pcm3 import`` calls the files; empty where they are a store."""
    function: str
    """Of `pcm3.simulate`, which writes them."""
    counts: tuple[str, ...]
    """Options that it takes."""


_CLIPS, _SESSIONS = ("subjects", "repetitions", "cameras"), ("sessions", "subjects")
FORMS = {
    "raw": _Form("recordings (NTU RGB+D .skeleton files)", "ntu60", "simulate", _CLIPS),
    "store": _Form("clips (a store)", "", "simulate", _CLIPS),
    "pkummd": _Form("untrimmed videos (PKU-MMD files)", "pkummd1", "simulate_sessions", _SESSIONS),
}


def _simulated(folder: Path, options: Any, form: _Form) -> int:
    """How many files were written, with a progress bar meanwhile."""
    from tqdm import tqdm

    import pcm3.simulate

    asked = {name: getattr(options, name) for name in (*form.counts, "actions", "seed")}
    with tqdm(desc="simulate", unit="file", delay=1) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return int(getattr(pcm3.simulate, form.function)(folder, progress=on_progress, **asked))
