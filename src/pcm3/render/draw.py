"""Skeletons as pixels: one box of a picture shows one clip, its floor, its axes and, if wanted, its joints' names.

Everything is drawn at twice the size and then halved, which makes smooth edges. What does not move is drawn once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

from pcm3.data.names import printable
from pcm3.render.scene import AXIS, HEAD, Bounds, Floats, Scene, View

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""

PAPER: Colour = (255, 255, 255)
GRID: Colour = (218, 222, 227)
SHADOW: Colour = (208, 212, 217)
LEADER: Colour = (186, 190, 196)
INK: Colour = (34, 34, 34)
QUIET: Colour = (110, 114, 120)
PARTS: tuple[Colour, ...] = ((64, 68, 74), (0, 114, 178), (213, 94, 0), (64, 160, 220), (236, 152, 20))
"""Trunk, left arm, right arm, left leg, right leg: left is blue, right is orange, which all eyes tell apart."""
PARTS_OTHER: tuple[Colour, ...] = ((150, 154, 160), (118, 176, 214), (236, 164, 118), (150, 204, 236), (246, 206, 134))
"""The same of all bodies but the first."""
AXES: tuple[Colour, ...] = ((178, 34, 84), (30, 132, 73), (98, 70, 168))
"""Of x, y and z."""
COLOURS: tuple[Colour, ...] = (PAPER, GRID, SHADOW, LEADER, INK, QUIET, *PARTS, *PARTS_OTHER, *AXES)
"""All that drawings are made of."""

FINE = 2
"""Pixels that are drawn for each pixel along a side."""
LIMB = 0.034
"""Width of a limb, metres."""
NAME_SIZE = 11
"""Height of the letters of joint names, pixels."""
LONGEST = 200
"""Letters of a text of which is looked how many have room."""
GAP = 8
"""Pixels between a box and the names beside it."""


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The letters for drawings, so many pixels high once the picture is halved."""
    return ImageFont.load_default(size * FINE)


def text_width(text: str, size: int) -> int:
    """Pixels that the text takes up, in the final picture."""
    return int(np.ceil(font(size).getlength(text) / FINE))


def shortened(text: str, size: int, width: int) -> str:
    """The text in one line, or as much of its beginning as fits the width."""
    text = printable(" ".join(text.split()), LONGEST)
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}...", size) > width:
        text = text[:-1].rstrip()
    return f"{text}..."


@dataclass(frozen=True)
class Camera:
    """How metres of the picture's plane become pixels."""

    view: View
    scale: float
    """Pixels a metre."""
    centre: tuple[float, float]
    """What is in the middle of the box, metres to the right and up."""


def fit(view: View, bounds: Bounds, box: Box) -> Camera:
    """The camera whose box just shows the bounds."""
    x0, x1, y0, y1 = bounds
    left, top, right, bottom = box
    free = 0.96  # of each side; a line at the edge is whole
    scale = min(free * (right - left) / max(x1 - x0, 0.1), free * (bottom - top) / max(y1 - y0, 0.1))
    return Camera(view, scale, ((x0 + x1) / 2, (y0 + y1) / 2))


