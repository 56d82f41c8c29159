"""Settings of MS²L (`pcm3.methods.ms2l`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.rules import Rule, at_least_one, positive
from pcm3.settings.views import ViewSettings, whole_clips


@dataclass
class ThreeTaskSettings:
    """The three tasks of MS²L, which count alike."""

    hidden_share: float = 0.3
    """Share of a clip's frames, at its end, that are hidden and to be predicted; more than 0 and less than 1."""
    segments: int = 3
    """Segments that a clip is cut into, whose order is to be found; 2 to 5."""
    temperature: float = 0.9
    """Temperature of the contrast, more than 0."""
    head_hidden: int = 2048
    """Width between the layers of the heads that embed a clip and find its order, at least 1."""
    embedding: int = 1024
    """Width of the embeddings that are compared, at least 1."""

    def rules(self, frames: int) -> list[Rule]:
        """What the values must keep to, for clips of so many frames."""
        return [
            (0 < self.hidden_share < 1, "objective.hidden_share", "more than 0 and less than 1"),
            (2 <= self.segments <= 5, "objective.segments", "2 to 5, as every order of them is a class"),
            (frames >= self.segments, "frames", f"at least the {self.segments} segments of objective.segments"),
            *positive(self, "temperature", group="objective."),
            *at_least_one(self, "head_hidden", "embedding", group="objective."),
        ]


@dataclass
class MS2LSettings:
    """The method MS²L."""

    views: ViewSettings = field(default_factory=whole_clips)
    objective: ThreeTaskSettings = field(default_factory=ThreeTaskSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: each is told from another."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require([*self.views.rules(), *self.objective.rules(run.frames)])
