"""Which joints are there, and the three streams of a skeleton: joints, bones, motion.

The stream functions work alike on NumPy arrays and torch tensors, on axes ``(..., T, M, V, C)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import ConfigError
from pcm3.skeleton import Layout

if TYPE_CHECKING:
    import torch

Clip = TypeVar("Clip", NDArray[np.floating[Any]], "torch.Tensor")
"""Coordinates in metres, as the kind of array that the caller works with."""

StreamName = Literal["joint", "bone", "motion"]
"""What an encoder is fed with."""

T_AXIS = -4


def present_joints(frames: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """True where a joint is there (T, M, V), by what raw files say: absent ones are all zeros in (T, M, V, C)."""
    # Eight times as fast as `any` over so short an axis.
    seen = np.moveaxis(frames != 0, -1, 0)
    present: NDArray[np.bool_] = np.logical_or.reduce(list(seen))
    return present


def away(clip: Clip) -> Any:
    """True where a joint is absent for a while (..., T, M, V): all zeros in this frame, though not in every frame.

    A joint that is all zeros throughout is none of these: it is the one that clips are centred on, or one that a view
    leaves out, or a body that is never there.
    """
    zeros = (clip == 0).all(-1)
    return zeros & ~zeros.all(-3)[..., None, :, :]


def bone(clip: Clip, layout: Layout, gaps: bool = False) -> Clip:
    """Each joint seen from its parent (..., T, M, V, C); the root's is 0.

    With ``gaps``, it is also 0 where either of them is `away`.
    """
    parents: Any = layout.parents
    ends = list(parents) if isinstance(clip, np.ndarray) else _on(parents, clip.device)
    bones: Clip = clip - clip[..., ends, :]
    if not gaps:
        return bones
    gone = away(clip)
    kept: Clip = bones * ~(gone | gone[..., ends])[..., None]
    return kept


@cache
def _on(numbers: tuple[int, ...], device: Any) -> Any:
    """The numbers as a tensor, sent to the device once: a list as an index is sent every time, and waited for."""
    import torch

    with torch.inference_mode(False):  # what is made there cannot be used in training later
        return torch.tensor(numbers, device=device)


def motion(clip: Clip, gaps: bool = False) -> Clip:
    """The way of each joint to the next frame (..., T, M, V, C).

    0 in the last frame; with ``gaps``, also from and to frames in which the joint is `away`.
    """
    following = clip + 0.0
    following[..., :-1, :, :, :] = clip[..., 1:, :, :, :]  # the last frame follows itself
    moved: Clip = following - clip
    if not gaps:
        return moved
    here = ~away(clip)
    there = here | False
    there[..., :-1, :, :] = here[..., 1:, :, :]
    kept: Clip = moved * (here & there)[..., None]
    return kept


STREAMS: dict[str, Callable[[Any, Layout, bool], Any]] = {
    "joint": lambda clip, _layout, _gaps: clip,
    "bone": bone,
    "motion": lambda clip, _, gaps: motion(clip, gaps),
}


def stream(clip: Clip, name: str, layout: Layout, gaps: bool = False) -> Clip:
    """The clip as one of `STREAMS` (..., T, M, V, C).

    Args:
        clip: (..., T, M, V, C).
        name: one of `STREAMS`.
        layout: its skeleton.
        gaps: single joints are absent from some frames, as zeros: nothing leads to or from there.

    Raises:
        ConfigError: no stream of that name.
    """
    if name not in STREAMS:
        raise ConfigError(f"expected a stream ({', '.join(STREAMS)}), got '{name}'")
    taken: Clip = STREAMS[name](clip, layout, gaps)
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
