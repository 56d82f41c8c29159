"""Where a skeleton stands, which way it faces, and its three streams: joints, bones, motion.

The stream functions work alike on NumPy arrays and torch tensors, on axes ``(..., T, M, V, C)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import Layout

if TYPE_CHECKING:
    import torch

Clip = TypeVar("Clip", NDArray[np.floating[Any]], "torch.Tensor")
"""Coordinates in metres, as the kind of array that the caller works with."""

StreamName = Literal["joint", "bone", "motion"]
"""What an encoder is fed with."""

T_AXIS = -4
DEGENERATE = 1e-6
"""A direction whose coordinates sum to less than this (metres) points nowhere: it is not turned."""


def present_joints(frames: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """True where a joint is there (T, M, V): absent ones are all zeros in (T, M, V, C)."""
    # Eight times as fast as `any` over so short an axis.
    seen = np.moveaxis(frames != 0, -1, 0)
    present: NDArray[np.bool_] = np.logical_or.reduce(list(seen))
    return present


def normalise(
    frames: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout
) -> NDArray[np.floating[Any]]:
    """One clip, standing at the origin along z and facing along y, as the released PCM³ code prepares it.

    In each frame the centre joint of body 0 is subtracted from all joints that are there. Then one rotation for the
    whole clip, taken from frame 0 of body 0: `layout.up` onto z, after that `layout.across` onto x. Frames in which
    body 0 is absent have no centre; the other body stays in the camera's frame there, as in the released code.

    Args:
        frames: (T, M, V, 3) metres, camera frame.
        present: (T, M, V), see `present_joints`; absent joints come back as zeros.
        layout: says which joints are the centre, up and across.

    Returns:
        (T, M, V, 3) metres, in the precision of ``frames``.

    Raises:
        DataError: the coordinates are not three.
    """
    if frames.shape[-1] != 3:
        raise DataError(f"expected 3 coordinates a joint to normalise, got {frames.shape[-1]}")
    if len(frames) == 0:
        return frames.copy()
    return _turned(frames, present, frames[:, 0, layout.centre], (0, 0), layout)


def _turned(
    frames: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    centre: NDArray[np.floating[Any]],
    whose: tuple[int, int],
    layout: Layout,
) -> NDArray[np.floating[Any]]:
    """The clip without its centre (T, 3), and the body ``whose`` frame and place are given upright."""
    pose = np.where(present[whose][:, None], frames[whose] - centre[whose[0]], 0)
    rotation = _upright(pose.astype(np.float64), layout).T.astype(frames.dtype)
    turned = np.zeros_like(frames)
    for body in np.flatnonzero(present.any(axis=(0, 2))):  # often there is one, and room for more
        centred = np.empty((len(frames), *frames.shape[2:]), frames.dtype)
        for axis in range(3):  # NumPy's loops are as long as the last axis, and three is short
            np.subtract(frames[:, body, :, axis], centre[:, axis, None], out=centred[..., axis])
        joints = centred.reshape(-1, 3) @ rotation
        joints[~present[:, body].ravel()] = 0
        turned[:, body] = joints.reshape(centred.shape)
    return turned


def normalise_untrimmed(
    frames: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout
) -> NDArray[np.floating[Any]]:
    """A long recording, centred and turned as `normalise` does, where anyone may come and go.

    In each frame the centre is that of the first body that is there; the rotation is taken from the first frame that
    has a body.

    Args:
        frames: (T, M, V, 3) metres, camera frame.
        present: (T, M, V), see `present_joints`; absent joints come back as zeros.
        layout: says which joints are the centre, up and across.

    Returns:
        (T, M, V, 3) metres, in the precision of ``frames``.
    """
    body = np.asarray(present.any(axis=2))  # (T, M)
    first = body.argmax(axis=1)
    centre = frames[np.arange(len(frames)), first, layout.centre]  # (T, 3)
    seen = np.flatnonzero(body.any(axis=1))
    if len(seen) == 0:
        return np.zeros_like(frames)
    return _turned(frames, present, centre, (int(seen[0]), int(first[seen[0]])), layout)


def _upright(pose: NDArray[np.float64], layout: Layout) -> NDArray[np.float64]:
    """The rotation (3, 3) that turns up onto z and then, of the pose turned so, across onto x; pose is (V, 3)."""
    up = pose[layout.up[1]] - pose[layout.up[0]]
    onto_z = rotation_between(up, np.array([0.0, 0.0, 1.0]))
    across = onto_z @ (pose[layout.across[1]] - pose[layout.across[0]])
    return rotation_between(across, np.array([1.0, 0.0, 0.0])) @ onto_z


def rotation_between(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest rotation (3, 3) that makes ``source`` parallel to the unit vector ``target`` (Rodrigues).

    The identity where no single smallest one exists: a source of no length, or one that already lies along the
    target, forwards or backwards. The released code does the same.
    """
    # In plain numbers: NumPy's functions for a vector of three take ten times as long.
    (a, b, c), (d, e, f) = source.tolist(), target.tolist()
    axis = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
    if abs(a) + abs(b) + abs(c) < DEGENERATE or np.abs(axis).sum() < DEGENERATE:
        return np.eye(3)
    sine, cosine = np.sqrt(axis @ axis), source @ target
    x, y, z = (axis / sine).tolist()
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    length = np.hypot(sine, cosine)
    rotation: NDArray[np.float64] = np.eye(3) + sine / length * cross + (1 - cosine / length) * cross @ cross
    return rotation


