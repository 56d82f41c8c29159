"""Settings of ISC (`pcm3.methods.isc`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.views import ViewSettings


def published_graph() -> EncoderSettings:
    """The A-GCN that learns beside the GRU."""
    return EncoderSettings(
        kind="agcn", hidden_size=128, layers=3, direction="bidirectional", pooling="mean", channels=64
    )


@dataclass
class ISCSettings:
    """The method ISC."""

    views: ViewSettings = field(default_factory=ViewSettings)
    objective: MomentumSettings = field(default_factory=MomentumSettings)
    second: EncoderSettings = field(default_factory=published_graph)
    """The encoder beside the run's, of another kind; it is left in a folder of the run that is named by its kind."""

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
                *self.second.rules("second."),
                (self.second.hidden_size >= 1, "second.hidden_size", "at least 1"),
                (self.second.kind != run.encoder.kind, "second.kind", "another kind than encoder.kind for method isc"),
            ]
        )
