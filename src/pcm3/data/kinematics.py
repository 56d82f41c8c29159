"""Forward kinematics: where the joints of a hierarchy are, from offsets and rotations."""

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
