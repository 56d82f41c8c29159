"""The learning rate over a run, by the names that the settings have for its schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the run: a straight line up to it, then its schedule."""

    kind: str
    lr: float
    drop_epochs: tuple[int, ...]
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int = 0
    """The first of them has lr / warmup_steps, the last lr."""
    decay: float = 0.95
    decay_steps: int = 1000
    drop: float = 0.1
    cosine_end: float = 0.0

    def at(self, step: int) -> float:
        """The rate at `step` (0-based)."""
        if 0 <= step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        return self.lr * SCHEDULES[self.kind](self, step)


def _step_factor(schedule: Schedule, step: int) -> float:
    epoch = step // schedule.steps_per_epoch
    return float(schedule.drop ** sum(epoch >= drop for drop in schedule.drop_epochs))


def _cosine_factor(schedule: Schedule, step: int) -> float:
    done, steps = step - schedule.warmup_steps, schedule.total_steps - schedule.warmup_steps
    left = 0.5 * (1 + math.cos(math.pi * min(done / steps, 1))) if steps > 0 else 0.0
    return schedule.cosine_end + (1 - schedule.cosine_end) * left


SCHEDULES: dict[str, Callable[[Schedule, int], float]] = {
    "step": _step_factor,
    "exponential": lambda schedule, step: schedule.decay ** (step // schedule.decay_steps),
    "cosine": _cosine_factor,
    "constant": lambda schedule, step: 1.0,
}
