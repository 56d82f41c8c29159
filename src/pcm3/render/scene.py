"""Clips as they are drawn: z up, the floor at height 0, and seen by a camera far away (no perspective).

Every picture goes through one frame, the drawing frame: right-handed, metres, z up, seen from the front along −y. It is
reached by rotations only, so that left and right stay what they are: who faces the camera has the right hand on the
left of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.normalisation import rotation_upright
from pcm3.render.excerpt import Excerpt
from pcm3.skeleton import Layout

Floats = NDArray[np.float64]

FROM_KINECT: Floats = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Rotates the Kinect's frame (x to the sensor's left, y up, z away from it) into the drawing frame."""

Bounds = tuple[float, float, float, float]
"""Metres in a plane: from and to in its first direction, from and to in its second."""

AXIS = 0.5
"""Length of the axes and distance of the floor's lines, metres."""
HEAD = 0.11
"""Radius of a head, metres."""


@dataclass(frozen=True)
class View:
    """Where the camera stands, in degrees."""

    azimuth: float
    """Around the subject: 0 in front (of a recording as it is: where the sensor was), 90 at the subject's left."""
    elevation: float
    """Above the horizon."""

    @cached_property
    def axes(self) -> Floats:
        """(3, 3): rows are the directions of the picture's right, its up, and towards the camera."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        right = np.array([-np.cos(azimuth), -np.sin(azimuth), 0.0])
        towards = np.array(
            [-np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        return np.stack([right, np.cross(towards, right), towards])


FRONT = View(25.0, 12.0)
"""For clips that are normalised: a little from the side, so that depth is seen."""
ASIDE = (FRONT, View(65.0, 12.0), View(-25.0, 12.0), View(-65.0, 12.0))
"""For two in a normalised clip: the one from which they stand beside each other."""
SENSOR = View(0.0, 12.0)
"""For recordings as they are: about what the sensor saw."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip of T frames in the drawing frame."""

    points: Floats
    """(T, M, V, 3) metres."""
    present: NDArray[np.bool_]
    """(T, M, V) True where there is a joint to draw."""
    layout: Layout
    fps: float
    """Frames a second of the recording."""
    floor: Bounds
    """The part of the floor that is drawn, at height 0: x from, x to, y from, y to."""
    axes: Floats
    """(3, 3): rows are the directions of the data's own x, y and z."""
    ground: Floats
    """(3,) the point of the turned recording that is the origin here."""
    view: View
    """From where it looks natural."""
    title: str
    labels: tuple[str, ...]
    """(T,) what happens in each frame."""
    numbers: NDArray[np.int64]
    """(T,) the number of each frame in its clip."""
    excerpt: Excerpt
    """Which frames of the clip these are."""

    def __len__(self) -> int:
        return len(self.points)

    @property
    def name(self) -> str:
        """What it is called where there is one short line: what happens in it, if that is one thing; or the title."""
        return self.labels[0] if self.labels[0] and len(set(self.labels)) == 1 else self.title

    def cut(self, frames: slice) -> Scene:
        """Some of the frames, at least one; floor and axes stay those of the whole clip."""
        taken = {name: getattr(self, name)[frames] for name in ("points", "present", "labels", "numbers")}
        return replace(self, **taken)

    def project(self, view: View) -> Floats:
        """The joints as the view sees them (T, M, V, 3): metres to the right, up, and towards the camera."""
        projected: Floats = self.points @ view.axes.T
        return projected


def make_scene(
    frames: NDArray[np.floating[Any]],
    layout: Layout,
    *,
    fps: float,
    normalised: bool,
    up: Sequence[float] | None = None,
    title: str = "",
    label: str | Sequence[str] = "",
    excerpt: Excerpt | None = None,
) -> Scene:
    """The clip in the drawing frame, with the floor where its lowest foot stands.

    Args:
        frames: (T, M, V, 3) metres; absent bodies and joints are zeros.
        layout: its skeleton.
        fps: frames a second.
        normalised: the clip stands along z with its centre joint at the origin (`normalisation`); otherwise it is
            in the frame of a Kinect, or in one of which `up` is told.
        up: (3,) against gravity, where the clip is as recorded, and not by a Kinect.
        title: what it is called, in the picture.
        label: what happens in it, or in each of its frames (T,).
        excerpt: which frames of the clip these are; None: all.

    Raises:
        DataError: no frames of that skeleton in three dimensions.
    """
    if frames.ndim != 4 or frames.shape[2:] != (len(layout.joints), 3) or len(frames) == 0:
        raise DataError(f"{title}: expected frames (T, M, {len(layout.joints)}, 3) to draw, got {frames.shape}")
    excerpt = excerpt or Excerpt(range(len(frames)), range(len(frames)), len(frames))
    present = visible_joints(frames, layout, normalised)
    rotation = np.eye(3) if normalised else FROM_KINECT if up is None else rotation_upright(frames, present, layout, up)
    points = frames.astype(np.float64) @ rotation.T
    ground = _ground(points, present, layout, normalised)
    points -= ground
    return Scene(
        points=points,
        present=present,
        layout=layout,
        fps=fps,
        floor=_floor(points[present]),
        axes=rotation.T,
        ground=ground,
        view=_natural_view(points, present) if normalised or up is not None else SENSOR,
        title=title,
        labels=(label,) * len(frames) if isinstance(label, str) else tuple(label),
        numbers=np.array(excerpt.frames, np.int64),
        excerpt=excerpt,
    )


