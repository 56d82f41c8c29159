"""Settings of LongT GAN (`pcm3.methods.longt_gan`); the defaults are ours, as its authors published no code."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.rules import Rule, at_least_one, not_negative
from pcm3.settings.views import ViewSettings, whole_clips


@dataclass
class InpaintingSettings:
    """How a clip is hidden, rebuilt and judged."""

    hidden_share: float = 0.5
    """Share of a clip's frames, at random, that the encoder does not see; at least 0 and less than 1."""
    decoder_hidden: int = 1024
    """Width of the decoder, at least 1."""
    discriminator_hidden: int = 256
    """Width of the discriminator, at least 1."""
    adversarial_weight: float = 0.01
    """Weight of what the discriminator thinks of the rebuilt clips, beside the squared error; at least 0."""

    def rules(self, frames: int) -> list[Rule]:
        """What the values must keep to, for clips of so many frames."""
        return [
            (0 <= self.hidden_share < 1, "objective.hidden_share", "at least 0 and less than 1"),
            (round(frames * self.hidden_share) < frames, "frames", "so many that one is not hidden"),
            *at_least_one(self, "decoder_hidden", "discriminator_hidden", group="objective."),
            *not_negative(self, "adversarial_weight", group="objective."),
        ]


@dataclass
class LongTGANSettings:
    """The method LongT GAN."""

    views: ViewSettings = field(default_factory=whole_clips)
    objective: InpaintingSettings = field(default_factory=InpaintingSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: none is compared with another."""
        return 1

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require([*self.views.rules(), *self.objective.rules(run.frames)])
