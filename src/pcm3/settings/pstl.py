"""Settings of PSTL (`pcm3.methods.pstl`); the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcm3.settings.encoder import KINDS
from pcm3.settings.extreme import ExtremeSettings
from pcm3.settings.method import Run
from pcm3.settings.rules import Rule, at_least_one, not_negative
from pcm3.settings.views import ViewSettings


def strongly_sheared() -> ViewSettings:
    """Whole clips, padded and cropped, and all sheared."""
    return ViewSettings(crop=(1.0, 1.0), shear=1.0, jitter_prob=0.0, pad_crop=6)


def turned_and_exchanged() -> ExtremeSettings:
    """What PSTL does to a view: no noise, no blur, no masked coordinate."""
    return ExtremeSettings(noise_prob=0.0, blur_prob=0.0, axis_mask_prob=0.0)


@dataclass
class TwinSettings:
    """What embeddings of two views of a clip are to be."""

    embedding: int = 6144
    """Width of an embedding and of the two layers before it, at least 1."""
    redundancy_weight: float = 2e-4
    """Weight of the correlations between different values of an embedding (Barlow Twins), at least 0."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *at_least_one(self, "embedding", group="objective."),
            *not_negative(self, "redundancy_weight", group="objective."),
        ]


@dataclass
class PartialSettings:
    """What is missing from the partial views."""

    frames: int = 10
    """As many frames in which much moves are dropped from one view, and as many random ones; at least 0, and more than
    twice as many must be there."""
    joints: int = 8
    """As many joints are dropped from the other, those with many neighbours most often; at least 0, and more must be
    there."""


@dataclass
class PSTLSettings:
    """The method PSTL."""

    views: ViewSettings = field(default_factory=strongly_sheared)
    extreme: ExtremeSettings = field(default_factory=turned_and_exchanged)
    objective: TwinSettings = field(default_factory=TwinSettings)
    partial: PartialSettings = field(default_factory=PartialSettings)

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch: over two, values correlate."""
        return 2

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        names = [kind for kind, row in KINDS.items() if row.some_joints]
        run.require(
            [
                (
                    run.encoder.kind in names,
                    "encoder.kind",
                    f"{' or '.join(names)} for the method pstl, which leaves joints out",
                ),
                *self.views.rules(),
                *self.extreme.rules(),
                *self.objective.rules(),
                *not_negative(self.partial, "frames", "joints", group="partial."),
                (
                    2 * self.partial.frames < run.frames,
                    "partial.frames",
                    f"less than half of the {run.frames} frames of setting frames (fewer partial.frames, or frames of "
                    f"{2 * self.partial.frames + 1} or more)",
                ),
            ]
        )
