"""What a check tells: one thing at a time, with the clips that it is about."""

from __future__ import annotations

from dataclasses import dataclass, field

WRONG = ("checksum", "label", "leak", "not_finite", "empty")
"""Findings that make results wrong. All others are worth a look: real data are odd in places."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd."""

    name: str
    """checksum, label, protocol, leak, not_finite, empty, duplicate, frozen, units, size, nobody, bones, jump or
    mirrored."""
    text: str
    """What it is and what it means, in one line."""
    clips: list[str] = field(default_factory=list)
    """The ids of the clips concerned."""
    pairs: list[tuple[str, str]] = field(default_factory=list)
    """For leaks: (id of the training clip, id of the test clip)."""
    details: list[str] = field(default_factory=list)
    """A line for each pair or clip, where there is more to say than its id."""

    @property
    def wrong(self) -> bool:
        """Whether results on this store would be wrong."""
        return self.name in WRONG


def clips(count: int) -> str:
    """So many clips, in words."""
    return "1 clip" if count == 1 else f"{count:,} clips"
