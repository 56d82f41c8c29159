"""Settings of H-Transformer (`pcm3.methods.h_transformer`); the defaults are ours, as it is known from a few words."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.rules import Rule, not_negative
from pcm3.settings.views import ViewSettings


@dataclass
class MotionDirectionSettings:
    """What is hidden, and what of the motion is to be told."""

    mask_ratio: float = 0.4
    """Share of the body parts that the encoder does not see, anew in each eighth of a clip; 0, or more than
    0.1 and less than 0.9, so that of five parts some are masked and some are not."""
    still: float = 0.005
    """Metres from one frame to the next, less than which on an axis are no motion along it; at least 0. A joint or part
    that moves along none does not count."""
    part_weight: float = 1.0
    """Weight of the directions of parts, beside those of joints; at least 0."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            (
                self.mask_ratio == 0 or 0.1 < self.mask_ratio < 0.9,
                "objective.mask_ratio",
                "0, or more than 0.1 and less than 0.9, so that of five parts some are masked and some are not",
            ),
            *not_negative(self, "still", "part_weight", group="objective."),
        ]


@dataclass
class HTransformerSettings:
    """The method H-Transformer."""

    views: ViewSettings = field(default_factory=lambda: ViewSettings(crop=(0.5, 1.0), jitter_prob=0.0))
    objective: MotionDirectionSettings = field(default_factory=MotionDirectionSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: none is compared with another."""
        return 1

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                (run.stream == "joint", "stream", "joint for the method h-transformer, which predicts displacements"),
                (run.frames > 1, "frames", "at least 2 for the method h-transformer, which predicts how joints move"),
                (run.encoder.pooling != "attention", "encoder.pooling", "one without weights of its own, as the method "
                 "h-transformer trains none"),
                *self.views.rules(),
                *self.objective.rules(),
            ]
        )  # fmt: skip
