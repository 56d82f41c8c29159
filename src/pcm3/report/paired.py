"""Rows of a search or of `pcm3 reproduce rows` beside their base, run by run: what its log holds, and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pcm3.summary import interval_of, mean_of

Runs = list[dict[str, Any]]
"""Runs as a log holds them, each with its store and seed."""


@dataclass(frozen=True)
class Difference:
    """By how much a row is over its base, in points: mean over the seeds, half of the 95 % interval of the mean."""

    mean: float
    half: float | None

    def __str__(self) -> str:
        return f"{self.mean:+.1f}" + ("" if self.half is None else f" ± {self.half:.1f}")


def base_of(log: Mapping[str, Any]) -> str:
    """The title of the base, which alone has no group."""
    (base,) = (title for title, candidate in log["candidates"].items() if not candidate["group"])
    return str(base)


def runs_of(log: Mapping[str, Any]) -> dict[str, Runs]:
    """Title of a row of the last rung, or name of a baseline → its runs there, the base first."""
    runs = {title: log["candidates"][title]["runs"][-1] for title in [base_of(log), *log["standing"]]}
    return runs | {name: baseline["runs"] for name, baseline in log["baselines"].items()}


def on_store(runs: Sequence[dict[str, Any]], store: str) -> Runs:
    """Those on one store."""
    return [run for run in runs if run["store"] == store]


def difference(runs: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]], metric: str) -> Difference | None:
    """Of runs on one store over the base's with the same seed; None where no two have the metric."""
    others = {run["seed"]: run[metric] for run in base if metric in run}
    gains = [run[metric] - others[run["seed"]] for run in runs if metric in run and run["seed"] in others]
    return Difference(mean_of(gains), interval_of(gains)) if gains else None
