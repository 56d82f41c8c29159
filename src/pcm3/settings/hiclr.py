"""Settings of HiCLR (`pcm3.methods.hiclr`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.extreme import ExtremeSettings
from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings, long_queue
from pcm3.settings.neighbours import NeighbourSettings
from pcm3.settings.rules import Rule, not_negative
from pcm3.settings.views import ViewSettings, padded_views


@dataclass
class ChainSettings:
    """Views that grow stronger, each of which learns from the one before."""

    weight: float = 0.5
    """Weight of each of the two terms, at least 0."""
    mask_ratio: float = 0.1
    """Share of the joints that the strongest view has masked in each frame, rounded down; at least 0 and
    less than 1."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *not_negative(self, "weight", group="chain."),
            (0 <= self.mask_ratio < 1, "chain.mask_ratio", "at least 0 and less than 1"),
        ]


@dataclass
class HiCLRSettings:
    """The method HiCLR."""

    views: ViewSettings = field(default_factory=padded_views)
    extreme: ExtremeSettings = field(default_factory=ExtremeSettings)
    objective: MomentumSettings = field(default_factory=long_queue)
    chain: ChainSettings = field(default_factory=ChainSettings)
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: BatchNorm needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                *self.views.rules(),
                *self.extreme.rules(),
                *self.objective.rules(),
                *self.chain.rules(),
                *self.neighbours.rules(self.objective.queue),
            ]
        )
