"""Settings of HiCo (`pcm3.methods.hico`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.views import ViewSettings


def small_queue() -> MomentumSettings:
    """As HiCo has it: few keys, and a temperature at which none counts much more than another."""
    return MomentumSettings(queue=2048, temperature=0.2)


@dataclass
class HierarchySettings:
    """What is compared at clip and part level, where each clip has a key at every granularity."""

    fixed_negatives: bool = False
    """Only the first quarter of the places in these two queues takes keys, and the other three stay random, as in the
    released code; else all places take keys."""


@dataclass
class HiCoSettings:
    """The method HiCo."""

    views: ViewSettings = field(default_factory=ViewSettings)
    objective: MomentumSettings = field(default_factory=small_queue)
    """The queue is of so many keys at domain and instance level, and of four times as many at clip and part level."""
    hierarchy: HierarchySettings = field(default_factory=HierarchySettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: a BatchNorm in the projectors needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                (run.encoder.kind == "hico", "encoder.kind", "hico for the method hico, which compares its parts"),
                (run.encoder.pooling == "max", "encoder.pooling", "max for the method hico, which compares maxima"),
                *self.views.rules(),
                *self.objective.rules(),
            ]
        )
