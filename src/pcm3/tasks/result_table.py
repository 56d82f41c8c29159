"""The table of an evaluation: a row for each kind of encoder, a column for each metric, values over seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pcm3.summary import mean_and_spread, mean_of, spread_of

COLUMNS = {
    "top1": "top-1 %",
    "best_top1": "best epoch on test %",
    "top1_logits_664": "logits .6 .6 .4 %",
    "top1_scores_equal": "scores %",
    "top1_scores_664": "scores .6 .6 .4 %",
    "top1_joint": "joint %",
    "top1_bone": "bone %",
    "top1_motion": "motion %",
    "top1_compressed": "compressed %",
    "top1_clean": "clean %",
    "top1_spatial": "spatial %",
    "top1_temporal": "temporal %",
    "top1_harmed": "mean of what follows %",
    "delta": "Δ %",
    "map_a_voc": "mAP_a VOC %",
    "map_a_official": "mAP_a official %",
    "map_v_official": "mAP_v official %",
    "f1_official": "F1 %",
    "frame_accuracy": "frames right %",
    "best_map_a_voc": "best epoch on test %",
    "mpjpe_mm": "MPJPE mm",
    "mpjpe_80ms_mm": "80 ms",
    "mpjpe_160ms_mm": "160 ms",
    "mpjpe_320ms_mm": "320 ms",
    "mpjpe_400ms_mm": "400 ms",
    "mpjpe_560ms_mm": "560 ms",
    "mpjpe_1000ms_mm": "1000 ms",
    "best_mpjpe_mm": "best step on test mm",
}
"""How a metric is headed in a table for people."""
HARMED = {
    r"joints_([\d.]+)pc": "{} % of joints lost",
    r"flicker_([\d.]+)pc": "{} % flickers",
    r"noise_([\d.]+)cm": "noise of {} cm",
    r"every_(\d+)": "one frame of {}",
}
"""The same for what is done to clips in the task `robustness`."""


@dataclass
class Row:
    """One line: a kind of encoder, and its metrics for each encoder and seed."""

    name: str
    metrics: dict[str, list[float]] = field(default_factory=dict)
    results: list[Any] = field(default_factory=list, repr=False)
    """What each seed came to, as the task gives it."""

    def add(self, metrics: Mapping[str, float], result: Any = None) -> None:
        """Take in the metrics of one seed."""
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append(value)
        self.results.append(result)

    @property
    def values(self) -> list[float]:
        """The values of the first metric, which is the one that the task is about."""
        return next(iter(self.metrics.values()))

    def cells(self, names: Sequence[str]) -> list[str]:
        """Name and ``mean ± sd`` of these metrics; empty where the row has none of that name."""
        return [self.name, *(mean_and_spread(self.metrics[name]) if name in self.metrics else "" for name in names)]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every metric's mean under its name, its spread under ``NAME_sd``, its values under ``NAME_values``;
        those of the first under ``values`` too.
        """
        data: dict[str, Any] = {"name": self.name}
        for name, values in self.metrics.items():
            data |= {name: mean_of(values), f"{name}_sd": spread_of(values), f"{name}_values": values}
        return data | {"values": self.values}


def header(names: Sequence[str]) -> list[str]:
    """The heads of a table of these metrics."""
    return ["", *map(_head, names)]


def in_a_line(name: str, value: float) -> str:
    """A metric that stands by itself, with its unit behind its value: ``spatial 39.4 %``."""
    words, _, unit = _head(name).rpartition(" ")
    return f"{words} {value:.1f} {unit}"


def _head(name: str) -> str:
    """`COLUMNS`, and the metrics that have a number in their name."""
    for harmed, head in HARMED.items():
        if strength := re.fullmatch(rf"top1_{harmed}", name):
            return head.format(strength[1])
    subset = re.fullmatch(r"top1_([\d.]+)pc_(\w+)", name)
    if subset:
        return f"{subset[1]} % {subset[2]}"
    return COLUMNS.get(name, re.sub(r"^precision_(\d+)$", r"precision at \1 %", name).replace("_", " "))
