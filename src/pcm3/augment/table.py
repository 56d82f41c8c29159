"""The table of what may be done to whole crops, each by the setting that says how much of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pcm3.augment.body_shape import mirror, scale_bones
from pcm3.augment.crop import pad_crop
from pcm3.augment.sensor import add_noise, lose_joints
from pcm3.augment.spatial import rotate_all_axes, rotate_yaw
from pcm3.skeleton import Layout

Crops = Float[Tensor, "N T M V C"]
"""Of B clips so many crops each: first one of all clips, then a second of all."""


class Given(NamedTuple):
    """What is known of crops."""

    layout: Layout
    per_clip: int
    """Crops of each clip."""
    gaps: bool
    """Single joints are absent from some frames, as zeros; they are to stay so."""


def _pad_crop(crops: Crops, part: int | float, given: Given, generator: torch.Generator) -> Crops:
    """Each crop is moved in time by itself."""
    return pad_crop(crops, int(part), generator)


def _flip(crops: Crops, share: float, given: Given, generator: torch.Generator) -> Crops:
    """The crops of a clip are all mirrored or none is."""
    chosen = torch.rand(len(crops) // given.per_clip, generator=generator, device=crops.device) < share
    return mirror(crops, given.layout, chosen.repeat(given.per_clip))


def _scale_bones(crops: Crops, amount: float, given: Given, generator: torch.Generator) -> Crops:
    """Each crop has bones of its own."""
    return scale_bones(crops, given.layout, amount, generator, given.gaps)


def _rotate_yaw(crops: Crops, degrees: float, given: Given, generator: torch.Generator) -> Crops:
    """Each crop has a direction of its own."""
    return rotate_yaw(crops, degrees, generator)


def _rotate_all_axes(crops: Crops, degrees: float, given: Given, generator: torch.Generator) -> Crops:
    """Each crop has angles of its own."""
    return rotate_all_axes(crops, degrees, generator)


AUGMENTATIONS: dict[str, Callable[[Crops, float, Given, torch.Generator], Crops]] = {
    "pad_crop": _pad_crop,
    "flip_prob": _flip,
    "bone_scale": _scale_bones,
    "yaw": _rotate_yaw,
    "tilt": _rotate_all_axes,
}
"""By the field of `ViewSettings` that says how much, 0 for none: (crops, how much, what is known of
them, generator) → crops; in the order in which they are made. What is off draws nothing."""

OUT_OF_PLANE = {"yaw", "tilt"}
"""Those that show a body from another side, which nobody can do with poses in a picture: they are left out there."""

SENSOR: dict[str, Callable[[Crops, float, torch.Generator], Crops]] = {"noise": add_noise, "flicker": lose_joints}
"""What a worse sensor does to views that are distorted, after all else: (crops, how much at most, generator) → crops.
Of PCM³ also to what the encoder sees of the view that is masked; what is to be rebuilt of it is spared."""
