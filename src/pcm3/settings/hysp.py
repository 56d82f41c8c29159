"""Settings of HYSP (`pcm3.methods.hysp`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.pcm3 import Export
from pcm3.settings.rules import Rule, at_least_one
from pcm3.settings.views import ViewSettings, padded_views


@dataclass
class SelfPacedSettings:
    """An online network that predicts what a slower one makes of another view, and how its errors are measured."""

    head_hidden: int = 1024
    """Width in the middle of projector and predictor, at least 1."""
    embedding: int = 1024
    """Width of an embedding, at least 1."""
    momentum: float = 0.999
    """Momentum of the target network's moving average, 0 to 1."""
    curriculum: tuple[float, float] = (0.1225, 0.2475)
    """Shares of the run: up to the first, errors are measured by their cosine, from the second on by their distance in
    hyperbolic space, between them by both, more and more by the latter. 0 <= first < second."""
    export: Export = "online"
    """Which encoder is the run's result: the one that is trained, or the target network's, its moving average."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        first, second = self.curriculum
        return [
            *at_least_one(self, "head_hidden", "embedding", group="objective."),
            (0 <= self.momentum <= 1, "objective.momentum", "between 0 and 1"),
            (0 <= first < second, "objective.curriculum", "two shares of the run, 0 <= first < second"),
        ]


@dataclass
class HYSPSettings:
    """The method HYSP."""

    views: ViewSettings = field(default_factory=padded_views)
    objective: SelfPacedSettings = field(default_factory=SelfPacedSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: BatchNorm needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require([*self.views.rules(), *self.objective.rules()])
