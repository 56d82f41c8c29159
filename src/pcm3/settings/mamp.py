"""Settings of MAMP (`pcm3.methods.mamp`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.rules import Rule, at_least_one, not_negative
from pcm3.settings.views import ViewSettings


@dataclass
class MaskedMotionSettings:
    """What is masked, and how its motion is predicted."""

    mask_ratio: float = 0.9
    """Share of a clip's tokens that the encoder does not see, but for one at least; more than 0, so that one is to be
    told at least, and less than 1."""
    mask_temperature: float = 0.8
    """How evenly tokens are masked: the less, the more often those that move most; 0: all alike."""
    segment_target: bool = True
    """The motion to be predicted is normalised within each token: mean 0, variance 1."""
    decoder_layers: int = 5
    """Layers of the decoder, at least 1."""
    decoder_hidden: int = 256
    """Width of the decoder, at least 1."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            (0 < self.mask_ratio < 1, "objective.mask_ratio", "more than 0 and less than 1"),
            *not_negative(self, "mask_temperature", group="objective."),
            *at_least_one(self, "decoder_layers", "decoder_hidden", group="objective."),
        ]


@dataclass
class MAMPSettings:
    """The method MAMP."""

    views: ViewSettings = field(default_factory=lambda: ViewSettings(crop=(0.5, 1.0), shear=0.0, jitter_prob=0.0))
    objective: MaskedMotionSettings = field(default_factory=MaskedMotionSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: none is compared with another."""
        return 1

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                (run.encoder.kind == "vit", "encoder.kind", "vit for the method mamp, which masks its tokens"),
                (run.encoder.pooling != "attention", "encoder.pooling", "one without weights of its own, as the method "
                 "mamp trains none"),
                (run.frames >= 8 and run.frames % 4 == 0, "frames", "a multiple of 4, at least 8, for the method mamp"),
                *self.views.rules(),
                *self.objective.rules(),
            ]
        )  # fmt: skip