def visible_joints(frames: NDArray[np.floating[Any]], layout: Layout, normalised: bool) -> NDArray[np.bool_]:
    """Which joints of a clip (T, M, V, 3) are drawn (T, M, V)."""
    present = present_joints(frames)
    if normalised:
        # The centre of body 0 is at the origin, which elsewhere means absent. Where body 0 is absent, the others may be
        # still in the camera's frame (`normalisation.normalise`), which is nowhere in this picture.
        for joint in layout.at_origin:
            present[:, 0, joint] |= present[:, 0].any(axis=-1)
        present &= present[:, :1].any(axis=-1, keepdims=True)
    return present


def _ground(points: Floats, present: NDArray[np.bool_], layout: Layout, normalised: bool) -> Floats:
    """The point of the floor (3,) below the middle of the clip; of a normalised clip, below the origin."""
    body = int(present.any(axis=2).sum(axis=0).argmax())  # the one that is there longest
    height = np.where(present[:, body], points[:, body, :, 2], np.inf)
    legs = [joint for part in layout.parts[3:] for joint in part]
    lowest = height[:, legs].min(axis=1, initial=np.inf)
    lowest = np.where(np.isfinite(lowest), lowest, height.min(axis=1))
    lowest = lowest[np.isfinite(lowest)]
    if not lowest.size:
        return np.zeros(3)
    floor = np.percentile(lowest, 5)  # one wrong foot does not lower the floor
    there = points[:, body][present[:, body]]
    middle = np.zeros(2) if normalised else np.median(there[:, :2], axis=0)
    return np.array([*middle, floor])


def _natural_view(points: Floats, present: NDArray[np.bool_]) -> View:
    """From the front; where there is a second body, from where the two do not hide each other."""
    if points.shape[1] < 2 or not present[:, 0].any() or not present[:, 1].any():
        return FRONT
    first, second = (np.median(points[:, body][present[:, body]], axis=0) for body in (0, 1))
    return max(ASIDE, key=lambda view: abs(float(view.axes[0] @ (second - first))))


def _floor(points: Floats) -> Bounds:
    """The part of the floor under the joints (N, 3), to the nearest lines of the grid."""
    if not len(points):
        return (-AXIS, AXIS, -AXIS, AXIS)
    # A joint that jumps away for a moment does not make the floor large.
    low, high = np.round(np.percentile(points[:, :2], [1, 99], axis=0) / AXIS) * AXIS
    x0, y0 = np.minimum(low, -AXIS)
    x1, y1 = np.maximum(high, AXIS)
    return float(x0), float(x1), float(y0), float(y1)


def bounds(scene: Scene, view: View) -> Bounds:
    """What the bodies and the floor under them take up of the picture's plane, to the right and up; strays excepted."""
    projected = scene.project(view)[scene.present][:, :2]
    x0, x1, y0, y1 = scene.floor
    floor = np.array([[x, y, 0.0] for x in (x0, x1) for y in (y0, y1)]) @ view.axes.T
    low, high = floor[:, :2].min(axis=0), floor[:, :2].max(axis=0)
    if len(projected):
        # Half a metre beyond nearly all joints there may be a hand; farther off is a joint that jumped away.
        usual = np.percentile(projected, [1, 99], axis=0) + np.array([[-0.5], [0.5]])
        low = np.minimum(low, np.maximum(projected.min(axis=0), usual[0]) - HEAD)
        high = np.maximum(high, np.minimum(projected.max(axis=0), usual[1]) + HEAD)
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])
