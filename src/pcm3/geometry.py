"""Which joints are there, and the streams of a skeleton: joints, bones, motion, computed here for everyone.

The functions work alike on NumPy arrays and torch tensors, on axes ``(..., T, M, V, C)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy.typing import NDArray

from pcm3.errors import ConfigError
from pcm3.skeleton import Layout, StreamName

if TYPE_CHECKING:
    import torch

    Clip = TypeVar("Clip", NDArray[np.floating[Any]], torch.Tensor)
    """Coordinates in metres, as the kind of array that the caller works with."""
    Mask = TypeVar("Mask", NDArray[np.bool_], torch.Tensor)
    Values = TypeVar("Values", NDArray[Any], torch.Tensor)
else:
    Clip, Mask, Values = TypeVar("Clip"), TypeVar("Mask"), TypeVar("Values")

STREAMS: tuple[StreamName, ...] = ("joint", "bone", "motion")
STRIDES = {"motion": 1, "motion4": 4, "motion8": 8}
"""Frames over which a motion goes; over several, noise counts less and slow movements count more."""
T_AXIS = -4


def present_joints(frames: Shaped[NDArray[Any], "T M V C"]) -> Bool[NDArray[np.bool_], "T M V"]:
    """True where a joint is there (T, M, V), by what raw files say: absent ones are all zeros in (T, M, V, C)."""
    # Eight times as fast as `any` over so short an axis.
    nonzero = np.moveaxis(frames != 0, -1, 0)
    present: NDArray[np.bool_] = np.logical_or.reduce(list(nonzero))
    return present


def absent(
    clip: Float[Clip, "*lead T M V C"], at_origin: Sequence[int] | None = None, so_far: bool = False
) -> Bool[Any, "*lead T M V"]:
    """True where a joint is absent: all zeros, which are not its place.

    They are its place if it is one of ``at_origin`` (`Layout.at_origin`), all zeros in every frame, and its body is the
    first of which this is true and that is there: the body that the clip is centred on. Which other joints lie where
    the centre joint does, as `spine_root` of h36m32, nobody can tell: they are absent.

    Args:
        clip: in metres, or motions.
        at_origin: see above; None: a joint that is all zeros in every frame is not absent, as the bone of a root.
        so_far: a frame counts only itself and those before it.
    """
    zeros = (clip == 0).all(-1)
    ever = (~zeros).cumsum(-3) > 0 if so_far else (~zeros).any(-3)[..., None, :, :]
    if at_origin is None:
        return zeros & ever
    if len(at_origin) == 0:
        return zeros
    standing = ~ever & ever.any(-1)[..., None]
    return zeros & ~(standing & (standing.cumsum(-2) == 1) & _are(tuple(at_origin), clip))


def bone(clip: Float[Clip, "*lead T M V C"], layout: Layout, gaps: bool = False) -> Float[Clip, "*lead T M V C"]:
    """Each joint seen from its parent; the root's is 0.

    With ``gaps``, it is also 0 where either of them is `absent`.
    """
    return input_feature(clip, "bone", layout.parents, gaps, at_origin=layout.at_origin)


def motion(clip: Float[Clip, "*lead T M V C"], gaps: bool = False) -> Float[Clip, "*lead T M V C"]:
    """The way of each joint to the next frame, as in the released code, whatever the encoder: not for live frames.

    0 in the last frame; with ``gaps``, also from and to frames in which the joint is `absent`.
    """
    return input_feature(clip, "motion", (), gaps)


def input_feature(
    clip: Float[Clip, "*lead T M V C"],
    name: str,
    parents: Sequence[int],
    gaps: bool = False,
    back: bool = False,
    at_origin: Sequence[int] | None = None,
) -> Float[Clip, "*lead T M V C"]:
    """What is computed from a clip: itself ("joint"), its bones, or its motion over one of `STRIDES`.

    Args:
        clip: in metres.
        name: of the feature.
        parents: of each joint, for bones; the root is its own.
        gaps: joints are absent from some frames or from all, as zeros: what leads to or from there is 0.
        back: no frame may know a later one. A motion is then from an earlier frame to this one, and 0 in the first,
            instead of from this one to a later, and 0 in the last; near that end the frames are fewer.
        at_origin: of bones, see `absent`.
    """
    if name == "joint":
        return clip
    other = other_end(clip, name, parents, back)
    values: Clip = clip - other if name == "bone" or back else other - clip
    if not gaps:
        return values
    # From zeros to zeros there is no motion, wherever they are.
    gone = absent(clip, at_origin, so_far=back) if name == "bone" else absent(clip, ())
    kept: Clip = values * ~(gone | other_end(gone, name, parents, back, coordinates=False))[..., None]
    return kept


def other_end(
    values: Shaped[Values, ...], name: str, parents: Sequence[int], back: bool, coordinates: bool = True
) -> Shaped[Values, ...]:
    """What (..., T, M, V, C) holds at the other end of each bone or motion; (..., T, M, V) without coordinates."""
    if name == "bone":
        ends: Any = list(parents) if isinstance(values, np.ndarray) else _on(tuple(parents), values.device)
        at_parents: Values = values[..., ends, :] if coordinates else values[..., ends]
        return at_parents
    return _shifted(values, STRIDES[name], T_AXIS if coordinates else T_AXIS + 1, back)


def _shifted(values: Shaped[Values, ...], frames: int, axis: int, back: bool) -> Shaped[Values, ...]:
    """What there is so many frames later, or earlier; beyond the end its last, or first, frame."""
    count = values.shape[axis]
    beyond = min(frames, count)

    def part(start: int, stop: int) -> Any:
        index: Any = (..., slice(start, stop), *[slice(None)] * (-axis - 1))
        return values[index]

    edge: Any = part(0, 1) if back else part(count - 1, count)
    shape = [*edge.shape]
    shape[axis] = beyond
    if isinstance(values, np.ndarray):
        edge = np.broadcast_to(edge, shape)
        return np.concatenate([edge, part(0, count - beyond)] if back else [part(beyond, count), edge], axis)
    import torch

    edge = edge.expand(shape)
    return torch.cat([edge, part(0, count - beyond)] if back else [part(beyond, count), edge], axis)


def _are(joints: tuple[int, ...], clip: Float[Clip, "*lead T M V C"]) -> Bool[Any, " V"]:
    """True for these joints."""
    count = clip.shape[-2]
    if isinstance(clip, np.ndarray):
        return np.isin(np.arange(count), joints)
    return _on(tuple(joint in joints for joint in range(count)), clip.device)


@cache
def _on(indices: tuple[int, ...], device: Any) -> Any:
    """The numbers as a tensor, sent to the device once: a list as an index is sent every time, and waited for."""
    import torch

    with torch.inference_mode(False):  # what is made there cannot be used in training later
        return torch.tensor(indices, device=device)


def stream(
    clip: Float[Clip, "*lead T M V C"], name: str, layout: Layout, gaps: bool = False
) -> Float[Clip, "*lead T M V C"]:
    """The clip as one of `STREAMS`.

    Args:
        clip: in metres.
        name: one of `STREAMS`.
        layout: its skeleton.
        gaps: joints are absent from some frames or from all, as zeros: nothing leads to or from there.

    Raises:
        ConfigError: no stream of that name.
    """
    if name not in STREAMS:
        raise ConfigError(f"expected a stream ({', '.join(STREAMS)}), got '{name}'")
    return input_feature(clip, name, layout.parents, gaps, at_origin=layout.at_origin)
