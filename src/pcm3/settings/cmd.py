"""Settings of CMD (`pcm3.methods.cmd`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.rules import Rule, at_least_one, not_negative, positive
from pcm3.settings.views import ViewSettings


@dataclass
class DistillationSettings:
    """What the streams learn from each other."""

    weight: float = 1.0
    """Weight of the six terms, at least 0."""
    neighbours: int = 8192
    """Keys of the queue that are nearest to a teacher's key, by which its students are compared; at least 1, and all
    keys where the queue has no more."""
    student_temperature: float = 0.1
    """Temperature of the query's relations, more than 0."""
    teacher_temperature: float = 0.05
    """Temperature of the key's relations, more than 0."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *not_negative(self, "weight", group="distillation."),
            *at_least_one(self, "neighbours", group="distillation."),
            *positive(self, "student_temperature", "teacher_temperature", group="distillation."),
        ]


@dataclass
class CMDSettings:
    """The method CMD."""

    views: ViewSettings = field(default_factory=ViewSettings)
    objective: MomentumSettings = field(default_factory=MomentumSettings)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: BatchNorm needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                (run.stream == "joint", "stream", "joint for the method cmd, which makes motion and bone of it itself"),
                (run.frames > 1, "frames", "at least 2 for the method cmd, as motion is from one frame to another"),
                *self.views.rules(),
                *self.objective.rules(),
                *self.distillation.rules(),
            ]
        )
