"""Settings of keys of the queue that count as positives later in a run (CrosSCLR, AimCLR, HiCLR)."""

from __future__ import annotations

from dataclasses import dataclass

from pcm3.settings.rules import Rule, at_least_one


@dataclass
class NeighbourSettings:
    """Which earlier keys become positives, and when."""

    begin: float = 0.5
    """Part of the schedule in which each query has its own key as the one positive; 0 to 1."""
    nearest: int = 1
    """Keys of the queue that are nearest, so many of them, count as positives from then on; at least 1, and less than
    there are, so that there is something to tell them from."""

    def at(self, share: float) -> int:
        """How many count once this part of the schedule is over."""
        return self.nearest if share >= self.begin else 0

    def rules(self, queue: int) -> list[Rule]:
        """What the values must keep to, with so many keys in the queue."""
        return [
            (0 <= self.begin <= 1, "neighbours.begin", "between 0 and 1"),
            *at_least_one(self, "nearest", group="neighbours."),
            (
                self.nearest < queue,
                "objective.queue",
                f"at least {self.nearest + 1}, more than the {self.nearest} of neighbours.nearest (a longer queue, or "
                "fewer nearest)",
            ),
        ]
