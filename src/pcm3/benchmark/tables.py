"""The rows of a benchmark as text that fits a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcm3.report.tables import Cell, alike, text_table

Row = dict[str, Any]
SIDE_BY_SIDE = 8
"""Configurations in one table, where each is a column."""
UNPRINTED = ("turns", "megabytes_per_s")
"""Told in another way: the first above the table, the second by the files a second."""
WHO = ("code", "prompts", "hidden_size", "precision")
HEADS = {"hidden_size": "width"}
RATE = ("clips_per_s", "lowest", "highest")


def table(rows: Sequence[Row], names: Sequence[str] | None = None) -> str:
    """These values of every row; where none are named, all that matter, and the turns in a line above."""
    if names is None and "turns" in rows[0]:
        lines = f"medians of {rows[0]['turns']} turns; lowest, highest: of all turns\n"
        return lines + table(rows, [name for name in rows[0] if name not in UNPRINTED])
    names = names or list(rows[0])
    return text_table([HEADS.get(name, name) for name in names], [[row[name] for name in names] for row in rows])


def pretrain_tables(rows: Sequence[Row]) -> str:
    """All tables of `pcm3 benchmark pretrain`."""
    first = rows[0]
    about = (
        f"a step of {first['batch']} clips, median of {first['turns']} turns; lowest, highest: clips_per_s of the "
        "slowest, fastest turn;\nmatmul_share: gflops reached / matmul_gflops of this device"
    )
    lines = [about, table(rows, (*WHO, "threads", *RATE, "gflops", "matmul_gflops", "matmul_share"))]
    if first["to_peer"] is not None:
        compared = ("clips_per_s", "to_peer", "without_views_clips_per_s", "to_peer_without_views")
        lines += [
            "\nto_peer: times as fast as the released code in the same turn; its views are made by its own feeder, in "
            "this process",
            table(rows, (*WHO, *compared)),
        ]
    parted = [row for row in rows if row["parts_s"] is not None]
    lines += ["\nwhere the time goes: per cent of step_s"]
    lines += _columns([_percent(row) for row in parted], parted)
    remembered = [row for row in rows if row["memory_mib"] is not None]
    if remembered:
        lines += [
            "\nmemory of a step, MiB beyond Python, torch and the clips: the peak, and what it is made of "
            "(rest: activations,\nand what lives for a moment)"
        ]
        lines += _columns([row["memory_mib"] for row in remembered], remembered)
    if "epoch_of" in first:
        lines += ["\nextrapolated, not run: hours of 450 epochs (of the released code as if its views took no time)"]
        lines += [table(rows, (*WHO, "epoch_of", "clips_per_s", "hours_of_450_epochs"))]
    return "\n".join(lines)


def _percent(row: Row) -> Row:
    step_s = sum(row["parts_s"].values())
    return {phase: round(100 * seconds / step_s, 1) for phase, seconds in row["parts_s"].items()} | {"step_s": step_s}


def _columns(values: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """Tables with a column for every row, a line for every value."""
    tables = []
    pairs = list(zip(values, rows, strict=True))
    for start in range(0, len(pairs), SIDE_BY_SIDE):
        some = pairs[start : start + SIDE_BY_SIDE]
        lines: list[list[Cell]] = [
            [name, *(str(row[name]) for _, row in some)] for name in WHO if name != "hidden_size"
        ]
        lines += [[name, *alike([value[name] for value, _ in some])] for name in some[0][0]]
        tables.append(text_table(["hidden_size", *(str(row["hidden_size"]) for _, row in some)], lines))
    return tables
