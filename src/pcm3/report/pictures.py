"""Pictures of results. Each function writes one PNG; none of them opens a window."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pcm3.summary import mean_of, spread_of
from pcm3.train.metrics_log import NOT_TERMS, read_metrics

INK, TRAINED, PALE, OTHER = "#222222", "#1f6fb2", "#b9c4cf", "#e08b2e"
NUMBER, MARK = 0.16, 0.02
"""How wide a number at a bar, and half of a mark, are drawn, of the widest bar."""


def loss_curve(metrics: Path, picture: Path) -> None:
    """The loss and all its terms over the steps, from a run's ``metrics.jsonl``.

    Terms ``group/name`` share the panel of their group; any other has one of its own, since terms differ in scale.
    """
    lines = read_metrics(metrics)[0]
    panels: dict[str, list[str]] = {"loss": ["loss"]}
    for name in dict.fromkeys(name for line in lines for name in line if name not in NOT_TERMS):
        panels.setdefault(name.partition("/")[0], []).append(name)
    if not lines:
        return
    figure, grid = _panels(len(panels), 4, 3.4)
    for axes, (kind, names) in zip(grid, panels.items(), strict=True):
        for name in names:
            steps = [line["step"] for line in lines if name in line]
            values = [line[name] for line in lines if name in line]
            label = name.partition("/")[2] or name
            axes.plot(steps, values, lw=1.2, label=label, marker="." if len(steps) < 3 else None)
        _over_steps(axes, kind)  # without a unit: what the prediction's is, is a setting
        if len(names) > 1:
            axes.legend(fontsize=7, frameon=False)
    save_figure(figure, picture)


def loss_curves(methods: Mapping[str, Mapping[str, Sequence[Path]]], picture: Path, title: str) -> None:
    """The loss over the steps, a panel for each method, since the losses of two methods are different quantities.

    `methods`: method → row → the ``metrics.jsonl`` of its seeds, drawn as their mean and what lies between.
    """
    figure, grid = _panels(len(methods), 2, 5.6)
    for axes, (method, rows) in zip(grid, methods.items(), strict=True):
        for row, files in rows.items():
            curves = [[line for line in read_metrics(file)[0] if "loss" in line] for file in files]
            shortest = min(map(len, curves))
            if not shortest:
                continue
            steps = [line["step"] for line in curves[0][:shortest]]
            losses = np.array([[line["loss"] for line in curve[:shortest]] for curve in curves])
            (drawn,) = axes.plot(steps, losses.mean(axis=0), lw=1.2, label=row, marker="." if shortest < 3 else None)
            axes.fill_between(steps, losses.min(axis=0), losses.max(axis=0), color=drawn.get_color(), alpha=0.2, lw=0)
        _over_steps(axes, method)
        if axes.lines:
            axes.legend(fontsize=7.5, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(title, fontsize=9)
    save_figure(figure, picture)


def _panels(count: int, most: int, width: float, height: float = 2.8) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels of that size in inches, at most `most` in a row."""
    rows = -(-count // most)
    columns = -(-count // rows)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]


def confusion_matrix(
    target: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str], picture: Path, title: str
) -> None:
    """Which class was taken for which: rows are the truth, a row sums to 100 %; classes without clips are left out."""
    present = np.unique(np.concatenate([target, predicted]))
    place = np.full(int(present.max()) + 1, -1)
    place[present] = np.arange(len(present))
    counts = np.zeros((len(present), len(present)))
    np.add.at(counts, (place[target], place[predicted]), 1)
    share = 100 * counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    names = [classes[label] if label < len(classes) else str(label) for label in present]
    many = len(names) > 40
    side = 3.2 + 0.24 * min(len(names), 40)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="% of the true class", fraction=0.04)
    if not many:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        for row, column in zip(*np.nonzero(share >= 10), strict=True):
            shade = "white" if share[row, column] > 55 else INK
            axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", fontsize=5.5, color=shade)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    save_figure(figure, picture)


