"""Shear and joint jitter, the spatial transformations within one clip (PCM³ §3.1, from ISC and CMD); and turning."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pcm3.settings.views import SpatialChoice


def shear(
    clips: Float[Tensor, "B T M V C"], amplitude: float, generator: torch.Generator
) -> Float[Tensor, "B T M V C"]:
    """The clips, each under its own shear matrix: ones on the diagonal, the other six U[-amplitude, amplitude].

    Args:
        clips: of three coordinates.
        amplitude: largest shear; the paper's 1.
        generator: source of randomness.
    """
    matrix = uniform((len(clips), 3, 3), amplitude, clips, generator)
    matrix.diagonal(dim1=-2, dim2=-1).fill_(1)
    return _apply(matrix, clips)


def joint_jitter(
    clips: Float[Tensor, "B T M V C"], joint_ratio: float, generator: torch.Generator
) -> Float[Tensor, "B T M V C"]:
    """The clips with a share of the joints disturbed, the same joints in all frames and bodies of a clip.

    With probability ½ the clip's chosen joints become 0, otherwise they are multiplied by one random 3 x 3
    matrix with entries U[-1, 1].

    Args:
        clips: of three coordinates.
        joint_ratio: share of the joints that is disturbed; the released 0.6 is 15 of 25.
        generator: source of randomness.
    """
    size, joints = len(clips), clips.shape[3]
    rank = torch.rand((size, joints), generator=generator, device=clips.device).argsort(dim=1).argsort(dim=1)
    chosen = rank < round(joint_ratio * joints)
    erase = torch.rand((size, 1, 1), generator=generator, device=clips.device) < 0.5
    matrix = uniform((size, 3, 3), 1.0, clips, generator).masked_fill(erase, 0)
    return torch.where(chosen[:, None, None, :, None], _apply(matrix, clips), clips)


def rotate_yaw(
    clips: Float[Tensor, "B T M V C"], degrees: float, generator: torch.Generator
) -> Float[Tensor, "B T M V C"]:
    """The clips, each turned about the vertical by its own angle U[-degrees, degrees].

    The vertical is z, through the origin, as in normalised clips.

    Args:
        clips: of three coordinates.
        degrees: largest angle; 180 is every direction.
        generator: source of randomness.
    """
    angle = uniform((len(clips), 1, 1, 1), math.radians(degrees), clips, generator)
    cosine, sine = angle.cos(), angle.sin()
    x, y, z = clips.unbind(dim=-1)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y, z], dim=-1)


def rotate_all_axes(
    clips: Float[Tensor, "B T M V C"], degrees: float, generator: torch.Generator
) -> Float[Tensor, "B T M V C"]:
    """The clips, each turned about x, then y, then z, through the origin, by its own three angles U[-degrees, degrees].

    Args:
        clips: of three coordinates.
        degrees: largest angle.
        generator: source of randomness.
    """
    angles = uniform((len(clips), 3), math.radians(degrees), clips, generator)
    matrix = torch.eye(3, dtype=clips.dtype, device=clips.device)
    for axis, (cosine, sine) in enumerate(zip(angles.cos().T, angles.sin().T, strict=True)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        rotation = torch.eye(3, dtype=clips.dtype, device=clips.device).repeat(len(clips), 1, 1)
        rotation[:, i, i] = rotation[:, j, j] = cosine
        rotation[:, i, j], rotation[:, j, i] = -sine, sine
        matrix = rotation @ matrix
    return _apply(matrix, clips)


def in_plane(clips: Float[Tensor, "B T M V C"], flat: int | None) -> Float[Tensor, "B T M V C"]:
    """The clips with 0 as the coordinate `flat`, which poses in a picture do not have; None: as they are."""
    return clips if flat is None else clips.index_fill(-1, torch.tensor([flat], device=clips.device), 0.0)


def spatial_view(
    clips: Float[Tensor, "B T M V C"],
    choice: SpatialChoice,
    amplitude: float,
    joint_ratio: float,
    jitter_prob: float,
    generator: torch.Generator,
) -> Float[Tensor, "B T M V C"]:
    """The clips under `either` shear or jitter, or all of them under `both`, shear first.

    Differs: the paper applies both; the released code, and our default, either (docs/FIDELITY.md 6).

    Args:
        clips: of three coordinates.
        choice: `either` or `both`.
        amplitude: of `shear`.
        joint_ratio: see `joint_jitter`.
        jitter_prob: probability of jitter in `either`; shear has the rest. In `both` it has no say.
        generator: source of randomness.
    """
    sheared = shear(clips, amplitude, generator)
    disturbed = joint_jitter(sheared if choice == "both" else clips, joint_ratio, generator)
    if choice == "both":
        return disturbed
    jitter = torch.rand((len(clips), 1, 1, 1, 1), generator=generator, device=clips.device) < jitter_prob
    return torch.where(jitter, disturbed, sheared)


def uniform(
    shape: tuple[int, ...], amplitude: float, like: Tensor, generator: torch.Generator
) -> Float[Tensor, "*shape"]:
    """U[-amplitude, amplitude], of the type and on the device of `like`."""
    draw = torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
    return (2 * draw - 1) * amplitude


def _apply(matrix: Float[Tensor, "B 3 3"], clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B T M V C"]:
    """Each clip's coordinates multiplied by its matrix."""
    return torch.einsum("bij,btmvj->btmvi", matrix, clips)
