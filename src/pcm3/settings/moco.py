"""Settings of MoCo over skeleton encoders (`pcm3.methods.moco`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.pcm3 import Export
from pcm3.settings.rules import Rule, at_least_one, positive
from pcm3.settings.views import ViewSettings


@dataclass
class MomentumSettings:
    """A query network, its moving average, and the queue of earlier keys."""

    embedding: int = 128
    """Width of an embedding, at least 1."""
    projector_norm: bool = False
    """Put a BatchNorm into the projector (SimCLR, MoCo v3)."""
    queue: int = 16384
    """Keys in the queue, at least 1."""
    momentum: float = 0.999
    """Momentum of the key network's moving average, 0 to 1."""
    temperature: float = 0.07
    """Temperature of the contrastive loss, more than 0."""
    export: Export = "online"
    """Which encoder is the run's result: the one that is trained, or the key network's, its moving average."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *at_least_one(self, "embedding", "queue", group="objective."),
            (0 <= self.momentum <= 1, "objective.momentum", "between 0 and 1"),
            *positive(self, "temperature", group="objective."),
        ]


def long_queue() -> MomentumSettings:
    """The objective with the queue of CrosSCLR and its followers."""
    return MomentumSettings(queue=32768)


@dataclass
class MoCoSettings:
    """The method MoCo."""

    views: ViewSettings = field(default_factory=ViewSettings)
    objective: MomentumSettings = field(default_factory=MomentumSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: BatchNorm needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require([*self.views.rules(), *self.objective.rules()])
