"""Settings of CrosSCLR (`pcm3.methods.crossclr`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings, long_queue
from pcm3.settings.neighbours import NeighbourSettings
from pcm3.settings.views import ViewSettings, padded_views


@dataclass
class CrosSCLRSettings:
    """The method CrosSCLR."""

    context: bool = True
    """Whether the product of two streams' similarities to a key is contrasted beside the similarity itself."""
    views: ViewSettings = field(default_factory=padded_views)
    objective: MomentumSettings = field(default_factory=long_queue)
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: BatchNorm needs two."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        name = "the method crossclr"
        run.require(
            [
                (run.stream == "joint", "stream", f"joint for {name}, which makes motion and bone of it itself"),
                (run.frames > 1, "frames", f"at least 2 for {name}, as motion is from one frame to another"),
                *self.views.rules(),
                *self.objective.rules(),
                *self.neighbours.rules(self.objective.queue),
            ]
        )
