"""``pcm3 play FILE | pcm3 stream HEAD``: a recording as lines of JSON, at the pace at which it was recorded."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

BETWEEN = 1.0
"""Seconds from the end of a recording to the next one's beginning."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("source", type=Path, nargs="+", help="files of any format that pcm3 reads")
    parser.add_argument("--fps", type=float | None, default=None, help="frames a second of files that do not hold them")
    parser.add_argument("--layout", type=str | None, default=None,
                        help="skeleton of such files: a name or a TOML file")  # fmt: skip
    parser.add_argument("--units", type=str | None, default=None,
                        help="metres, …, or the metres in one unit; null: by the bodies' size")  # fmt: skip
    parser.add_argument("--speed", type=float, default=1.0, help="times as fast as it was recorded")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Prints the frames, each when its time has come."""
    from pcm3.data.recordings import chosen_layout, read_files
    from pcm3.data.source_index import Options
    from pcm3.data.store import STORE
    from pcm3.errors import ConfigError, DataError

    if not 0 < options.speed < float("inf"):
        raise ConfigError(f"--speed: expected more than 0, got {options.speed:g}")
    for path in options.source:
        if not path.exists():
            raise DataError(f"{path}: expected a file with a recording, but nothing is there")
        if (path / STORE).is_file():
            raise DataError(f"{path}: expected files with recordings, got a store, whose clips were cut, centred and "
                            "turned: give the files that it was made of")  # fmt: skip
    files = read_files(options.source, Options(chosen_layout(options.layout), fps=options.fps, units=options.units))
    began, offset, count = time.perf_counter(), 0.0, 0
    for recording in files.recordings:
        for number, frame in enumerate(recording.frames):
            moment = offset + number / files.fps
            time.sleep(max(0.0, began + moment / options.speed - time.perf_counter()))
            print(json.dumps(_line(moment, frame, files.layout.joints)), flush=True)
            count += 1
        offset += len(recording.frames) / files.fps + BETWEEN
    return 0, {"frames": count, "fps": files.fps, "layout": files.layout.name}


def _line(moment: float, frame: Any, joints: tuple[str, ...]) -> dict[str, Any]:
    """A frame (M, V, 3) with its joints by name; absent ones are left out."""
    bodies = [
        {name: [round(float(number), 5) for number in xyz] for name, xyz in zip(joints, body, strict=True) if xyz.any()}
        for body in frame
    ]
    there = [body for body in bodies if body]
    return {"time": round(moment, 6), "bodies": there}
