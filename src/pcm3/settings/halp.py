"""Settings of HaLP (`pcm3.methods.halp`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.rules import Rule, at_least_one, not_negative
from pcm3.settings.views import ViewSettings


@dataclass
class HallucinationSettings:
    """Further positives of each clip, made from its key and the prototypes of the queue."""

    weight: float = 2.0
    """Weight of their term, at least 0."""
    positives: int = 100
    """Positives made for each clip, of which some are not kept; at least 1."""
    ease: float = 0.8
    """A positive lies before the boundary of the key's prototype by a share of the way there that is drawn from
    U[0, ease]; the less, the harder. More than 0, at most 1."""
    prototypes: int = 20
    """Clusters of the queue's newest keys, at least 2."""
    newest: int = 256
    """So many of them; all keys where the queue has no more."""
    every: int = 10
    """Steps from one clustering to the next, at least 1."""
    begin: float = 0.4456
    """Part of the schedule in which the method is MoCo alone; more than 0, at most 1."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        group = "hallucination."
        return [
            *not_negative(self, "weight", group=group),
            *at_least_one(self, "positives", "every", group=group),
            (0 < self.ease <= 1, "hallucination.ease", "more than 0 and at most 1"),
            (self.prototypes >= 2, "hallucination.prototypes", "at least 2"),
            (self.newest >= self.prototypes, "hallucination.newest", "at least hallucination.prototypes"),
            (0 < self.begin <= 1, "hallucination.begin", "more than 0 and at most 1"),
        ]


@dataclass
class HaLPSettings:
    """The method HaLP."""

    views: ViewSettings = field(default_factory=ViewSettings)
    objective: MomentumSettings = field(default_factory=MomentumSettings)
    hallucination: HallucinationSettings = field(default_factory=HallucinationSettings)

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
                *self.hallucination.rules(),
                (
                    self.objective.queue >= self.hallucination.prototypes,
                    "objective.queue",
                    f"at least {self.hallucination.prototypes}, as its keys are clustered (a longer queue, or fewer "
                    "hallucination.prototypes)",
                ),
            ]
        )