def bars(results: Mapping[str, Mapping[str, Sequence[float]]], picture: Path, unit: str, title: str) -> None:
    """Groups of bars with spread: task → row name → values over seeds."""
    rows = list(next(iter(results.values())))
    figure = Figure(figsize=(2.2 + 1.9 * len(results), 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(rows)
    for number, (row, colour) in enumerate(zip(rows, (TRAINED, PALE, OTHER, INK), strict=False)):
        means = [mean_of(results[task][row]) for task in results]
        spreads = [spread_of(results[task][row]) or 0.0 for task in results]
        at = np.arange(len(results)) + (number - (len(rows) - 1) / 2) * width
        drawn = axes.bar(at, means, width * 0.92, yerr=spreads, capsize=3, color=colour, label=row)
        axes.bar_label(drawn, fmt="%.1f", fontsize=8, padding=2)
    axes.set_xticks(range(len(results)), list(results))
    axes.set_ylabel(unit)
    axes.set_title(title, fontsize=10)
    axes.margins(y=0.15)
    axes.legend(fontsize=8, frameon=False, ncols=len(rows), loc="upper center", bbox_to_anchor=(0.5, -0.1))
    _quiet(axes)
    save_figure(figure, picture)


def table_bars(
    columns: Mapping[str, Mapping[str, tuple[Sequence[float], float | None]]],
    picture: Path,
    title: str,
    baselines: Container[str] = (),
) -> None:
    """A panel for each column of a table: a bar for each row with its spread, and a mark where the paper's figure is.

    `columns`: head → row → (values over seeds, the paper's figure or None). `baselines`: rows that are drawn pale.
    """
    rows = max(len(of_column) for of_column in columns.values())
    figure = Figure(figsize=(1.5 + 2.6 * len(columns), 1.1 + 0.36 * rows), layout="constrained")
    names = max((list(of_column) for of_column in columns.values()), key=len)
    for axes, (head, of_column) in zip(np.atleast_1d(figure.subplots(1, len(columns))), columns.items(), strict=True):
        widest = max(mean_of(values) for values, _ in of_column.values())
        for row, (values, paper) in of_column.items():
            at, mean = names.index(row), mean_of(values)
            spread = spread_of(values) or 0.0
            error = [[min(spread, mean)], [spread]]  # no bar of a share reaches below 0
            axes.barh(at, mean, 0.7, xerr=error, capsize=2, color=PALE if row in baselines else TRAINED)
            end = mean + spread
            if paper is not None and 0 <= paper - end < NUMBER * widest:  # the mark would lie on the number
                end = paper + MARK * widest
            axes.text(end, at, f" {mean:.1f}", va="center", fontsize=7.5, color=INK)
            if paper is not None:
                axes.plot(paper, at, marker="D", ms=4, color=OTHER)
        axes.set_yticks(range(len(names)), names if axes.get_subplotspec().is_first_col() else [""] * len(names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.margins(x=0.18)
        axes.set_xlabel(head, fontsize=9)
        _quiet(axes)
    figure.suptitle(title, fontsize=9, wrap=True)
    if any(paper is not None for of_column in columns.values() for _, paper in of_column.values()):
        mark = Line2D([], [], marker="D", ms=4, ls="", color=OTHER)
        name = "the paper's figure (another data set and size)"
        figure.legend([mark], [name], fontsize=7.5, frameon=False, loc="outside lower right")
    save_figure(figure, picture)


def feature_map(
    panels: Mapping[str, NDArray[np.floating[Any]]], label: NDArray[np.int64], classes: Sequence[str], picture: Path
) -> None:
    """Points in the plane, one panel a feature: name → (N, 2), coloured by class."""
    present = np.unique(label)
    colours = mpl.colormaps["tab20"](np.linspace(0, 1, max(len(present), 2)))
    figure = Figure(figsize=(4.2 * len(panels) + 1.6, 4.2), layout="constrained")
    all_axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for axes, (name, points) in zip(all_axes, panels.items(), strict=True):
        for value, colour in zip(present, colours, strict=True):
            mine = points[label == value]
            axes.scatter(mine[:, 0], mine[:, 1], s=9, color=colour, label=classes[value], lw=0)
        axes.set_title(name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    handles, names = all_axes[-1].get_legend_handles_labels()
    figure.legend(handles, names, fontsize=7, frameon=False, loc="outside right center", markerscale=2)
    save_figure(figure, picture)


def _over_steps(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    _quiet(axes)


def _quiet(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def save_figure(figure: Figure, picture: Path) -> None:
    """Write the PNG; its folder is made where it is not there."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=130)
