"""A picture of motion prediction: predicted bodies over what happened, at each horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pcm3.render.scene import FROM_KINECT, FRONT, SENSOR
from pcm3.report.pictures import INK, save_figure
from pcm3.skeleton import Layout
from pcm3.tasks.prediction.evaluate import HORIZONS_MS, PredictionResult
from pcm3.tasks.prediction.windows import RATE, MotionBank

Poses = NDArray[np.floating[Any]]

PART_COLOURS = ("#444444", "#1f6fb2", "#e08b2e", "#4a9d5b", "#a4529f")
"""Of the five body parts, in the layout's order."""
TRUE, STILL = "#8a9099", "#e3d3bd"


@dataclass(frozen=True)
class Predicted:
    """One window: bodies about their root, metres, NaN where there is no joint."""

    last_pose: Poses
    """(V, 3) the last seed frame, which is also the zero-velocity prediction."""
    true: Poses
    """(P, V, 3) what happened."""
    predicted: Poses
    """(P, V, 3)."""


def moving_clips(result: PredictionResult, bank: MotionBank, count: int = 5) -> dict[str, Predicted]:
    """Some of the test clips, by name: of the half that moves most, evenly spread from the calmest to the liveliest.

    The choice looks at the truth alone, so it shows no method in a better light than another.
    """
    liveliness = np.linalg.norm(result.true - result.last_pose[:, None], axis=-1).mean(axis=(1, 2))
    order = np.argsort(liveliness, kind="stable")[len(liveliness) // 2 :]
    chosen = order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]
    bodies = [bank.bodies(poses[chosen]) for poses in (result.last_pose, result.true, result.predicted)]
    names = [_name(bank, int(clip)) for clip in result.clips[chosen]]
    return {name: Predicted(*parts) for name, *parts in zip(names, *bodies, strict=True)}


def motion_strips(
    clips: Mapping[str, Predicted],
    layout: Layout,
    normalised: bool,
    picture: Path,
    horizons_ms: Sequence[int] = HORIZONS_MS,
) -> None:
    """A row a clip, a column a horizon: predicted bodies, coloured, over the true ones and the last one seen.

    `normalised`: z is up, as in a store of turned clips; otherwise the Kinect's y is. Horizons beyond the prediction
    are left out.
    """
    length = len(next(iter(clips.values())).true)
    frames = {at: round(at * RATE / 1000) - 1 for at in horizons_ms}
    frames = {at: frame for at, frame in frames.items() if frame < length}
    figure = Figure(figsize=(1.8 * len(frames) + 1.4, 1.9 * len(clips) + 0.5))
    grid = figure.subplots(len(clips), len(frames), squeeze=False)
    figure.subplots_adjust(
        left=0.15, right=0.99, top=1 - 0.3 / figure.get_figheight(), bottom=0.45 / figure.get_figheight()
    )
    axes_of_view = FRONT.axes if normalised else SENSOR.axes @ FROM_KINECT
    for row, (name, clip) in zip(grid, clips.items(), strict=True):
        last_pose, true, predicted = (
            (poses @ axes_of_view.T)[..., :2] for poses in (clip.last_pose, clip.true, clip.predicted)
        )
        centre, reach = square(np.concatenate([last_pose[None], true, predicted]))
        for axes, frame in zip(row, frames.values(), strict=True):
            draw_body(axes, last_pose, layout, [STILL] * 5, 1.6)
            draw_body(axes, true[frame], layout, [TRUE] * 5, 3.2)
            draw_body(axes, predicted[frame], layout, PART_COLOURS, 1.3)
            errors = [
                _millimetres(poses, clip.true[frame], layout) for poses in (clip.predicted[frame], clip.last_pose)
            ]
            text = f"{errors[0]:.0f} mm  (zero velocity {errors[1]:.0f})"
            axes.text(0.5, 0.0, text, ha="center", va="top", fontsize=6.5, color=INK, transform=axes.transAxes)
            axes.set(xlim=(centre[0] - reach, centre[0] + reach), ylim=(centre[1] - reach, centre[1] + reach))
            axes.set_aspect("equal")
            axes.axis("off")
        row[0].text(-0.05, 0.5, name, ha="right", va="center", fontsize=8, transform=row[0].transAxes)
    for axes, at in zip(grid[0], frames, strict=True):
        axes.set_title(f"{at} ms", fontsize=9)
    styles = (
        ("true", TRUE, 3.2),
        ("predicted, by body part", PART_COLOURS[1], 1.3),
        ("last seen (zero velocity)", STILL, 1.6),
    )
    handles = [Line2D([], [], color=colour, lw=width, label=label) for label, colour, width in styles]
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=7.5, frameon=False)
    save_figure(figure, picture)


def _name(bank: MotionBank, clip: int) -> str:
    """What happens in the clip, where that is known, and its id."""
    store, label = bank.store, int(bank.store.label[clip])
    known = 0 <= label < len(store.classes)
    return f"{store.classes[label]}\n{store.ids[clip]}" if known else str(store.ids[clip])


def _millimetres(pose: Poses, true: Poses, layout: Layout) -> float:
    """Mean distance (V, 3) of all joints but the root."""
    distance = np.delete(np.linalg.norm(pose - true, axis=-1), layout.root)
    return 1000 * float(np.nanmean(distance))


def square(points: Poses) -> tuple[Poses, float]:
    """Centre (2,) and half the side of a square around all the points (..., 2)."""
    low, high = np.nanmin(points, axis=(0, 1)), np.nanmax(points, axis=(0, 1))
    return (low + high) / 2, float(max((high - low).max(), 0.1)) / 2 * 1.06


def draw_body(axes: Any, joints: Poses, layout: Layout, colours: Sequence[str], width: float) -> None:
    """The bones of one body (V, 2), a colour a body part; bones with a missing end are not drawn."""
    for part, colour in zip(layout.parts, colours, strict=True):
        for joint in part:
            ends = joints[[joint, layout.parents[joint]]]
            axes.plot(ends[:, 0], ends[:, 1], color=colour, lw=width, solid_capstyle="round")
