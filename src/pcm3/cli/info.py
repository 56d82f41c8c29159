"""``pcm3 info STORE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcm3.summary import counted


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
    print(f"{held['path']}: {held['kind']}, {held['clips']:,} clips, {held['frames']:,} frames, {held['hours']} h")
    rows = _rows(held, protocol_lines(held))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    if held["classes"]:
        print()
        print(text_table(["class", "clips"], [[name, count] for name, count in held["classes"].items()]))
    return 0, held


def _rows(held: dict[str, Any], protocols: dict[str, str]) -> list[tuple[str, str]]:
    """What `describe` found in lines: a word, and what there is to say."""
    length, skipped = held["length"], held["skipped"]
    bodies = "1 body" if held["bodies"] == 1 else f"up to {held['bodies']} bodies"
    what, when = ("clip", "when joined") if held["preparation"].get("joined") else ("file", "at import")
    files = counted(skipped["files"], what)
    rows = [("note", note) for note in held["notes"] + held["doubts"]]
    if held["untrimmed"]:
        rows.append(("untrimmed", f"{held['recordings']:,} recordings, of which the clips are the labelled intervals"))
    rows += [
        ("skeletons", f"{held['layout']}, {held['joints']} joints, {bodies}, {held['fps']:g} frames a second"),
        ("length", f"{length['min']:,} to {length['max']:,} frames, median {length['median']:,g}"),
        ("prepared", f"{_prepared(held)}, {held['dtype']}, {held['bytes'] / 1e6:,.1f} MB"),
        *(("changed", line) for line in held["changes"]),
        *((name, _listed(held[name])) for name in ("subjects", "cameras", "setups")),
        *protocols.items(),
        *(("labels", note) for note in held["labels"]),
        ("skipped", f"{files} {when}" if skipped["files"] else f"nothing {when}"),
        *(("", line) for line in skipped["lines"]),
    ]
    return rows


def _prepared(held: dict[str, Any]) -> str:
    """What was made of the recordings: whether they were turned, how, what was taken for up, at which rate."""
    how = held["preparation"]
    turned = "centred, in a picture's plane" if how.get("rule") == "flat" else "centred and turned"
    words = [turned if held["normalised"] else "as recorded"]
    if held["normalised"] and how.get("rule"):
        words.append(f"by the rule {how['rule']}")
    if held["normalised"] and how.get("up") is not None:
        words.append(f"up was ({', '.join(f'{number:g}' for number in how['up'])})")
    if how.get("retargeted"):
        words.append(f"retargeted from {how['retargeted']['from']}")
    if how.get("trim"):
        words.append("actions cut out")
    if how.get("joined"):
        words.append(f"joined, up to {how['joined']['pieces']:,} pieces a recording, seed {how['joined']['seed']}")
    if how.get("rate", 1.0) != 1.0:
        words.append(f"resampled to {how['rate']:g} times the frames")
    return ", ".join(words)


def _listed(values: list[int]) -> str:
    """Numbers that belong together, or that none is known."""
    return f"{len(values)}: {' '.join(map(str, values))}" if values else "unknown"
