"""Which frames of a clip are drawn, so that a picture of any clip is bounded in time and memory, and says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pcm3.data.names import printable
from pcm3.errors import DataError

SIDE_BY_SIDE = 2
"""Clips up to which each gets a large panel."""
GIF_FPS = 50.0
"""The most frames a second of a GIF that browsers play at its speed."""
GRID_FPS, GRID_SECONDS = 15.0, 5.0
"""A contact sheet that moves: frames a second at most, and how long the longest clip is shown."""

DRAWN = 900
"""Frames of a movie of one or two clips, at the usual size and with two bodies: drawn in some seconds."""
ASKED = 4
"""Times as many where the user says which frames."""
FEWEST = 10
"""Frames of a movie, however large and full of bodies."""
SAMPLED = 300
"""Frames of a clip, evenly spread, that a still picture looks at."""
USUAL_SIZE, USUAL_BODIES = 420, 2


@dataclass(frozen=True)
class Excerpt:
    """The frames of one clip that are drawn."""

    frames: range
    """Their numbers."""
    of: range
    """The frames that could have been: all, or those that the user names."""
    length: int
    """Frames of the clip."""

    def message(self, name: str) -> str | None:
        """What of the clip is drawn; None where all is."""
        if len(self.frames) == len(self.of):
            return None
        if self.frames.step > self.of.step:
            return f"{printable(name)}: {len(self.frames):,} evenly spread frames of {self.of[0]:,} to {self.of[-1]:,}"
        part = f"frames {self.frames[0]:,} to {self.frames[-1]:,} of {self.length:,}"
        return f"{printable(name)}: {part}; --frames A-B draws others, --every N only every Nth"


@dataclass(frozen=True)
class Drawing:
    """What is to be drawn, as far as it tells for how many frames there is time."""

    form: str = ".gif"
    """The ending of the picture's name."""
    asked: slice | None = None
    """The frames that the user names; None: all."""
    every: int | None = None
    """Only every so many-th of them."""
    fps: float | None = None
    """Frames played in a second; None: as many as were recorded."""
    size: int | None = None
    """Pixels of the square in which a body moves."""

    def excerpt(self, name: str, length: int, bodies: int, fps: float, clips: int) -> Excerpt:
        """The frames to draw of a clip of so many frames with room for so many bodies, one of so many clips.

        Of a movie's they are the first ones, of a still picture's they are evenly spread.

        Raises:
            DataError: the clip has none of the frames that are asked for.
        """
        there = range(length)[self.asked or slice(None)]
        if len(there) == 0:
            stop = self.asked.stop if self.asked else None
            asked = f"{self.asked.start if self.asked else 0} to {'the end' if stop is None else stop - 1}"
            raise DataError(f"{printable(name)}: expected some of the frames 0 to {length - 1}, got {asked}")
        if self.form == ".png":
            there = there[:: self.every or 1]
            return Excerpt(there[:: math.ceil(len(there) / SAMPLED)], there, length)
        rate = self.fps or fps
        step = movie_step(self.form, rate, clips, self.every)
        most = self._most(bodies) * step if clips <= SIDE_BY_SIDE else math.ceil(GRID_SECONDS * rate) + step
        return Excerpt(there[:most], there, length)

    def _most(self, bodies: int) -> int:
        """Frames that are drawn in about the same time, whatever their size and however many bodies they have."""
        size = max((self.size or USUAL_SIZE) / USUAL_SIZE, 1.0)
        usual = DRAWN if self.asked is None else ASKED * DRAWN
        return max(int(usual / size**2 / max(bodies / USUAL_BODIES, 1.0)), FEWEST)


def movie_step(form: str, rate: float, clips: int, every: int | None) -> int:
    """Frames of the recording from one picture of a movie to the next: what the user says, or what the form takes."""
    most = GRID_FPS if clips > SIDE_BY_SIDE else GIF_FPS if form == ".gif" else rate
    return every or max(math.ceil(rate / most - 1e-9), 1)


def excerpt_lines(excerpts: Sequence[tuple[str, Excerpt]], form: str) -> list[str]:
    """What there is to say of the clips, by name, that are not drawn whole."""
    lines = [line for name, excerpt in excerpts if (line := excerpt.message(name)) is not None]
    if len(excerpts) <= SIDE_BY_SIDE or not lines:
        return lines
    what = "looked at in evenly spread frames" if form == ".png" else f"drawn for their first {GRID_SECONDS:g} seconds"
    return [f"{len(lines):,} of {len(excerpts):,} clips are {what}"]
