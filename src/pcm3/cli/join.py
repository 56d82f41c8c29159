"""``pcm3 join STORE --out OUT``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.cli.places import check_new_store
from pcm3.summary import counted


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("store", type=Path, help="a store of labelled clips, or of recordings with labelled actions")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--pieces", type=int, default=10, help="most clips, or pieces of recordings cut midway between actions, to one"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order of a person's pieces")
    parser.add_argument("--overwrite", type=bool, default=False, help="replace a store that is there already")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Writes the store, and prints what is in it and what was left out."""
    from pcm3.data.info import describe, protocol_lines
    from pcm3.data.join import join_store
    from pcm3.data.store import ClipStore

    check_new_store(options.store, options.out, overwrite=options.overwrite)
    store = ClipStore.open(options.store)
    joined = join_store(store, options.out, pieces=options.pieces, seed=options.seed, overwrite=options.overwrite)
    held = describe(joined)
    print(
        f"{options.out}: {counted(held['clips'], 'action')} of {counted(len(held['subjects']), 'person', 'people')} in "
        f"{counted(held['recordings'], 'untrimmed recording')}, {held['frames']:,} frames"
    )
    for note in held["notes"]:
        print(f"note: {note}")
    for name, counts in protocol_lines(held).items():
        print(f"{name}: {counts}")
    print(f"left out: {held['skipped']['files']:,}" if held["skipped"]["files"] else "left out: nothing")
    for line in held["skipped"]["lines"]:
        print(f"  {line}")
    names = ("clips", "recordings", "frames", "notes", "protocols")
    return 0, {"store": str(options.out), "left_out": held["skipped"]["files"]} | {name: held[name] for name in names}
