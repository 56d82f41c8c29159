"""Settings of CRRL (`pcm3.methods.crrl`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.rules import Rule, at_least_one, not_negative, positive
from pcm3.settings.views import ViewSettings, whole_clips


@dataclass
class MotionContrastSettings:
    """How the clips' motion is learned by contrast, and told to the encoder that rebuilds clips."""

    embedding: int = 512
    """Width of an embedding, at least 1."""
    queue: int = 64
    """Keys in the queue, at least 1."""
    momentum: float = 0.999
    """Momentum of the key network's moving average, 0 to 1."""
    temperature: float = 0.1
    """Temperature of the contrast, more than 0."""
    fusion_weight: float = 0.1
    """Weight of what the encoder is told by the one that learns by contrast, at least 0."""
    decoder_dropout: float = 0.2
    """Share of the values that training leaves out between the two layers of the decoder, from 0 to below 1."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *at_least_one(self, "embedding", "queue", group="objective."),
            (0 <= self.momentum <= 1, "objective.momentum", "between 0 and 1"),
            *positive(self, "temperature", group="objective."),
            *not_negative(self, "fusion_weight", group="objective."),
            (0 <= self.decoder_dropout < 1, "objective.decoder_dropout", "at least 0 and less than 1"),
        ]


@dataclass
class CRRLSettings:
    """The method CRRL."""

    views: ViewSettings = field(default_factory=whole_clips)
    objective: MotionContrastSettings = field(default_factory=MotionContrastSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: each is compared with the queue alone."""
        return 1

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                (run.stream == "joint", "stream", "joint for the method crrl, which makes motion of it itself"),
                (run.frames > 1, "frames", "at least 2 for the method crrl, as motion is from one frame to another"),
                *self.views.rules(),
                *self.objective.rules(),
            ]
        )