class Panel:
    """A scene in a box of the picture, ready to be drawn frame by frame."""

    def __init__(self, scene: Scene, camera: Camera, box: Box, *, names: bool = False, axes: bool = True) -> None:
        """Projects the whole clip.

        `names`: write the joints' names left and right of the box, where `names_width` is left free for them.
        """
        self.scene, self.camera, self.box, self.axes = scene, camera, box, axes
        projected = scene.project(camera.view)
        self.pixels: Floats = self._pixels(projected)
        self.depth: Floats = projected[..., 2]
        self.shadows: Floats = self._pixels((scene.points * (1.0, 1.0, 0.0)) @ camera.view.axes.T)
        self.part_of = _part_of(scene)
        self.head = _head(scene.layout.joints)
        self.width = max(round(LIMB * camera.scale * FINE), 3)
        self.labels = _place_names(self) if names else []

    def _pixels(self, projected: Floats) -> Floats:
        """Metres in the picture's plane (..., 2 or more) as pixels of the fine picture (..., 2)."""
        left, top, right, bottom = self.box
        x = (left + right) / 2 + (projected[..., 0] - self.camera.centre[0]) * self.camera.scale
        y = (top + bottom) / 2 - (projected[..., 1] - self.camera.centre[1]) * self.camera.scale
        return np.stack([x, y], axis=-1) * FINE

    def _floor_point(self, x: float, y: float, z: float = 0.0) -> tuple[float, float]:
        across, down = self._pixels(np.array([x, y, z]) @ self.camera.view.axes.T)
        return float(across), float(down)

    def draw_still(self, draw: ImageDraw.ImageDraw) -> None:
        """Draws what does not move: the floor's grid, the axes, the names."""
        for line in self._grid().tolist():
            draw.line(line, GRID, FINE)
        if self.axes:
            self._draw_axes(draw)
        for label in self.labels:
            draw.text(label.at, label.text, label.colour, font(NAME_SIZE), anchor=label.anchor)

    def _grid(self) -> Floats:
        """The lines of the floor's grid (N, 4): from where to where in the fine picture, all at once, as the floor of
        people who are far apart has thousands.
        """
        x0, x1, y0, y1 = self.scene.floor
        x, y = (np.arange(first, last + AXIS / 2, AXIS) for first, last in ((x0, x1), (y0, y1)))
        starts = [*np.stack([x, np.full_like(x, y0)], 1), *np.stack([np.full_like(y, x0), y], 1)]
        ends = [*np.stack([x, np.full_like(x, y1)], 1), *np.stack([np.full_like(y, x1), y], 1)]
        on_floor = self.camera.view.axes[:, :2].T
        return np.concatenate([self._pixels(np.array(points) @ on_floor) for points in (starts, ends)], axis=1)

    def _draw_axes(self, draw: ImageDraw.ImageDraw) -> None:
        """The data's own axes, in the corner of the floor from which they run along its edges."""
        x0, x1, y0, y1 = self.scene.floor
        along = self.scene.axes.sum(axis=0)
        corner = (x0 if along[0] > 0 else x1, y0 if along[1] > 0 else y1)
        start = self._floor_point(*corner)
        for name, direction, colour in zip("xyz", self.scene.axes, AXES, strict=True):
            end = self._floor_point(*(np.array([*corner, 0.0]) + AXIS * direction))
            draw.line([start, end], colour, 2 * FINE)
            length = np.hypot(end[0] - start[0], end[1] - start[1])
            beyond = 1 + 8 * FINE / max(length, 1.0)
            at = tuple(a + (b - a) * beyond for a, b in zip(start, end, strict=True))
            draw.text(at, name, colour, font(NAME_SIZE), anchor="mm")

    def draw_frame(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        """Draws the bodies of one frame, from the back to the front, with their shadows below them."""
        bones = self._bones(frame)
        shadows = self.shadows[frame]
        for body, joint, parent in bones:
            draw.line([*shadows[body, joint], *shadows[body, parent]], SHADOW, self.width)
        self._draw_leaders(draw, frame)
        depth = self.depth[frame]
        shapes = [(depth[body, joint] + depth[body, parent], body, joint, parent) for body, joint, parent in bones]
        if self.head is not None:
            # A head is in front of its own neck.
            shapes += [
                (2 * depth[body, self.head] + HEAD, body, self.head, -1)
                for body in np.flatnonzero(self.scene.present[frame, :, self.head]).tolist()
            ]
        for _, body, joint, parent in sorted(shapes):
            if parent < 0:
                self._draw_head(draw, frame, body)
            else:
                self._draw_bone(draw, frame, body, joint, parent)

    def _bones(self, frame: int) -> list[tuple[int, int, int]]:
        """(body, joint, parent) of each bone whose ends are there; a joint without such a bone is one to itself."""
        present, parents = self.scene.present[frame], np.array(self.scene.layout.parents)
        body, joint = np.nonzero(present)
        parent = np.where(present[body, parents[joint]], parents[joint], joint)
        return list(zip(body.tolist(), joint.tolist(), parent.tolist(), strict=True))

    def _draw_bone(self, draw: ImageDraw.ImageDraw, frame: int, body: int, joint: int, parent: int) -> None:
        colour = (PARTS if body == 0 else PARTS_OTHER)[self.part_of[joint]]
        end, start = self.pixels[frame, body, joint], self.pixels[frame, body, parent]
        half = self.width / 2
        if joint != parent:
            # Paper along its middle keeps it apart from what it crosses, not from its own neighbours.
            rim = [*(start + 0.25 * (end - start)), *(start + 0.75 * (end - start))]
            draw.line(rim, PAPER, self.width + 2 * FINE)
            draw.line([*start, *end], colour, self.width)
            draw.ellipse([*(start - half), *(start + half)], colour)
        dot = 1.35 * half
        draw.ellipse([*(end - dot), *(end + dot)], colour)

    def _draw_head(self, draw: ImageDraw.ImageDraw, frame: int, body: int) -> None:
        ink, fill = (PARTS[0], SHADOW) if body == 0 else (PARTS_OTHER[0], PAPER)
        at, radius = self.pixels[frame, body, self.head], HEAD * self.camera.scale * FINE
        draw.ellipse([*(at - radius), *(at + radius)], fill, ink, max(self.width // 2, FINE))

    def _draw_leaders(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        for label in self.labels:
            if self.scene.present[frame, label.body, label.joint]:
                draw.line([*label.tip, *self.pixels[frame, label.body, label.joint]], LEADER, FINE)


def _part_of(scene: Scene) -> list[int]:
    """The body part of each joint, as its place in the layout's parts."""
    part_of = [0] * len(scene.layout.joints)
    for number, part in enumerate(scene.layout.parts):
        for joint in part:
            part_of[joint] = number
    return part_of


def _head(joints: Sequence[str]) -> int | None:
    """The joint that is drawn as a head."""
    return next((joint for joint, name in enumerate(joints) if name.lower() == "head"), None)


@dataclass(frozen=True)
class Label:
    """The name of a joint, beside the box."""

    text: str
    body: int
    joint: int
    at: tuple[float, float]
    """Where the text stands, in fine pixels."""
    anchor: str
    """Which end of the text is there, as Pillow says it."""
    tip: tuple[float, float]
    """Where the line to the joint begins."""
    colour: Colour


def names_width(scene: Scene) -> int:
    """Pixels of a margin in which the longest joint name has room."""
    return max(text_width(_spoken(name), NAME_SIZE) for name in scene.layout.joints) + GAP + 4


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _place_names(panel: Panel) -> list[Label]:
    """The names of the first body's joints: the left ones at one side, the right ones at the other, by their height.

    They stay where they are throughout the clip; only the lines to the joints move.
    """
    scene, pixels = panel.scene, panel.pixels
    bodies = scene.present.any(axis=(0, 2))
    if not bodies.any():
        return []
    body = int(bodies.argmax())
    there = scene.present[:, body]
    named = [joint for joint in range(there.shape[1]) if there[:, joint].any()]
    middle = {joint: np.median(pixels[there[:, joint], body, joint], axis=0) for joint in named}
    columns = _columns(scene, middle)
    labels = []
    left, top, right, bottom = panel.box
    for joints, anchor, x, towards in ((columns[0], "rm", left - GAP, 1), (columns[1], "lm", right + GAP, -1)):
        joints.sort(key=lambda joint: float(middle[joint][1]))
        wanted = [float(middle[joint][1]) / FINE for joint in joints]
        for joint, y in zip(joints, _spread(wanted, NAME_SIZE + 4.0, float(top), float(bottom)), strict=True):
            at, tip = (float(x * FINE), y * FINE), (float((x + 3 * towards) * FINE), y * FINE)
            text, colour = _spoken(scene.layout.joints[joint]), PARTS[panel.part_of[joint]]
            labels.append(Label(text, body, joint, at, anchor, tip, colour))
    return labels


def _columns(scene: Scene, middle: dict[int, NDArray[np.float64]]) -> tuple[list[int], list[int]]:
    """The joints whose names stand left of the picture, and right of it."""
    pairs = [(left, right) for left, right in scene.layout.mirror if left in middle and right in middle]
    behind = sum(float(middle[right][0] - middle[left][0]) for left, right in pairs) > 0
    sides = ([right for _, right in scene.layout.mirror], [left for left, _ in scene.layout.mirror])
    first, second = (sides[1], sides[0]) if behind else sides
    columns = ([joint for joint in first if joint in middle], [joint for joint in second if joint in middle])
    for joint in middle:
        if joint not in first and joint not in second:
            min(columns, key=len).append(joint)
    return columns


def _spread(wanted: Sequence[float], apart: float, top: float, bottom: float) -> list[float]:
    """Places as near to those wanted (ascending) as they can be so far apart, between top and bottom."""
    apart = min(apart, (bottom - top) / max(len(wanted), 1))
    places: list[float] = []
    for number, place in enumerate(wanted):
        lowest = bottom - apart * (len(wanted) - number - 0.5)
        highest = places[-1] + apart if places else top + apart / 2
        places.append(max(highest, min(place, lowest)))
    return places
