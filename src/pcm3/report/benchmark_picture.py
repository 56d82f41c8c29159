"""A log of `pcm3 reproduce rows` as a picture: by how much each row is over its base, a panel a metric."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pcm3.report.benchmark_page import METRICS, named_stores, over_base, standing, title_of
from pcm3.report.pictures import INK, save_figure

STORES = (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#e69f00", "v"), ("#56b4e9", "P"))
"""Colours that the colour-blind tell apart (Okabe and Ito), and shapes, one a store."""


def draw_over_base(log: Mapping[str, Any], picture: Path) -> None:
    """Every row's difference to the base on every store, with its interval; rows as they stand on the first store."""
    gains, stores = over_base(log), named_stores(log)
    titles = [title for title in standing(log, next(iter(stores))) if any(title == row for row, _ in gains)]
    there = [metric for metric in METRICS if any(metric in of for of in gains.values())] or ["linear"]
    height = 1.4 + 0.16 * max(len(titles) * (1 + len(stores)), 6)
    figure = Figure(figsize=(max(9, 3 + 1.7 * len(there)), height), layout="constrained")
    (panels,) = figure.subplots(1, len(there), sharey=True, squeeze=False)
    for axes, metric in zip(panels, there, strict=True):
        axes.axvline(0, color=INK, lw=0.8)
        for number, (store, called) in enumerate(stores.items()):
            colour, shape = STORES[number % len(STORES)]
            there_at = [(at, of[metric]) for at, title in enumerate(titles) if metric in (of := gains[title, store])]
            axes.errorbar(
                [of.mean for _, of in there_at],
                [at + 0.8 * ((number + 0.5) / len(stores) - 0.5) for at, _ in there_at],
                xerr=[of.half or 0.0 for _, of in there_at],
                fmt=shape, ms=4, lw=1, color=colour, capsize=2, label=called,
            )  # fmt: skip
        for at in range(0, len(titles), 2):
            axes.axhspan(at - 0.5, at + 0.5, color=INK, alpha=0.04, lw=0)
        axes.set_title(METRICS[metric], fontsize=8)
        axes.set_xlabel("mm over the base" if metric.endswith("_mm") else "points over the base", fontsize=7.5)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=7.5)
    panels[0].set_yticks(range(len(titles)), [title_of(log, title) for title in titles], fontsize=8)
    panels[0].set_ylim(max(len(titles), 1) - 0.5, -0.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8, frameon=False)
    save_figure(figure, picture)
