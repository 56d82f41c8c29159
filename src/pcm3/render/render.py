"""From scenes to a file: what a movie or a still picture of one, two or many clips looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from pcm3.errors import DataError
from pcm3.render.excerpt import GRID_SECONDS, SIDE_BY_SIDE, movie_step
from pcm3.render.movie import check_form, in_palette, save_movie, save_png
from pcm3.render.scene import Scene, View
from pcm3.render.sheet import grid, side_by_side, strips

MOST = 200
"""Clips that one picture can hold."""


def render(
    scenes: Sequence[Scene],
    path: Path,
    *,
    names: bool | None = None,
    view: View | None = None,
    size: int | None = None,
    fps: float | None = None,
    every: int | None = None,
) -> tuple[int, float]:
    """Writes the clips as the picture that the file's name asks for; returns its frames and its seconds.

    A .gif or .mp4 shows one or two clips large, with captions, more of them as a moving contact sheet. A .png shows
    a row of moments of each; one clip of one frame it shows large. A file that is there is replaced.

    Args:
        scenes: at least one, at most `MOST`.
        path: ends in .gif, .mp4 or .png.
        names: name the joints, where a clip is shown large; None: where there is one clip.
        view: from where; None: from where it looks natural.
        size: pixels of the square in which a body moves.
        fps: frames of the recording played in a second; None: as many as were recorded.
        every: only every so many-th frame, at the same speed; None: all, but no more a second than the form takes.

    Raises:
        DataError: see `movie.check_form`, `movie.save_movie`; no scene, or too many.
    """
    form = check_form(path)
    if not 0 < len(scenes) <= MOST:
        raise DataError(f"{path}: expected 1 to {MOST} clips in a picture, got {len(scenes):,}: name those to be shown")
    large = len(scenes) <= SIDE_BY_SIDE
    rate = fps or scenes[0].fps
    names = len(scenes) == 1 if names is None else names
    if form == ".png":
        return _render_still(scenes, path, names, view, size, every), 0.0
    step = movie_step(form, rate, len(scenes), every)
    drawn = [scene.cut(slice(None, None, step)) for scene in scenes]
    picture = (
        side_by_side(drawn, size=size or 420, names=names, view=view)
        if large
        else grid(drawn, size=size or 130, view=view)
    )
    frames = len(picture) if large else min(len(picture), math.ceil(GRID_SECONDS * rate / step))
    save_movie(islice(picture.frames(), frames), path, rate / step)
    return frames, frames * step / rate


def _render_still(
    scenes: Sequence[Scene], path: Path, names: bool, view: View | None, size: int | None, every: int | None
) -> int:
    """Writes a .png; returns how many frames of each clip are in it."""
    drawn = [scene.cut(slice(None, None, every)) for scene in scenes]
    longest = max(map(len, drawn))
    image: Image.Image
    if longest == 1 and len(drawn) <= SIDE_BY_SIDE:
        image = next(side_by_side(drawn, size=size or 420, names=names, view=view).frames())
        moments = 1
    else:
        moments = min(longest, 8 if len(drawn) <= SIDE_BY_SIDE else 6)
        image = strips(drawn, moments=moments, size=size or (150 if len(drawn) <= SIDE_BY_SIDE else 110), view=view)
    save_png(in_palette(image), path)
    return moments
