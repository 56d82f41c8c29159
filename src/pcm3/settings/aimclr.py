"""Settings of AimCLR (`pcm3.methods.aimclr`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.encoder import KINDS
from pcm3.settings.extreme import ExtremeSettings
from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings, long_queue
from pcm3.settings.neighbours import NeighbourSettings
from pcm3.settings.rules import Rule, not_negative
from pcm3.settings.views import ViewSettings, padded_views


@dataclass
class AlignmentSettings:
    """What extreme views learn from the normal one."""

    weight: float = 0.5
    """Weight of each of the two terms, at least 0."""
    drop_threshold: float = 0.7
    """Energy from which on joints and values are dropped from the features of the extreme view, between 0.68, below
    which all may be, and 1, which drops nothing."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *not_negative(self, "weight", group="alignment."),
            (0.68 <= self.drop_threshold <= 1, "alignment.drop_threshold", "between 0.68 and 1"),
        ]


@dataclass
class AimCLRSettings:
    """The method AimCLR."""

    views: ViewSettings = field(default_factory=padded_views)
    extreme: ExtremeSettings = field(default_factory=ExtremeSettings)
    objective: MomentumSettings = field(default_factory=long_queue)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: BatchNorm needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        with_joints = [kind for kind, row in KINDS.items() if row.joint_features]
        run.require(
            [
                (
                    run.encoder.kind in with_joints,
                    "encoder.kind",
                    f"{' or '.join(with_joints)} for the method aimclr, which drops features of joints",
                ),
                *self.views.rules(),
                *self.extreme.rules(),
                *self.objective.rules(),
                *self.alignment.rules(),
                *self.neighbours.rules(self.objective.queue),
            ]
        )
