"""The views of PCM³: a clip's query, its key, and the one to be masked, each a crop of its own (paper §3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pcm3.augment.mask import draw_mask, motion_of_units
from pcm3.augment.mix import Mixed, mix
from pcm3.augment.spatial import in_plane, shear
from pcm3.clips import ClipBatch
from pcm3.geometry import stream
from pcm3.methods.views import CropMaker
from pcm3.settings.pcm3 import PCM3Settings, Positive
from pcm3.skeleton import Layout, StreamName


class Views(NamedTuple):
    """What one training step sees of B clips; None where the settings leave a view unused."""

    query: Float[Tensor, "B T M V C"] | None
    """x1, the intra view."""
    mixed: Mixed | None
    """x1 mixed with the x1 of a partner, the inter view."""
    key: Float[Tensor, "B T M V C"] | None
    """x2."""
    source: Float[Tensor, "B T M V C"] | None
    """x3, whole: the truth of the masked prediction."""
    observed: Float[Tensor, "B T M V C"] | None
    """What the encoder sees of the source where it is not masked: the source itself, or as a worse sensor has it."""
    masked: Bool[Tensor, "B T M V"] | None
    """True where a joint of the source is masked from the encoder."""


def contrasted(settings: PCM3Settings) -> tuple[Positive, ...]:
    """The views whose embedding is compared with a key."""
    objective = settings.objective
    return tuple(objective.positives) if objective.contrast_weight or objective.distillation_weight else ()


def by_the_same_sensor(
    predicted: Float[Tensor, "B T M V C"], source: Float[Tensor, "B T M V C"], observed: Float[Tensor, "B T M V C"]
) -> Float[Tensor, "B T M V C"]:
    """What is predicted of the source, as the sensor that observed the source would have it: with its errors, and lost
    (zeros) where it lost a joint.

    A prediction is smoother than any sensor's clip; that must not be what tells the view from its key.
    """
    lost = (observed == 0).all(dim=-1, keepdim=True) & (source != 0).any(dim=-1, keepdim=True)
    return (predicted + observed - source).masked_fill(lost, 0)


class ViewMaker:
    """Makes the views of a batch; what the settings leave unused is neither drawn nor made.

    Raises:
        ConfigError: the layout does not have what the settings need.
    """

    def __init__(self, layout: Layout, stream: StreamName, frames: int, settings: PCM3Settings) -> None:
        """Views of `frames` frames of clips of this layout, which become this stream."""
        self.layout, self.stream, self.settings = layout, stream, settings
        self._maker = CropMaker(layout, frames, settings.views)

    @property
    def used(self) -> list[str]:
        """Which of query, key and source the settings use, in this order."""
        objective, positives = self.settings.objective, contrasted(self.settings)
        uses = {
            "query": "intra" in positives or "inter" in positives,
            "key": bool(positives) or objective.export == "ema",
            "source": "mask" in positives or "predict" in positives or objective.prediction_weight > 0,
        }
        return [name for name, use in uses.items() if use]

    def __call__(self, batch: ClipBatch, generator: torch.Generator) -> Views:
        """The views of B clips, all randomness of them from the generator."""
        used, size = self.used, len(batch.start)
        crops = self._maker.crops(batch, len(used), generator)
        plain, source = crops.tensor_split([size * (len(used) - ("source" in used))])
        # Query and key are sheared or jittered or both, the source is sheared.
        plain = self._maker.distort(plain, batch, generator) if len(plain) else plain
        source = in_plane(shear(source, self.settings.views.shear, generator), batch.flat) if len(source) else source
        every = [plain, source]
        if len(source) and self._maker.worse_sensor:
            every.append(self._maker.as_sensed(source, source, batch, generator))
            used = [*used, "observed"]
        # Bone and motion are taken after the augmentation, as released (docs/FIDELITY.md 23).
        made = stream(torch.cat(every), self.stream, self.layout, batch.gaps)
        return self._views(dict(zip(used, made.split(size), strict=True)), batch.gaps, generator)

    def _views(self, crops: dict[str, Float[Tensor, "B T M V C"]], gaps: bool, generator: torch.Generator) -> Views:
        """The crops by their names, with the mask of the source and the mix of the queries."""
        query, source, masked, mixed = crops.get("query"), crops.get("source"), None, None
        parts, chosen = self.layout.parts, self.settings.mask
        if source is not None:
            size, frames, bodies, joints, _ = source.shape
            shape = (size, frames, bodies, joints)
            motion = motion_of_units(source, parts, chosen.kind, gaps) if chosen.choice == "motion" else None
            masked = draw_mask(
                shape, parts, chosen.kind, chosen.ratio, chosen.per_clip, chosen.bodies, generator, motion
            )
        if query is not None and "inter" in contrasted(self.settings):
            mixed = mix(query, parts, self.settings.mix.per_clip, generator)
        return Views(query, mixed, crops.get("key"), source, crops.get("observed", source), masked)
