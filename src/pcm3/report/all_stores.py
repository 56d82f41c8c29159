"""A log of `pcm3 reproduce rows` as of one store, the mean over its stores: what a row comes to in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pcm3.report.paired import Runs, base_of, runs_of
from pcm3.summary import mean_of

ALL = "all stores"
"""The name of the one store."""
SCORE = "score"
"""Metric of its runs: the mean of linear and 1-NN."""


def over_all_stores(log: Mapping[str, Any]) -> dict[str, Any]:
    """The log with a run a seed for every row and baseline: the mean over the stores, of those that have the metric.

    A row lacks the seeds with which it has not finished on every store, a run the metrics that it lacks on a store of
    which others have them: means are of the same stores for all.
    """
    runs = runs_of(log)
    finished = {title: [run for run in of_title if "failed" not in run] for title, of_title in runs.items()}
    having: dict[str, set[str]] = {}
    for of_title in finished.values():
        for run in of_title:
            for metric, value in run.items():
                if isinstance(value, int | float) and metric != "seed":
                    having.setdefault(metric, set()).add(run["store"])

    def averaged(title: str) -> Runs:
        seeds = dict.fromkeys(run["seed"] for run in finished[title])
        of_seeds = ([run for run in finished[title] if run["seed"] == seed] for seed in seeds)
        return [
            _mean(of_seed, having) for of_seed in of_seeds if {run["store"] for run in of_seed} == set(log["stores"])
        ]

    base = base_of(log)
    candidates = {title: log["candidates"][title] | {"runs": [averaged(title)]} for title in [base, *log["standing"]]}
    baselines = {title: log["baselines"][title] | {"runs": averaged(title)} for title in log["baselines"]}
    return {**log, "stores": {ALL: {"kind": ALL}}, "candidates": candidates, "baselines": baselines}


def _mean(runs: Sequence[Mapping[str, Any]], having: Mapping[str, set[str]]) -> dict[str, Any]:
    """One seed's runs, a run a store, as one; `having`: the stores that have each metric."""
    values = {metric: [float(run[metric]) for run in runs if metric in run] for metric in having}
    means = {metric: mean_of(of) for metric, of in values.items() if of and len(of) == len(having[metric])}
    score = {SCORE: (means["linear"] + means["retrieval"]) / 2} if {"linear", "retrieval"} <= set(means) else {}
    return {"store": ALL, "seed": runs[0]["seed"], **means, **score}
