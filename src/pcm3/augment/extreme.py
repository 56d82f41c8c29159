"""The extreme augmentations: flip, rotation, noise, blur, a coordinate masked, time reversed (AimCLR §3.2).

Guo et al., Contrastive Learning from Extremely Augmented Skeleton Sequences (AAAI 2022); docs/FIDELITY.md, AimCLR.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pcm3.augment.body_shape import other_side
from pcm3.augment.sensor import absent_as_in
from pcm3.settings.extreme import ExtremeSettings
from pcm3.skeleton import Layout

RADIUS = 7
"""Frames before and after that a blur reaches."""


def extreme_view(
    clips: Float[Tensor, "B T M V C"],
    chosen: ExtremeSettings,
    layout: Layout,
    generator: torch.Generator,
    gaps: bool = False,
) -> Float[Tensor, "B T M V C"]:
    """The clips, each by its own draws under all that the settings have switched on, in their order.

    Args:
        clips: of three coordinates.
        chosen: how much of what, and how often.
        layout: which joints mirror each other.
        generator: source of randomness.
        gaps: single joints are absent from some frames, as zeros: they stay so.
    """
    if chosen.flip_prob:
        clips = exchange_sides(clips, layout, _some(clips, chosen.flip_prob, generator))
    if chosen.rotation or chosen.tilt:
        clips = rotate(clips, _angles(clips, chosen.rotation, chosen.tilt, generator))
    before = clips
    if chosen.noise_prob and chosen.noise:
        some = _some(clips, chosen.noise_prob, generator)
        clips = add_equal_noise(clips, chosen.noise * some.to(clips.dtype), generator)
    if chosen.blur_prob:
        some, (low, high) = _some(clips, chosen.blur_prob, generator), chosen.blur
        deviation = low + (high - low) * _uniform((len(clips),), clips, generator)
        clips = torch.where(_of_clip(some), blur(clips, deviation), clips)
    if gaps:
        clips = absent_as_in(before, clips)
    if chosen.axis_mask_prob:
        some = _some(clips, chosen.axis_mask_prob, generator)
        axis = torch.randint(3, (len(clips),), generator=generator, device=clips.device)
        hidden = some[:, None] & (axis[:, None] == torch.arange(3, device=clips.device))
        clips = clips.masked_fill(hidden[:, None, None, None, :], 0)
    if chosen.reverse_prob:
        clips = torch.where(_of_clip(_some(clips, chosen.reverse_prob, generator)), clips.flip(1), clips)
    return clips


def exchange_sides(
    clips: Float[Tensor, "B T M V C"], layout: Layout, chosen: Bool[Tensor, " B"]
) -> Float[Tensor, "B T M V C"]:
    """The clips; in the chosen ones the joints of the left are those of the right.

    Not a mirror (`augment.body_shape.mirror`): every joint stays where it is, and only its name changes.
    """
    return torch.where(_of_clip(chosen), clips[..., other_side(layout, clips.device), :], clips)


def rotate(clips: Float[Tensor, "B T M V C"], angles: Float[Tensor, "B 3"]) -> Float[Tensor, "B T M V C"]:
    """The clips, each rotated by minus its three angles, in radians, about x, then y, then z, through the origin."""
    coordinates = list(clips.unbind(dim=-1))
    for axis in range(3):
        angle = angles[:, axis, None, None, None]
        first, second = (axis + 1) % 3, (axis + 2) % 3
        a, b = coordinates[first], coordinates[second]
        coordinates[first] = angle.cos() * a + angle.sin() * b
        coordinates[second] = angle.cos() * b - angle.sin() * a
    return torch.stack(coordinates, dim=-1)


def add_equal_noise(
    clips: Float[Tensor, "B T M V C"], deviation: Float[Tensor, " B"], generator: torch.Generator
) -> Float[Tensor, "B T M V C"]:
    """The clips with normal noise on every coordinate, of a deviation for each clip in metres.

    A body that is absent, all zero in a frame, stays so.
    """
    noise = torch.randn(clips.shape, generator=generator, device=clips.device, dtype=clips.dtype)
    present = (clips != 0).flatten(-2).any(dim=-1)[..., None, None]
    return clips + noise * _of_clip(deviation) * present


def blur(clips: Float[Tensor, "B T M V C"], deviation: Float[Tensor, " B"]) -> Float[Tensor, "B T M V C"]:
    """The clips, each frame the sum of those up to `RADIUS` away, weighted by exp(-d² / 2σ²) where they are d apart.

    As released, the weights do not sum to one: with σ a clip grows larger, up to √(2π)·σ times, but less near its ends,
    beyond which there is nothing.

    Args:
        clips: of any number of frames.
        deviation: σ of each clip, in frames.
    """
    place = torch.arange(clips.shape[1], device=clips.device, dtype=clips.dtype)
    apart = place[:, None] - place
    weights = (-apart.square() / (2 * deviation.square())[:, None, None]).exp() * (apart.abs() <= RADIUS)
    blurred: Tensor = (weights @ clips.flatten(2)).view(clips.shape)
    return blurred


def _angles(clips: Tensor, rotation: float, tilt: float, generator: torch.Generator) -> Float[Tensor, "B 3"]:
    """U[0, rotation] about one axis of each clip, U[0, tilt] about the others; drawn in degrees, here in radians."""
    main = torch.randint(3, (len(clips), 1), generator=generator, device=clips.device)
    is_main = main == torch.arange(3, device=clips.device)
    share = _uniform((len(clips), 3), clips, generator)
    return share * torch.where(is_main, math.radians(rotation), math.radians(tilt))


def _some(clips: Tensor, prob: float, generator: torch.Generator) -> Bool[Tensor, " B"]:
    return torch.rand(len(clips), generator=generator, device=clips.device) < prob


def _uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """U[0, 1], of the type and on the device of `like`."""
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)


def _of_clip(values: Tensor) -> Tensor:
    """(B,) → (B, 1, 1, 1, 1)."""
    return values[:, None, None, None, None]
