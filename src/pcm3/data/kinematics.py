"""Rotations, and where the joints of a hierarchy are (forward kinematics). NumPy only: pcm3 show imports no scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

Matrices = Float[NDArray[Any], "T V 3 3"]


def joint_positions(
    offsets: Float[NDArray[Any], "V 3"] | Float[NDArray[Any], "T V 3"],
    parents: Sequence[int],
    rotations: Matrices,
    root: Float[NDArray[Any], "T 3"],
) -> Float[NDArray[Any], "T V 3"]:
    """The places of the joints in the world, in the unit of the offsets.

    Args:
        offsets: of each joint from its parent, as the parent is turned; of the root: added to its place. One for all
            frames, or one a frame (joints with position channels).
        parents: the joint that each joint hangs from, before it in the order; the root's is itself.
        rotations: of each joint against its parent, to be multiplied with columns; the root's against the world.
        root: the place of the root.
    """
    frames, joints = rotations.shape[:2]
    turned = np.empty_like(rotations)
    places = np.empty((frames, joints, 3), rotations.dtype)
    along = np.broadcast_to(offsets, (frames, joints, 3))
    for joint, parent in enumerate(parents):
        if joint == parent:
            turned[:, joint] = rotations[:, joint]
            places[:, joint] = root + along[:, joint]
        else:
            turned[:, joint] = turned[:, parent] @ rotations[:, joint]
            places[:, joint] = places[:, parent] + np.einsum("tij,tj->ti", turned[:, parent], along[:, joint])
    return places


def about_axis(axis: int, angle: Float[NDArray[Any], " T"]) -> Float[NDArray[Any], "T 3 3"]:
    """Rotations about a coordinate axis, by radians."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, axis, axis] = 1
    matrix[:, i, i] = matrix[:, j, j] = np.cos(angle)
    matrix[:, j, i] = np.sin(angle)
    matrix[:, i, j] = -matrix[:, j, i]
    return matrix


def about_xyz(degrees: Float[NDArray[Any], "T 3"]) -> Float[NDArray[Any], "T 3 3"]:
    """Rotations about x, then about y, then about z of the world."""
    x, y, z = np.deg2rad(degrees).T
    return np.asarray(about_axis(2, z) @ about_axis(1, y) @ about_axis(0, x))


def from_rotation_vectors(vectors: Float[NDArray[Any], "*lead 3"]) -> Float[NDArray[Any], "*lead 3 3"]:
    """Rotations about the vectors by their lengths in radians (Rodrigues' formula)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None]
    x, y, z = np.moveaxis(vectors / np.maximum(angle, 1e-300), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    sine, cosine = np.sin(angle)[..., None], np.cos(angle)[..., None]
    return np.asarray(np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross))
