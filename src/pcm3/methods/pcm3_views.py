"""One clip, three crops: the query's, the key's, and the one to be masked (PCM³ §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pcm3.augment.body_shape import mirror, vary_limbs
from pcm3.augment.crop import crop_resize, random_crops
from pcm3.augment.mask import MaskedBodies, MaskKind, draw_hidden
from pcm3.augment.mix import Mixed, mix
from pcm3.augment.spatial import SpatialChoice, shear, spatial_view, turn
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.skeleton import Layout, StreamName


class Views(NamedTuple):
    """What one training step sees of B clips."""

    query: Tensor
    """(B, T, M, V, C) x1, the intra view."""
    mixed: Mixed
    """x1 mixed with the x1 of a partner, the inter view."""
    key: Tensor
    """(B, T, M, V, C) x2."""
    source: Tensor
    """(B, T, M, V, C) x3, whole: the truth of the masked prediction."""
    hidden: Tensor
    """(B, T, M, V) True where a joint of the source is hidden from the encoder."""


@dataclass(frozen=True)
class ViewMaker:
    """Makes the views of a batch; a frozen set of plain values, so that a step is a function of its generator.

    What is off, as `turn`, `limbs` and `mirror` are at 0, draws nothing.

    Raises:
        ConfigError: clips are to be mirrored, and the layout does not say which joints mirror each other.
    """

    layout: Layout
    stream: StreamName = "joint"
    frames: int = 64
    crop: tuple[float, float] = (0.1, 1.0)
    least_frames: int = 64
    spatial: SpatialChoice = "either"
    shear: float = 1.0
    jitter: float = 0.6
    jittered: float = 0.5
    turn: float = 0.0
    limbs: float = 0.0
    mirror: float = 0.0
    mix_per_clip: bool = False
    mask: MaskKind = "topology"
    mask_ratio: float = 0.6
    mask_per_clip: bool = False
    mask_bodies: MaskedBodies = "first"
    gaps: bool = False

    def __post_init__(self) -> None:
        if self.mirror and not self.layout.mirror:
            raise ConfigError(
                f"setting views.flip_prob: expected 0 for the layout '{self.layout.name}', got {self.mirror}: "
                "the layout has no mirror pairs of left and right joints; give it some, or set 0"
            )

    def __call__(self, frames: Tensor, start: Tensor, length: Tensor, generator: torch.Generator) -> Views:
        """The views of B clips.

        Args:
            frames: (F, M, V, C) frames of all clips of the store.
            start: (B,) first row of each clip in `frames`.
            length: (B,) frames of each clip.
            generator: source of all randomness, on the device of `start`.
        """
        crop_start, crop_length = random_crops(length.repeat(3), self.crop, self.least_frames, generator)
        crops = crop_resize(frames, start.repeat(3) + crop_start, crop_length, self.frames, self.gaps)
        crops = self._as_others(crops, generator)
        size = len(start)
        plain = spatial_view(crops[: 2 * size], self.spatial, self.shear, self.jitter, self.jittered, generator)
        source = shear(crops[2 * size :], self.shear, generator)
        # Bone and motion are taken after the augmentation, as released (docs/FIDELITY.md 23).
        views = stream(torch.cat([plain, source]), self.stream, self.layout, self.gaps)
        query, key, source = views.chunk(3)
        hidden = draw_hidden(
            tuple(source.shape[:4]),  # type: ignore[arg-type]
            self.layout.parts,
            self.mask,
            self.mask_ratio,
            self.mask_per_clip,
            self.mask_bodies,
            generator,
        )
        mixed = mix(query, self.layout.parts, self.mix_per_clip, generator)
        return Views(query, mixed, key, source, hidden)

    def _as_others(self, crops: Tensor, generator: torch.Generator) -> Tensor:
        """The crops (3B, T, M, V, C) as of other people who face other ways; a clip's three are mirrored or none is."""
        if self.mirror:
            chosen = torch.rand(len(crops) // 3, generator=generator, device=crops.device) < self.mirror
            crops = mirror(crops, self.layout, chosen.repeat(3))
        if self.limbs:
            crops = vary_limbs(crops, self.layout, self.limbs, generator)
        if self.turn:
            crops = turn(crops, self.turn, generator)
        return crops
