"""Why files did not become clips, grouped by kind of reason, so that thousands of files are a few lines.

A reason is a sentence whose particulars are numbers, or words with digits in them, or stand in quotes; two reasons that
differ in nothing else are of one kind. Readers write their reasons so.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcm3.data.archives import Skipped
from pcm3.data.forms import nothing_of
from pcm3.data.names import printable

PARTICULAR = re.compile(r"(?<!\w)'.*?'(?!\w)|[^\s'(),:;]*\d[^\s'(),:;]*")
"""What differs from file to file."""
EXAMPLES = 3
LINES = 5
"""Kinds that are told."""
LONGEST, LONGEST_FILE = 240, 70
"""Characters of a reason and of a file's path in a line."""
LONGEST_KEPT = 400
"""The same in a store's report."""


@dataclass(frozen=True)
class Group:
    """Files that were skipped for one kind of reason."""

    reason: str
    """The sentence; a particular that takes more than two values is ``…``."""
    files: list[str]

    def __str__(self) -> str:
        """One line: how many, why, and which for example."""
        examples = [_end(file) for file in self.files[:EXAMPLES]]
        more = ", …" if len(self.files) > EXAMPLES else ""
        return f"{len(self.files):,} x {printable(self.reason, LONGEST)} ({', '.join(examples)}{more})"


def group(skipped: Sequence[Skipped]) -> list[Group]:
    """The kinds of reasons, in the order in which the first of each comes."""
    groups: dict[tuple[str, ...], list[Skipped]] = {}
    for file, reason in skipped:
        groups.setdefault(_kind(reason), []).append((file, reason))
    return [Group(_common(fixed, members), [file for file, _ in members]) for fixed, members in groups.items()]


def by_cause(*parts: Sequence[Skipped]) -> list[Skipped]:
    """All that was skipped: one part after the other, causes before what follows from them; in each the commonest kind
    of reason first, and of a kind the files by their path.
    """
    ordered: list[Skipped] = []
    for part in parts:
        common = Counter(_kind(reason) for _, reason in part)
        ordered += sorted(part, key=lambda pair: (-common[_kind(pair[1])], _kind(pair[1]), pair))
    return ordered


def account(unusable: Sequence[Skipped], skipped: Sequence[Skipped], source: Path) -> list[Skipped]:
    """All that was skipped, `by_cause`: by paths seen from the source, the reasons without repeating the file's name.

    Args:
        unusable: what should have become clips.
        skipped: what is not to become one, or cannot because of what is unusable.
        source: of the import.
    """
    prefix = f"{source}{os.sep}"

    def relative(part: Sequence[Skipped]) -> list[Skipped]:
        reasons = []
        for file, reason in part:
            path = printable(file.removeprefix(prefix).replace(f"{source}: ", f"{source.name}: "), LONGEST_KEPT)
            text = printable(reason.replace(prefix, ""), LONGEST_KEPT)
            reasons.append((path, text.removeprefix(f"{Path(path).name}: ")))
        return reasons

    return by_cause(relative(unusable), relative(skipped))


def nothing(kind: str, source: Path, skipped: Sequence[Skipped], recordings: int) -> str:
    """What to say when no clip came out of so many recordings."""
    if not skipped:
        there = nothing_of(kind, source)
        return f"{source}: no recordings of kind {kind} there{there}; docs/DATA.md says how they are named"
    reasons = "; ".join(reason_lines(skipped, 2))
    return f"{source}: none of {recordings:,} recordings can be used: {reasons}"


def _kind(reason: str) -> tuple[str, ...]:
    """What of a reason does not differ from file to file."""
    return tuple(PARTICULAR.split(reason))


def reason_lines(skipped: Sequence[Skipped], most: int = LINES) -> list[str]:
    """A line for each of the first kinds of reasons, and one for what is more."""
    groups = group(skipped)
    reasons = [str(kind) for kind in groups[:most]]
    rest = sum(len(kind.files) for kind in groups[most:])
    return [*reasons, f"{rest:,} for {len(groups) - most} other reasons"] if rest else reasons


def _common(fixed: tuple[str, ...], members: Sequence[Skipped]) -> str:
    """The sentence that the reasons share, with their particulars where these are one or two."""
    slots = zip(*(PARTICULAR.findall(reason) for _, reason in members), strict=True)
    values = [list(dict.fromkeys(slot)) for slot in slots]
    reasons = [" or ".join(slot) if len(slot) <= 2 else "…" for slot in values]
    return "".join(part + value for part, value in zip(fixed, [*reasons, ""], strict=True))


def _end(file: str) -> str:
    """The path, of a long one the end."""
    safe = printable(file, 1000)
    return safe if len(safe) <= LONGEST_FILE else "…" + safe[1 - LONGEST_FILE :]
