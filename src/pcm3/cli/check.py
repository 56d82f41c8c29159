"""``pcm3 check STORE``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

MOST_LISTED = 5
"""Lines printed of a finding; ``--json`` has all."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "store",
        type=Path,
        help="a store that pcm3 import wrote. Exit code 1 where results would be wrong: changed bytes, leaks, labels "
        "without a class, clips without a skeleton or with NaN. All else that is found is worth a look. The leaks are "
        "remembered in the store's folder for pcm3 evaluate",
    )


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Prints what is wrong with the store and what is odd about it; exit code 1 where anything is wrong."""
    from pcm3.data.audit.check import check_store
    from pcm3.data.store import ClipStore

    store = ClipStore.open(options.store)
    check = check_store(store)
    wrong = sum(finding.wrong for finding in check.findings)
    summary = f"{wrong} wrong, {len(check.findings) - wrong} worth a look" if check.findings else "all sound"
    took = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in check.seconds.items())
    print(f"{options.store}: {len(store):,} clips checked ({took}): {summary}")
    clean = [protocol for protocol, leaks in check.leaks.items() if not leaks]
    if clean:
        names = ", ".join(clean[:MOST_LISTED]) + (
            f" and {len(clean) - MOST_LISTED} more" if len(clean) > MOST_LISTED else ""
        )
        print(f"  {names}: no test clip has a copy in training")
    for finding in check.findings:
        print(f"  {'WRONG' if finding.wrong else 'look'} {finding.name}: {finding.text}")
        listed = finding.details or finding.clips
        for line in listed[:MOST_LISTED]:
            print(f"    {line}")
        if len(listed) > MOST_LISTED:
            print(f"    … and {len(listed) - MOST_LISTED:,} more (--json lists all)")
    findings = [asdict(finding) | {"wrong": finding.wrong} for finding in check.findings]
    pairs = [list(pair) for pair in sorted({pair for finding in check.findings for pair in finding.pairs})]
    result = {"clips": len(store), "findings": findings, "leaks": pairs, "seconds": check.seconds}
    return int(check.wrong), result
