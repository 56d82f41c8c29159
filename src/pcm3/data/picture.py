"""Poses in a picture: two coordinates, of which only the proportions count. They are kept as x, y and 0.

Their bodies are scaled to a person's size and centred; nothing is turned, as nobody can be seen from another side.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.body_centre import path_of_first, reference_path
from pcm3.errors import DataError
from pcm3.normalisation import main_body
from pcm3.skeleton import Layout

FLAT = "flat"
"""The rule by which they are prepared."""
TALL = 1.7
"""Metres that the longest side of the box around a body is made, in the median over the frames."""

Frames = NDArray[np.floating[Any]]
Booleans = NDArray[np.bool_]


def are_flat(clips: Sequence[Frames]) -> bool:
    """Whether the clips (T, M, V, 2 or 3), some of which show somebody, have no third coordinate, or always 0."""
    skeletons = [np.nan_to_num(clip) for clip in clips if clip.ndim == 4 and clip.shape[-1] in (2, 3)]
    return any(clip.any() for clip in skeletons) and not any(clip[..., 2:].any() for clip in skeletons)


def with_third(frames: Frames) -> Frames:
    """The frames (T, M, V, 2) with a third coordinate of 0; those that have three as they are."""
    return np.pad(frames, [(0, 0)] * (frames.ndim - 1) + [(0, 3 - frames.shape[-1])])


def without_nan(name: str, frames: Frames) -> NDArray[np.float32]:
    """The frames in single precision, whatever their unit; a joint with NaN is absent: zeros.

    Raises:
        DataError: a coordinate is infinite; the error says whose.
    """
    absent = np.isnan(frames).any(axis=-1, keepdims=True)
    if np.isinf(frames).any():
        raise DataError(f"{name}: expected finite coordinates, got infinity")
    return np.where(absent, 0, frames).astype(np.float32)


def body_size(frames: Frames) -> float:
    """The longest side of the box around a body (T, M, V, C), the median over frames and bodies; NaN without any.

    Absent joints are NaN.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of frames in which a body is not
        extents = np.nanmax(frames, axis=2) - np.nanmin(frames, axis=2) if frames.shape[2] else np.full(1, np.nan)
        longest = extents.max(axis=-1)
        return float(np.nanmedian(longest)) if np.isfinite(longest).any() else float("nan")


def scaled(frames: Frames, present: Booleans) -> Frames:
    """The frames (T, M, V, 3) with the main body as tall as a person, one factor for all; absent joints are zeros."""
    there = np.asarray(present.any(axis=2))
    if not there.any():
        return np.zeros_like(frames)
    main = main_body(there)
    size = body_size(np.where(present[:, [main], :, None], frames[:, [main]], np.nan))
    return np.where(present[..., None], frames * frames.dtype.type(TALL / size if size > 0 else 1), 0)


def normalise_in_plane(
    frames: Frames, present: Booleans, layout: Layout, up: Sequence[float] | None, *, untrimmed: bool = False
) -> Frames:
    """One clip, centred on its main body in each frame, upright along z: x stays x, and y, where 3-D clips face, is 0.

    Args:
        frames: (T, M, V, 3), the third coordinate 0.
        present: (T, M, V) True where a joint is there; absent joints come back as zeros.
        layout: says which joint is the centre.
        up: (3,) what is up in the picture: y of most files that are plotted, −y of pixels; None: y.
        untrimmed: centre on the first body that is there in each frame, not on the main one.
    """
    there = np.asarray(present.any(axis=2))
    if not there.any():
        return np.zeros_like(frames)
    main = main_body(there)
    centre = (
        path_of_first(frames, present, there, layout)
        if untrimmed
        else reference_path(frames[:, main], present[:, main], layout)
    )
    moved = np.zeros_like(frames)
    beside = frames - centre[:, None, None]
    moved[..., 0] = beside[..., 0]
    moved[..., 2] = beside[..., 1] if up is None or up[1] >= 0 else -beside[..., 1]
    return np.where(present[..., None], moved, 0)
