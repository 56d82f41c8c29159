"""Settings of SkeleMixCLR (`pcm3.methods.skelemixclr`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.encoder import KINDS
from pcm3.settings.method import Run
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.rules import at_least_one
from pcm3.settings.views import ViewSettings, padded_views


def warm_queue() -> MomentumSettings:
    """A long queue, and a temperature at which none counts much more than another."""
    return MomentumSettings(projector_norm=True, queue=32768, temperature=0.2)


@dataclass
class PasteSettings:
    """Clips that hold a region of another one."""

    count: int = 1
    """How many of these are made of each clip, each with its own partner and region, at least 1; SkeleMixCLR+: 3."""
    per_clip: bool = False
    """Draw the region for each clip, instead of once a batch (released)."""


@dataclass
class SkeleMixCLRSettings:
    """The method SkeleMixCLR."""

    views: ViewSettings = field(default_factory=padded_views)
    objective: MomentumSettings = field(default_factory=warm_queue)
    paste: PasteSettings = field(default_factory=PasteSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: a clip needs another one for a partner."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        with_joints = [kind for kind, row in KINDS.items() if row.joint_features]
        run.require(
            [
                (
                    run.encoder.kind in with_joints,
                    "encoder.kind",
                    f"{' or '.join(with_joints)} for the method skelemixclr, which parts the features of joints",
                ),
                (
                    run.encoder.pooling == "mean",
                    "encoder.pooling",
                    "mean for the method skelemixclr, which takes means over parts of a clip",
                ),
                *self.views.rules(),
                *self.objective.rules(),
                *at_least_one(self.paste, "count", group="paste."),
            ]
        )
