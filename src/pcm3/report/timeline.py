"""Detected actions over the true ones, along the time of some recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pcm3.report.pictures import INK, save_figure
from pcm3.tasks.detection.average_precision import TOUCHING, Segments, nearest

PALE = "#ececec"
WIDTH, HEIGHT = 12.0, 2.3
"""Inches of a recording."""
BETWEEN = 0.36
"""Room for the time between what is true and what was found, as a share of their height."""
SLANT = 60
"""Degrees by which names of actions slant away from the lanes."""
LETTERS = 0.0145
"""Names of actions begin at least so far apart, as a share of the width, so that none lies on the one before; one that
is nearer to the last is left out, and its class told below by its colour."""


def timelines(
    predicted: Segments,
    true: Segments,
    names: Mapping[int, str],
    classes: Sequence[str],
    seconds: Mapping[int, float],
    fps: float,
    picture: Path,
    theta: float = 0.5,
) -> None:
    """One row for each of the named recordings: the true actions with their names, and under them what was found.

    `names` and `seconds`: recording, as `Segments.video` numbers them → its title, and how long it is; `theta`: least
    overlap of a prediction with the action that it finds.

    A class has one colour in all rows. What finds no action is hatched and has its name below. The legend has the
    classes of the names that there was no room for.
    """
    colours = class_colours(len(classes))
    figure = Figure(figsize=(WIDTH, HEIGHT * len(names) + 0.3), layout="constrained")
    nameless: set[int] = set()
    for axes, (video, title) in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names.items(), strict=True):
        mine, theirs = predicted.take(predicted.video == video), true.take(true.video == video)
        right = nearest(mine, theirs)[1] >= theta - TOUCHING
        axes.set(xlim=(0, seconds[video]), ylim=(0, 2 + BETWEEN))
        _lane(axes, theirs, 1 + BETWEEN, colours, fps, np.ones(len(theirs), bool))
        _lane(axes, mine, 0.0, colours, fps, right)
        nameless |= _names(axes, theirs, 2.05 + BETWEEN, classes, fps, seconds[video], SLANT)
        nameless |= _names(axes, mine.take(~right), -0.05, classes, fps, seconds[video], -SLANT)
        for at in axes.get_xticks()[axes.get_xticks() <= 0.98 * seconds[video]]:
            axes.text(at, 1 + BETWEEN / 2, f"{at:g} s", fontsize=7, color=INK, ha="left", va="center")
        axes.set_xticks([])
        axes.set_yticks([0.5, 1.5 + BETWEEN], ["found", "true"], fontsize=8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=10)
    wrong = f"finds no action of its class (overlap {theta:g})"
    handles = [Patch(facecolor=colours[label], label=classes[label]) for label in sorted(nameless)]
    handles.append(Patch(facecolor="white", edgecolor=INK, hatch="////", label=wrong))
    figure.legend(handles=handles, fontsize=8, frameon=False, loc="outside lower right", ncols=min(len(handles), 8))
    save_figure(figure, picture)


def class_colours(count: int) -> NDArray[np.float64]:
    """A colour (L, 3) for each class: hues in golden steps, so that neighbours are far apart, in three brightnesses."""
    number = np.arange(count)
    hue = (0.58 + number * 0.61803399) % 1
    return np.asarray(hsv_to_rgb(np.stack([hue, 0.35 + 0.2 * (number % 3), 0.95 - 0.13 * (number % 3)], axis=1)))


def _lane(
    axes: Any, drawn: Segments, floor: float, colours: NDArray[np.float64], fps: float, right: NDArray[np.bool_]
) -> None:
    """One bar for each segment, from `floor` up, on a pale ground; those that are not right are hatched."""
    axes.axhspan(floor, floor + 1, color=PALE, lw=0)
    for segment in range(len(drawn)):
        begin, end, colour = drawn.start[segment] / fps, drawn.stop[segment] / fps, colours[drawn.label[segment]]
        if right[segment]:
            axes.barh(floor, end - begin, 1, begin, align="edge", color=colour, edgecolor="white", lw=0.6)
        else:
            axes.barh(floor, end - begin, 1, begin, align="edge", color="white", edgecolor=colour, lw=0.8, hatch="////")


def _names(
    axes: Any, named: Segments, height: float, classes: Sequence[str], fps: float, seconds: float, angle: int
) -> set[int]:
    """The classes of the segments, slanting away from the middle of each; returns those that there is no room for."""
    nameless = set()
    last = -LETTERS * seconds
    for segment in np.argsort(named.start, kind="stable"):
        middle = (named.start[segment] + named.stop[segment]) / 2 / fps
        if middle - last < LETTERS * seconds:
            nameless.add(int(named.label[segment]))
            continue
        last = middle
        name = classes[named.label[segment]]
        side = "bottom" if angle > 0 else "top"
        axes.text(middle, height, name, rotation=angle, rotation_mode="anchor", fontsize=7, color=INK, va=side)
    return nameless
