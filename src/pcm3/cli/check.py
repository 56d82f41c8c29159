"""``pcm3 check STORE``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("store", type=Path, help="a store that pcm3 import wrote")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Prints what is wrong with the store; exit code 1 where anything is."""
    from pcm3.data.check import check_store
    from pcm3.data.store import ClipStore

    store = ClipStore.open(options.store)
    findings = check_store(store)
    leaks = [list(pair) for finding in findings for pair in finding.pairs]
    print(
        f"{options.store}: {len(store):,} clips checked, " + (f"{len(findings)} findings" if findings else "all sound")
    )
    for finding in findings:
        print(f"  {finding.name}: {finding.text}")
        shown = [f"{known} = {asked}" for known, asked in finding.pairs] or finding.clips
        for line in shown[:5]:
            print(f"    {line}")
        if len(shown) > 5:
            print(f"    … and {len(shown) - 5:,} more (--json lists all)")
    told = {"clips": len(store), "findings": [asdict(finding) for finding in findings], "leaks": leaks}
    return (1 if findings else 0), told
