"""Settings of GL-Transformer (`pcm3.methods.gl_transformer`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pcm3.settings.method import Run
from pcm3.settings.rules import Rule, not_negative, positive
from pcm3.settings.views import ViewSettings


@dataclass
class DisplacementSettings:
    """What of a joint's way is to be told."""

    intervals: list[int] = field(default_factory=lambda: [1, 5, 10])
    """Frames back from each one, over which joints have moved; one or more numbers, each at least 1."""
    still: float = 0.0
    """Metres, less than which on an axis are no motion along it; where it is more than 0, what moves along none has no
    direction to be told. At least 0; 0: as published, where the noise of a camera has directions, too."""
    bin: float = 0.01
    """Metres: the sizes of ways are told apart in steps of so much; more than 0."""
    global_weight: float = 0.05
    """Weight of the way of the body's place, beside that of its joints; at least 0."""
    global_over: Literal["all", "first"] = "all"
    """Over which intervals the place is weighted so: all, or, as in the released code, the first, over the others of
    which it is one joint more."""
    length: Literal["own", "resampled"] = "own"
    """Clips keep their rate and are padded to `frames`, or cut, their lengths going along; or are resampled to it."""
    speed: float = 0.1
    """Each clip of its own length is up to so much faster or slower; at least 0 and less than 1."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            (
                len(self.intervals) > 0 and min(self.intervals) >= 1,
                "objective.intervals",
                "one or more numbers of frames, each at least 1",
            ),
            *positive(self, "bin", group="objective."),
            *not_negative(self, "still", "global_weight", group="objective."),
            (0 <= self.speed < 1, "objective.speed", "at least 0 and less than 1"),
        ]


@dataclass
class GLTransformerSettings:
    """The method GL-Transformer."""

    views: ViewSettings = field(default_factory=lambda: ViewSettings(crop=(1.0, 1.0), shear=0.3, jitter_prob=0.0))
    objective: DisplacementSettings = field(default_factory=DisplacementSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: none is compared with another."""
        return 1

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                (run.stream == "joint", "stream", "joint for the method gl-transformer, which predicts displacements"),
                (run.frames > 1, "frames", "at least 2 for the method gl-transformer, which predicts how joints move"),
                (run.encoder.pooling != "attention", "encoder.pooling", "one without weights of its own, as the method "
                 "gl-transformer trains none"),
                *self.views.rules(),
                *self.objective.rules(),
            ]
        )  # fmt: skip
