"""Settings of P&C (`pcm3.methods.pc`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pcm3.settings.method import Run
from pcm3.settings.views import ViewSettings, whole_clips

WeakDecoder = Literal["fixed_state", "fixed_weights"]


@dataclass
class RebuildingSettings:
    """How the decoder rebuilds a clip from its feature."""

    decoder: WeakDecoder = "fixed_state"
    """How the decoder is kept weak, so that the encoder must learn: its state is the clip's feature in every frame, or
    it keeps the weights that it began with."""


@dataclass
class PandCSettings:
    """The method P&C."""

    views: ViewSettings = field(default_factory=whole_clips)
    objective: RebuildingSettings = field(default_factory=RebuildingSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: none is compared with another."""
        return 1

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        run.require(
            [
                (
                    run.frames > 1,
                    "frames",
                    "at least 2 for the method pc, as a frame is predicted from the one before",
                ),
                *self.views.rules(),
            ]
        )
