"""Where a run's schedule stands when its time runs out before its steps: what the clock said is written down, so that
a run that was killed goes on by the same decisions.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

SLACK = 0.1
"""Share of the time by which the steps may lag behind it at first, for a slow start; at the end none."""
PARTS = 256
"""The time is told in so many parts, so that the decisions are few."""


class Clock:
    """Of a run of so many steps and seconds: the step at which its schedule stands, which is never one before.

    A run that keeps its pace looks at its steps alone: no bit of it depends on the clock. Where the time is ahead of
    the steps by more than the slack, the schedule follows the time, so that it has ended when the time has. Each such
    decision is a line of the file before it counts; steps that are done again after a kill take theirs from there.
    """

    def __init__(
        self, file: Path | None, steps: int, seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Read the decisions that the file, if any, holds for so many steps and seconds (inf: it is not looked at).

        `now` tells the time, in seconds from whenever.
        """
        self._file, self._steps, self.seconds, self.now = file, steps, seconds, now
        self._decided = [] if file is None or seconds == math.inf else self._read(file)

    def at(self, step: int, spent: float) -> int:
        """The step at which the schedule stands, at least `step`, which is about to be done after so many seconds."""
        reached = max((stands for decided, stands in self._decided if decided <= step), default=0)
        again = bool(self._decided) and step <= self._decided[-1][0]
        if self.seconds != math.inf and not again:
            by_time = self._by_time(spent)
            if by_time > max(step, reached):
                self._decide(step, by_time)
                reached = by_time
        return max(step, reached)

    def _by_time(self, spent: float) -> int:
        """The step whose share of the run is that of the time, but for the slack."""
        share = math.floor(min(spent / self.seconds, 1.0) * PARTS) / PARTS if self.seconds > 0 else 1.0
        return int(max(share - SLACK, 0.0) / (1 - SLACK) * self._steps)

    def _decide(self, step: int, stands: int) -> None:
        self._decided.append((step, stands))
        if self._file is not None:
            line = {"step": step, "schedule": stands, "steps": self._steps, "seconds": self.seconds}
            line["check"] = _check(line)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _read(self, file: Path) -> list[tuple[int, int]]:
        """(step, where the schedule stands from there) of every sound line that was decided for this many steps and
        seconds.
        """
        decided = []
        for text in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []:
            try:
                line = json.loads(text)
                asked, numbers = (line["steps"], line["seconds"]), (line["step"], line["schedule"])
                sound = line.pop("check") == _check(line)
            except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
                continue
            if sound and asked == (self._steps, self.seconds):
                decided.append(numbers)
        return sorted(decided)


def _check(line: dict[str, Any]) -> int:
    """Tells a line that was written from one that was cut or changed."""
    return zlib.crc32(json.dumps(line).encode())
