"""Whole pictures: clips side by side with their captions, and contact sheets, moving or still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt

from PIL import Image, ImageDraw

from pcm3.render.draw import (
    FINE,
    INK,
    PAPER,
    PARTS,
    PARTS_OTHER,
    QUIET,
    Colour,
    Panel,
    fit,
    font,
    names_width,
    shortened,
    text_width,
)
from pcm3.render.scene import AXIS, Scene, View, bounds

TEXT, SMALL = 13, 11
"""Heights of captions, and of the legend and what stands beside small bodies; pixels."""
LINE = 20
"""Height of a line of captions, pixels."""
PAD = 10
"""Pixels around things."""
CELL = 0.85
"""Width of a moment in a still contact sheet, as a part of its height: bodies are higher than wide."""
ASIDE = 220
"""The most pixels that names take up at the left of a still contact sheet."""


@dataclass(frozen=True)
class Cell:
    """A panel and the words above it, which begin at a point (x, y) and have so much width."""

    panel: Panel
    at: tuple[int, int]
    width: int


@dataclass(frozen=True)
class Picture:
    """Moving panels on one piece of paper."""

    size: tuple[int, int]
    cells: list[Cell]
    large: bool
    """Captions run along with the frames, and shorter clips stay at their end. Otherwise each cell has its name, and
    shorter clips begin again while the longest goes on."""

    def __len__(self) -> int:
        return max(len(cell.panel.scene) for cell in self.cells)

    def frames(self) -> Iterator[Image.Image]:
        """The picture at each moment (RGB)."""
        paper = self._paper()
        for moment in range(len(self)):
            image = paper.copy()
            draw = ImageDraw.Draw(image)
            for cell in self.cells:
                length = len(cell.panel.scene)
                frame = min(moment, length - 1) if self.large else moment % length
                cell.panel.draw_frame(draw, frame)
                if self.large:
                    _write_caption(draw, cell, frame)
            yield image.reduce(FINE)

    def _paper(self) -> Image.Image:
        """What does not move, in fine pixels."""
        image, draw = _blank(*self.size)
        for cell in self.cells:
            cell.panel.draw_still(draw)
            if not self.large:
                _write(draw, cell.at, shortened(cell.panel.scene.name, SMALL, cell.width), INK, SMALL)
        scenes = [cell.panel.scene for cell in self.cells]
        _draw_legend(draw, scenes, (PAD, self.size[1] - LINE), self.size[0] - PAD, axes=self.large)
        return image


def side_by_side(scenes: Sequence[Scene], *, size: int = 420, names: bool = False, view: View | None = None) -> Picture:
    """Clips beside each other on one scale and one clock, each with its caption, in squares of `size` pixels."""
    views = [view or scene.view for scene in scenes]
    extents = [bounds(scene, scene_view) for scene, scene_view in zip(scenes, views, strict=True)]
    bottom, top = min(extent[2] for extent in extents), max(extent[3] for extent in extents)
    extents = [(*extent[:2], bottom, top) for extent in extents]  # the floors are level
    scale = min(
        fit(scene_view, extent, (0, 0, size, size)).scale for scene_view, extent in zip(views, extents, strict=True)
    )
    cells = []
    x, y = PAD, PAD + 2 * LINE + 4
    for scene, scene_view, extent in zip(scenes, views, extents, strict=True):
        margin = names_width(scene) if names else 0
        box = (x + margin, y, x + margin + size, y + size)
        camera = replace(fit(scene_view, extent, box), scale=scale)
        cells.append(Cell(Panel(scene, camera, box, names=names), (x, PAD), 2 * margin + size))
        x += 2 * margin + size + 3 * PAD
    return Picture((x - 2 * PAD, y + size + LINE + PAD), cells, large=True)


def grid(scenes: Sequence[Scene], *, size: int = 130, view: View | None = None) -> Picture:
    """Small squares in rows, each with its name above it: a contact sheet that moves."""
    columns = max(1, min(len(scenes), round(sqrt(1.5 * len(scenes)))))
    line = SMALL + 6
    cells = []
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        x, y = PAD + column * (size + PAD), PAD + row * (size + line + PAD)
        scene_view, box = view or scene.view, (x, y + line, x + size, y + line + size)
        cells.append(Cell(Panel(scene, fit(scene_view, bounds(scene, scene_view), box), box, axes=False), (x, y), size))
    rows = ceil(len(scenes) / columns)
    return Picture((PAD + columns * (size + PAD), PAD + rows * (size + line + PAD) + LINE), cells, large=False)


def strips(scenes: Sequence[Scene], *, moments: int = 6, size: int = 110, view: View | None = None) -> Image.Image:
    """A still contact sheet (RGB): some moments of each clip in a row, `size` pixels high, with its name."""
    aside = min(max(max(text_width(scene.name, TEXT), text_width(scene.title, SMALL)) for scene in scenes), ASIDE)
    wide = round(CELL * size)
    block = aside + PAD + moments * wide + 2 * PAD
    columns = max(round(sqrt(0.9 * len(scenes) * size / block)), 1)  # about as wide as it is high
    rows = ceil(len(scenes) / columns)
    height = rows * size + 2 * PAD + LINE
    image, draw = _blank(columns * block, height)
    for number, scene in enumerate(scenes):
        column, row = divmod(number, rows)
        x, y = column * block + PAD, PAD + row * size
        _write(draw, (x, y + size // 2), shortened(scene.name, TEXT, aside), INK, TEXT, "lb")
        if scene.title != scene.name:
            _write(draw, (x, y + size // 2 + 4), shortened(scene.title, SMALL, aside), QUIET, SMALL, "lt")
        _draw_strip(draw, scene, view or scene.view, (x + aside + PAD, y), (moments, wide, size))
    _draw_legend(draw, scenes, (PAD, height - LINE), columns * block - PAD, axes=False)
    return image.reduce(FINE)


def _draw_strip(
    draw: ImageDraw.ImageDraw, scene: Scene, view: View, at: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    """Moments of one clip beside each other: how many, how wide, how high."""
    x, y = at
    moments, wide, high = shape
    extent = bounds(scene, view)
    for moment in range(moments):
        frame = round(moment * (len(scene) - 1) / max(moments - 1, 1))
        box = (x + moment * wide, y, x + (moment + 1) * wide, y + high)
        # The floor is that of the whole clip, as are its bounds.
        panel = Panel(scene.cut(slice(frame, frame + 1)), fit(view, extent, box), box, axes=False)
        panel.draw_still(draw)
        panel.draw_frame(draw, 0)


def _blank(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width * FINE, height * FINE), PAPER)
    return image, ImageDraw.Draw(image)


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, colour: Colour, size: int, anchor: str = "la"
) -> None:
    draw.text((at[0] * FINE, at[1] * FINE), text, colour, font(size), anchor=anchor)


def _write_caption(draw: ImageDraw.ImageDraw, cell: Cell, frame: int) -> None:
    """What is shown, what happens, the number of the frame and its time."""
    scene, (x, y) = cell.panel.scene, cell.at
    number = int(scene.numbers[frame])
    time = f"frame {number}   {number / scene.fps:.2f} s"
    last = int(scene.numbers[-1])
    room = cell.width - text_width(f"frame {last}   {last / scene.fps:.2f} s", TEXT) - PAD
    _write(draw, (x, y), shortened(scene.title, TEXT, room), INK, TEXT)
    _write(draw, (x + cell.width, y), time, QUIET, TEXT, "ra")
    _write(draw, (x, y + LINE), shortened(scene.labels[frame], TEXT, cell.width), INK, TEXT)


def _draw_legend(
    draw: ImageDraw.ImageDraw, scenes: Sequence[Scene], at: tuple[int, int], until: int, *, axes: bool
) -> None:
    """One line: which colours are left and right, and how far apart the floor's lines are; as much as has room."""
    x, y = at
    entries: list[tuple[str, tuple[Colour, ...]]] = [("left", PARTS[1::2]), ("right", PARTS[2::2])]
    if any(scene.present[:, 1:].any() for scene in scenes):
        entries.append(("other body", PARTS_OTHER[1::2] + PARTS_OTHER[2::2]))
    entries.append((f"{'axes, ' if axes else ''}floor lines {AXIS:g} m", ()))
    for text, colours in entries:
        if x + 10 * len(colours) + 4 + text_width(text, SMALL) > until:
            return
        for colour in colours:
            draw.rectangle([x * FINE, (y + 3) * FINE, (x + 9) * FINE, (y + 9) * FINE], colour)
            x += 10
        _write(draw, (x + 4, y), text, QUIET, SMALL)
        x += text_width(text, SMALL) + 18
