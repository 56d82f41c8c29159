"""Settings of CPM (`pcm3.methods.cpm`); the defaults are our decisions, docs/FIDELITY.md, CPM."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.neighbours import NeighbourSettings
from pcm3.settings.rules import Rule, not_negative, positive
from pcm3.settings.views import ViewSettings, padded_views


def contextual_queue() -> MomentumSettings:
    """A long queue, and the temperature of the online network's distribution over it."""
    return MomentumSettings(queue=32768, temperature=0.1)


def many_neighbours() -> NeighbourSettings:
    """A hundred, from half of the run on."""
    return NeighbourSettings(nearest=100)


@dataclass
class MatchingSettings:
    """How the online network's distribution over the queue is to match the target network's."""

    target_temperature: float = 0.05
    """Temperature of the target network's distribution, more than 0; below objective.temperature it is the sharper."""
    positive_weight: float = 1.0
    """Weight of matching the distribution in which the neighbours count as the clip itself; at least 0."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *positive(self, "target_temperature", group="matching."),
            *not_negative(self, "positive_weight", group="matching."),
        ]


@dataclass
class CPMSettings:
    """The method CPM."""

    views: ViewSettings = field(default_factory=padded_views)
    objective: MomentumSettings = field(default_factory=contextual_queue)
    matching: MatchingSettings = field(default_factory=MatchingSettings)
    neighbours: NeighbourSettings = field(default_factory=many_neighbours)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: BatchNorm needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                *self.views.rules(),
                *self.objective.rules(),
                *self.matching.rules(),
                *self.neighbours.rules(self.objective.queue),
            ]
        )
