"""Augmented crops of clips, as several methods make them: of other people who face other ways, sheared or jittered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pcm3.augment.crop import crop_resize, random_crops
from pcm3.augment.sensor import absent_as_in
from pcm3.augment.spatial import in_plane, spatial_view
from pcm3.augment.table import AUGMENTATIONS, OUT_OF_PLANE, SENSOR, Given
from pcm3.clips import ClipBatch
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.settings.views import ViewSettings
from pcm3.skeleton import Layout, StreamName


class OneView(NamedTuple):
    """One augmented crop of each of B clips."""

    clips: Float[Tensor, "B T M V C"]


class TwoViews(NamedTuple):
    """Two augmented crops of each of B clips."""

    query: Float[Tensor, "B T M V C"]
    key: Float[Tensor, "B T M V C"]


@dataclass(frozen=True)
class CropMaker:
    """Makes crops of clips and augments them by the table of augmentations; what is off draws nothing.

    Raises:
        ConfigError: clips are to be mirrored, and the layout does not say which joints mirror each other.
    """

    layout: Layout
    frames: int
    """T of every crop."""
    settings: ViewSettings

    def __post_init__(self) -> None:
        require_mirror(self.layout, "views.flip_prob", self.settings.flip_prob)

    def crops(self, batch: ClipBatch, count: int, generator: torch.Generator) -> Float[Tensor, "N T M V C"]:
        """So many random crops of each clip, first one of all, as of other people who face other ways.

        The crops of a clip are all mirrored or none is; each has its own bones and direction.
        """
        chosen = self.settings
        start, length = random_crops(batch.length.repeat(count), chosen.crop, chosen.min_frames, generator)
        crops = crop_resize(batch.frames, batch.start.repeat(count) + start, length, self.frames, batch.gaps)
        return self._augmented(crops, batch, count, generator)

    def padded_view(
        self, batch: ClipBatch, speed: float, generator: torch.Generator
    ) -> tuple[Float[Tensor, "B T M V C"], Int[Tensor, " B"]]:
        """One view of each clip at its own rate, but for up to a share `speed` faster or slower, and its length.

        Longer ones are cut; of shorter ones the last frame is repeated.
        """
        chosen = self.settings
        start, length = random_crops(batch.length, chosen.crop, chosen.min_frames, generator)
        change = speed * (2 * torch.rand(length.shape, generator=generator, device=length.device) - 1)
        own = (length * (1 + change)).long().clamp(min=1)
        crops = crop_resize(batch.frames, batch.start + start, length, self.frames, batch.gaps, own)
        crops = self._augmented(crops, batch, 1, generator)
        return self._distorted(crops, batch, generator), own.clamp(max=self.frames)

    def _augmented(
        self, crops: Float[Tensor, "N T M V C"], batch: ClipBatch, count: int, generator: torch.Generator
    ) -> Float[Tensor, "N T M V C"]:
        given = Given(self.layout, count, batch.gaps)
        for name, augment in AUGMENTATIONS.items():
            if (amount := getattr(self.settings, name)) and not (batch.flat is not None and name in OUT_OF_PLANE):
                crops = augment(crops, amount, given, generator)
        return crops

    def distort(
        self, crops: Float[Tensor, "N T M V C"], batch: ClipBatch, generator: torch.Generator
    ) -> Float[Tensor, "N T M V C"]:
        """The crops of a batch under shear or joint jitter, or both, by a worse sensor, in the plane where they have
        one.
        """
        chosen = self.settings
        distorted = spatial_view(
            crops, chosen.spatial, chosen.shear, chosen.jitter_joint_ratio, chosen.jitter_prob, generator
        )
        return self.as_sensed(crops, distorted, batch, generator)

    @property
    def worse_sensor(self) -> bool:
        """Whether views are as of a worse sensor than the clips."""
        return any(getattr(self.settings, name) for name in SENSOR)

    def as_sensed(
        self,
        crops: Float[Tensor, "B T M V C"],
        distorted: Float[Tensor, "B T M V C"],
        batch: ClipBatch,
        generator: torch.Generator,
    ) -> Float[Tensor, "B T M V C"]:
        """What the worse sensor of the settings makes of distorted crops; what is absent from the crops stays so."""
        for name, harm in SENSOR.items():
            if amount := getattr(self.settings, name):
                distorted = harm(distorted, amount, generator)
        if batch.gaps:
            distorted = absent_as_in(crops, distorted)
        return in_plane(distorted, batch.flat)

    def one_view(self, batch: ClipBatch, generator: torch.Generator) -> Float[Tensor, "B T M V C"]:
        """One view of each clip; distorted where shear or jitter is on, so not by default in methods that have none."""
        return self._distorted(self.crops(batch, 1, generator), batch, generator)

    def _distorted(
        self, crops: Float[Tensor, "B T M V C"], batch: ClipBatch, generator: torch.Generator
    ) -> Float[Tensor, "B T M V C"]:
        chosen = self.settings
        distorted = chosen.spatial == "both" or chosen.shear or chosen.jitter_prob or chosen.noise or chosen.flicker
        return self.distort(crops, batch, generator) if distorted else crops

    def two_views(self, batch: ClipBatch, generator: torch.Generator, name: StreamName = "joint") -> TwoViews:
        """Two views of each clip, each cropped and distorted by itself, of which the stream is taken."""
        views = self.distort(self.crops(batch, 2, generator), batch, generator).chunk(2)
        return TwoViews(*(stream(view, name, self.layout, batch.gaps) for view in views))


def require_mirror(layout: Layout, setting: str, prob: float) -> None:
    """Raises ConfigError where sides are to be exchanged and the layout does not say which joints mirror each other."""
    if prob and not layout.mirror:
        raise ConfigError(
            f"setting {setting}: expected 0 for the layout '{layout.name}', got {prob}: the layout has no mirror pairs "
            "of left and right joints; give it some, or set 0"
        )
