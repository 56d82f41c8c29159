"""``pcm3 show STORE [CLIP ...]``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pcm3.cli.places import check_file
from pcm3.errors import ConfigError
from pcm3.limits import check_numbers
from pcm3.summary import counted


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("store", type=Path, help="a store, or a folder, zip or file of raw recordings")
    parser.add_argument(
        "clips", type=str, nargs="*", help="ids, their beginnings, or numbers; none: one clip of each class"
    )
    parser.add_argument("--out", type=Path, help="file to write: .gif, .mp4 or .png; replaced where there is one")
    parser.add_argument(
        "--kind", type=str, help="of raw recordings, as pcm3 import calls it (default: recognised from the files)"
    )
    parser.add_argument("--layout", type=str, help="of raw recordings whose kind has none: a name or a TOML file")
    parser.add_argument("--names", type=bool, help="write the joints' names (default: for a single clip)")
    parser.add_argument(
        "--view", type=float, nargs=2, metavar=("AZIMUTH", "ELEVATION"),
        help="degrees: 0 0 is straight from the front, 90 0 from the subject's left, 0 90 from above",
    )  # fmt: skip
    parser.add_argument("--frames", type=str, help="A-B: from frame A to frame B, both shown; A: this one alone")
    parser.add_argument("--every", type=int, default=None, help="show every so many-th frame, at the same speed")
    parser.add_argument("--fps", type=float, help="frames a second to play (default: as recorded)")
    parser.add_argument("--size", type=int, help="pixels of the square in which each body moves")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Draws, and says where."""
    frames = _frames(options.frames)
    for name in ("every", "fps"):
        if getattr(options, name) is not None and not 0 < getattr(options, name) < 10_000:
            raise ConfigError(f"--{name}: expected more than 0 and less than 10,000, got {getattr(options, name):g}")
    check_numbers({"view": options.view or []})
    if options.out is not None:
        check_file("--out", options.out)
    if options.size is not None and not 40 <= options.size <= 4000:
        raise ConfigError(f"--size: expected 40 to 4000 pixels, got {options.size}")
    if options.view is not None and not all(-10_000 < angle < 10_000 for angle in options.view):
        raise ConfigError(f"--view: expected two angles in degrees, got {' '.join(map(str, options.view))}")
    from pcm3.render.excerpt import SIDE_BY_SIDE, Drawing, excerpt_lines
    from pcm3.render.movie import check_form
    from pcm3.render.render import render
    from pcm3.render.scene import View

    few = 0 < len(options.clips) <= SIDE_BY_SIDE
    form = check_form(options.out or Path("clip.gif" if few else "sheet.png"))  # before any work
    scenes = _scenes(options, Drawing(form, frames, options.every, options.fps, options.size))
    out = options.out or Path(f"{_file_name('+'.join(scene.title for scene in scenes))}.gif" if few else "sheet.png")
    count, seconds = render(
        scenes,
        out,
        names=options.names,
        view=View(*options.view) if options.view else None,
        size=options.size,
        fps=options.fps,
        every=None if form == ".png" else options.every,  # which the frames of a still picture are already
    )
    lasting = f"{counted(count, 'frame')}, {seconds:.1f} s" if seconds else counted(count, "moment")
    print(f"{out}: {counted(len(scenes), 'clip')}, {lasting}")
    parts = excerpt_lines([(scene.title, scene.excerpt) for scene in scenes], form)
    for line in parts:
        print(f"drawn: {line}")
    return 0, {"file": str(out), "frames": count, "seconds": round(seconds, 3), "drawn": parts}


def _scenes(options: Any, drawing: Any) -> Any:
    """The clips that the words name."""
    from pcm3.render.selection import raw_scenes, store_scenes

    kind = options.kind or _raw_kind(options.store)
    if kind is not None:
        return raw_scenes(kind, options.store, options.clips, options.layout, drawing, options.fps)
    if options.layout is not None:
        raise ConfigError("--layout is for raw recordings (--kind); a store knows its layout")
    from pcm3.data.store import ClipStore
    from pcm3.data.verified import IN_NO_TIME, verified

    store = ClipStore.open(options.store)
    for name in verified(store, IN_NO_TIME).changed:
        print(f"note: {name} changed since the import (its checksum differs)")
    return store_scenes(store, options.clips, drawing)


def _raw_kind(source: Path) -> str | None:
    """The kind of raw recordings that the source holds; None where it is a store, or nothing that is known."""
    from pcm3.data.recognise import recognise
    from pcm3.errors import DataError

    if not source.exists() or (source / "store.json").exists():
        return None
    try:
        belief = recognise(source)
    except DataError:
        if source.is_dir():
            return None  # perhaps a store that lacks its description: which says so
        raise
    print(f"note: {belief.why}")
    return belief.kind


def _frames(text: str | None) -> slice | None:
    """The frames of ``A-B`` (both included) or ``A``; None for None.

    Raises:
        ConfigError: neither of these.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9})(-(\d{1,9})?)?", text, re.ASCII)
    if match is None or (match[3] and int(match[3]) < int(match[1])):
        raise ConfigError(f"--frames: expected A-B, A- or A, numbers of frames from 0 on, got '{text}'")
    last = int(match[3]) if match[3] else None if match[2] else int(match[1])
    return slice(int(match[1]), None if last is None else last + 1)


def _file_name(title: str) -> str:
    """The title as the name of a file."""
    return re.sub(r"[^\w.+-]+", "_", title)[:100].strip("_.") or "clip"