def bone(clip: Clip, layout: Layout) -> Clip:
    """Each joint seen from its parent (..., T, M, V, C); the root's is 0."""
    parents: Any = layout.parents
    return clip - clip[..., list(parents) if isinstance(clip, np.ndarray) else _on(parents, clip.device), :]


@cache
def _on(numbers: tuple[int, ...], device: Any) -> Any:
    """The numbers as a tensor, sent to the device once: a list as an index is sent every time, and waited for."""
    import torch

    with torch.inference_mode(False):  # what is made there cannot be used in training later
        return torch.tensor(numbers, device=device)


def motion(clip: Clip) -> Clip:
    """The way of each joint to the next frame (..., T, M, V, C); the last frame's is 0."""
    following = clip + 0.0
    following[..., :-1, :, :, :] = clip[..., 1:, :, :, :]  # the last frame follows itself
    return following - clip


STREAMS: dict[str, Callable[[Any, Layout], Any]] = {
    "joint": lambda clip, _: clip,
    "bone": bone,
    "motion": lambda clip, _: motion(clip),
}


def stream(clip: Clip, name: str, layout: Layout) -> Clip:
    """The clip as one of `STREAMS` (..., T, M, V, C).

    Raises:
        ConfigError: no stream of that name.
    """
    if name not in STREAMS:
        raise ConfigError(f"expected a stream ({', '.join(STREAMS)}), got '{name}'")
    taken: Clip = STREAMS[name](clip, layout)
    return taken


def joint_from_bone(bones: Clip, root: Clip, layout: Layout) -> Clip:
    """The clip whose `bone` stream is ``bones`` and whose root joint moves along ``root``; inverse of `bone`.

    Args:
        bones: (..., T, M, V, C); what it holds at the root joint is ignored.
        root: (..., T, M, C), the trajectory of joint `layout.root`.
        layout: the tree of the bones.
    """
    joints = bones + 0.0
    joints[..., layout.root, :] = 0.0
    # Sums from every joint up to the root by doubling: after n rounds each joint holds its own 2^n nearest bones.
    ancestor = list(layout.parents)
    while any(joint != layout.root for joint in ancestor):
        joints = joints + joints[..., ancestor, :]
        ancestor = [ancestor[joint] for joint in ancestor]
    return joints + root[..., None, :]


def joint_from_motion(motions: Clip, first: Clip) -> Clip:
    """The clip whose `motion` stream is ``motions`` and that starts at ``first``; inverse of `motion`.

    Args:
        motions: (..., T, M, V, C); its last frame is ignored.
        first: (..., M, V, C), the frame at which the clip starts.
    """
    travelled: Clip = motions.cumsum(T_AXIS) - motions
    return first[..., None, :, :, :] + travelled
