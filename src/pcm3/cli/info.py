"""``pcm3 info STORE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("store", type=Path, help="a store that pcm3 import wrote")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Prints what the store holds."""
    from pcm3.data.info import describe, protocol_lines
    from pcm3.data.store import ClipStore
    from pcm3.data.verified import IN_NO_TIME, doubts
    from pcm3.report.tables import text_table

    store = ClipStore.open(options.store)
    held = describe(store) | {"doubts": doubts(store, IN_NO_TIME)}
    length = held["length"]
    print(f"{held['path']}: {held['kind']}, {held['clips']:,} clips, {held['frames']:,} frames, {held['hours']} h")
    for note in held["notes"] + held["doubts"]:
        print(f"note        {note}")
    if held["untrimmed"]:
        print(f"untrimmed   {held['recordings']:,} recordings, of which the clips are the labelled intervals")
    print(f"skeletons   {held['layout']}, {held['joints']} joints, up to {held['bodies']} bodies, {held['fps']:g} fps")
    print(f"length      {length['min']:g} to {length['max']:g} frames, median {length['median']:g}")
    print(f"prepared    {'centred and turned' if held['normalised'] else 'as recorded'}, {held['dtype']}, "
          f"{held['bytes'] / 1e6:,.1f} MB")  # fmt: skip
    for name in ("subjects", "cameras", "setups"):
        print(f"{name:<11} {_listed(held[name])}")
    for name, told in protocol_lines(held).items():
        print(f"{name:<11} {told}")
    for note in held["labels"]:
        print(f"labels      {note}")
    left_out = held["left_out"]
    print(f"left out    {left_out['files']:,} files at import")
    for line in left_out["lines"]:
        print(f"            {line}")
    if held["classes"]:
        print()
        print(text_table(["class", "clips"], [[name, count] for name, count in held["classes"].items()]))
    return 0, held


def _listed(values: list[int]) -> str:
    """Numbers that belong together, or that none is known."""
    return f"{len(values)}: {' '.join(map(str, values))}" if values else "unknown"
