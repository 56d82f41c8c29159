"""A picture of two aligned motions: both bodies at some moments, and where in time which joint parts from the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure, SubFigure

from pcm3.api.compare import Comparison
from pcm3.render.scene import FRONT
from pcm3.report.motion import PART_COLOURS, TRUE, draw_body, square
from pcm3.report.pictures import INK

MOMENTS = 6
"""Moments that are drawn: evenly along the alignment, and the one at which the two are farthest apart."""


def comparison_picture(compared: Comparison, names: tuple[str, str], picture: Path) -> None:
    """Writes a PNG.

    Args:
        compared: the two motions.
        names: of the first, drawn grey, and the second, drawn by body part.
        picture: the file.
    """
    evenly = np.linspace(0, len(compared.path) - 1, MOMENTS).round().astype(int)
    apart = np.abs(evenly - compared.parting) * 2 * MOMENTS > len(compared.path)  # or their words overlap
    steps = np.unique([*evenly[apart], compared.parting])
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=[1, 1.5]))
    _bodies(above, compared, steps)
    axes = below.subplots()
    order = [joint for part in compared.layout.parts for joint in part]
    times = np.arange(len(compared.path) + 1)
    shades = axes.pcolormesh(times, np.arange(len(order) + 1), 1000 * compared.distance[:, order].T, cmap="magma_r")
    axes.set_yticks(np.arange(len(order)) + 0.5, [compared.layout.joints[joint] for joint in order], fontsize=6.5)
    axes.invert_yaxis()
    seconds = [f"{first / compared.fps:.1f} | {second / compared.fps:.1f}" for first, second in compared.path[steps]]
    axes.set_xticks(steps + 0.5, seconds, fontsize=7)
    axes.set_xlabel(f"seconds of {names[0]} | of {names[1]}, aligned", fontsize=8)
    below.colorbar(shades, ax=axes, label="distance of a joint, mm", pad=0.01)
    summary = f"cosine {compared.cosine:.2f}, mean distance {compared.mean_mm:.0f} mm"
    figure.suptitle(f"{names[0]} (grey) and {names[1]} (coloured): {summary}", fontsize=9, color=INK)
    figure.savefig(picture, dpi=130)


def _bodies(figure: SubFigure, compared: Comparison, steps: np.ndarray) -> None:
    """Both bodies at these steps of the alignment."""
    pairs = [
        tuple((poses[frame] @ FRONT.axes.T)[:, :2] for poses, frame in zip(
            (compared.first, compared.second), compared.path[step], strict=True
        ))
        for step in steps
    ]  # fmt: skip
    centre, reach = square(np.concatenate([np.stack(pair) for pair in pairs]))
    for axes, pair, step in zip(figure.subplots(1, len(steps)), pairs, steps.tolist(), strict=True):
        draw_body(axes, pair[0], compared.layout, [TRUE] * 5, 3.0)
        draw_body(axes, pair[1], compared.layout, PART_COLOURS, 1.4)
        axes.set(xlim=(centre[0] - reach, centre[0] + reach), ylim=(centre[1] - reach, centre[1] + reach))
        axes.set_aspect("equal")
        axes.axis("off")
        most = "\nfarthest apart" if step == compared.parting else ""
        axes.set_title(f"{compared.by_step_mm[step]:.0f} mm{most}", fontsize=7.5)
