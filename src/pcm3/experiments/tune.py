"""``pcm3 tune``: a measured search for a pretraining recipe, by successive halving on held-out training subjects.

The first rung runs every candidate for some steps; the best of them go on to the next with more steps and more seeds,
and so on. Each run is a fresh one, so that its schedule ends with its steps. No clip of a protocol's test side is
learned from or evaluated on. TrialResults lie in the folder and are not made again: a search that was stopped goes on.

``pcm3 reproduce rows`` is one rung of the same on the test side, where nothing is left to choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pcm3.data.store import ClipStore
from pcm3.errors import RunFailed
from pcm3.experiments.runs import each_folder_once, log_slow_precision
from pcm3.experiments.search import BASE, Candidate, Search, baselines_of, trial_of, untrained_beside
from pcm3.experiments.trial import METRICS, Trial, evaluated, seconds_a_step
from pcm3.files import write_atomically, write_json
from pcm3.parallel import MapFunction, serial_map
from pcm3.report.search import differences, search_page
from pcm3.settings.methods import name_of_method
from pcm3.settings.pretrain import flat, to_dict
from pcm3.summary import counted, interval_of, mean_of, spread_of
from pcm3.tasks.result_table import in_a_line
from pcm3.tasks.task_table import TASKS, groups_of
from pcm3.train.pace import PACE_STEPS
from pcm3.train.run_folder import locked

TrialResult = dict[str, Any]
"""Of one trial: `trial.evaluated`, and the name of its store."""


def tune(search: Search, log: Callable[[str], object], map_fn: MapFunction = serial_map) -> dict[str, Any]:
    """Searches, and writes ``log.json``, ``log.md``, ``search.png`` and ``winner.yaml`` into the search's folder.

    Returns:
        What ``log.json`` holds: ``rungs``, ``candidates`` (title → summary, and the runs of each rung), ``baselines``,
        ``standing`` (titles in the last rung, the best first), ``winner``.

    Raises:
        ConfigError: the search makes no sense, or a store has no two training subjects.
        RunFailed: the disk is full, or no candidate's loss is finite.
    """
    search.check()
    length = f"{search.base.steps} steps" if search.base.steps else f"{search.base.minutes:g} minutes"
    how_many = counted(len(search.seeds), "rung")
    log(f"{len(search.candidates)} candidates and the base, {how_many}, the first of {length} a run")
    log_slow_precision([candidate.settings for candidate in search.all], log)
    if search.tasks:
        log(f"linear and 1-NN are {' and '.join(METRICS.values())} by their defaults; the tasks asked for, by the "
            "settings given")  # fmt: skip
    with locked(search.out):
        baselines = _run(search, baselines_of(search), "baselines,", log, map_fn)
        running, rungs = search.all, list[dict[str, list[TrialResult]]]()
        for rung, seeds in enumerate(search.seeds):
            steps = _steps(search, running, rung, map_fn)
            trials = {
                candidate.title: [
                    trial_of(search, store, candidate, seed, steps[candidate.title, name])
                    for name, store in search.pretraining.items()
                    for seed in range(seeds)
                ]
                for candidate in running
            }
            rungs.append(_run(search, trials, f"rung {rung + 1} of {len(search.seeds)},", log, map_fn))
            report = _report(search, rungs, baselines)
            _write(search, report)
            chosen = best({name: score(runs) for name, runs in rungs[-1].items() if name != BASE}, search.share,
                          search.keep)  # fmt: skip
            running = [candidate for candidate in running if candidate.title in (BASE, *chosen)]
        if not report["standing"]:
            raise RunFailed(f"every candidate failed, the base too; {search.out / 'log.json'} says how")
        return report


def score(runs: Sequence[TrialResult]) -> float | None:
    """The mean of (linear + 1-NN) / 2 over the runs, per cent; None where one of them failed."""
    return None if any("failed" in run for run in runs) else mean_of([_score(run) for run in runs])


def best(scores: Mapping[str, float | None], share: float, keep: int) -> list[str]:
    """The names of this share of the best scores, at least `keep`, the best first; of equal ones the first."""
    standing = sorted((name for name in scores if scores[name] is not None), key=lambda name: -(scores[name] or 0.0))
    return standing[: max(keep, math.ceil(share * len(scores)))]


def _score(run: TrialResult) -> float:
    return sum(float(run[figure]) for figure in METRICS) / len(METRICS)


def _steps(search: Search, running: Sequence[Candidate], rung: int, map_fn: MapFunction) -> dict[tuple[str, str], int]:
    """The steps of the candidates (title, store) in a rung: as given, or as many as go into the minutes."""
    asked = [(candidate, name) for candidate in running for name in search.pretraining]
    growth = search.factor**rung
    if search.base.minutes is None:
        return {(candidate.title, name): round((candidate.settings.steps or 0) * growth) for candidate, name in asked}
    trials = [_pace_trial(search, search.pretraining[name], candidate, growth) for candidate, name in asked]
    paces = {trial.folder: pace for trial, pace in each_folder_once(seconds_a_step, trials, None, map_fn)}
    steps = {}
    for (candidate, name), trial in zip(asked, trials, strict=True):
        pace, seconds = paces[trial.folder], 60 * (candidate.settings.minutes or 0) * growth
        # Where it fails so early, it will fail again as a trial, which tells so.
        steps[candidate.title, name] = PACE_STEPS if pace is None else max(int(seconds / pace), 1)
    return steps


def _pace_trial(search: Search, store: ClipStore, candidate: Candidate, growth: float) -> Trial:
    """The run by which the pace of a candidate is told."""
    trial = trial_of(search, store, candidate, 0, PACE_STEPS)
    return replace(trial, settings=replace(trial.settings, minutes=(candidate.settings.minutes or 0) * growth))


def _run(
    search: Search, trials: Mapping[str, list[Trial]], where: str, log: Callable[[str], object], map_fn: MapFunction
) -> dict[str, list[TrialResult]]:
    """The results of the trials of each candidate, or baseline."""
    names = {store.path: name for of in (search.stores, search.pretraining) for name, store in of.items()}
    titles: dict[Path, str] = {}
    for title, of_title in trials.items():
        for trial in of_title:  # titles may have trials in common
            titles.setdefault(trial.folder, f"{title}, {names[trial.store]}, seed {trial.settings.seed}")
    results: dict[Path, list[TrialResult]] = {}
    all_trials = [trial for of_title in trials.values() for trial in of_title]
    for trial, of_stores in each_folder_once(evaluated, all_trials, None, map_fn):
        results[trial.folder] = [
            {"store": names[path]} | result for path, result in zip(trial.tested, of_stores, strict=True)
        ]
        for result in results[trial.folder]:
            on = f" on {result['store']}" if search.learned else ""
            log(f"{where} {len(results)}/{len(titles)} {titles[trial.folder]}{on}: {_words(result)}")
    return {
        title: [result for trial in of_title for result in results[trial.folder]] for title, of_title in trials.items()
    }


def _words(result: TrialResult) -> str:
    if "failed" in result:
        return f"failed, {result['failed'].partition(':')[0]}"
    words = f"linear {result['linear']:.1f} %, 1-NN {result['retrieval']:.1f} %"
    beside = [
        f"{task} {in_a_line(metric, result[f'{task}_{metric}'])}"
        for task in TASKS
        for metric in TASKS[task].table_metrics[:1]
        if f"{task}_{metric}" in result
    ]
    if beside:  # linear and 1-NN are always measured alike; `linear-cached` may go by other settings
        words += f"; tasks asked for: {', '.join(beside)}"
    return f"{words}; {result['seconds']:.0f} s" if "seconds" in result else words


def _report(
    search: Search, rungs: Sequence[dict[str, list[TrialResult]]], baselines: dict[str, list[TrialResult]]
) -> dict[str, Any]:
    """The log so far."""
    candidates: dict[str, Any] = {}
    for candidate in search.all:
        before = flat(candidate.begins or search.base)
        reached = [rung for rung, runs in enumerate(rungs) if candidate.title in runs]
        runs = rungs[reached[-1]]
        candidates[candidate.title] = {
            "group": candidate.group,
            "name": candidate.name,
            "preset": candidate.preset,
            "method": name_of_method(candidate.settings.method),
            "untrained": untrained_beside(search, candidate),
            "changes": {name: [before[name], value] for name, value in candidate.changes.items()},
            "rung": len(reached),
            **summary(runs[candidate.title], runs[BASE]),
            "runs": [rungs[rung][candidate.title] for rung in reached],
        }
    last = {name: score(runs) for name, runs in rungs[-1].items()}
    standing = best(last, 1.0, 1)
    return {
        "stores": {
            name: {"path": str(store.path), "kind": store.kind, "checksum": store.checksum}
            for name, store in search.stores.items()
        },
        "learned": next(iter(search.pretraining)) if search.learned else None,
        "rungs": [_rung(search, number, runs) for number, runs in enumerate(rungs)],
        "finished": len(rungs) == len(search.seeds),
        "share": search.share,
        "keep": search.keep,
        "held_out": search.held_out,
        "tasks": list(search.tasks),
        "not_the_protocols": search.task_settings.non_default_settings(groups_of(search.tasks)),
        "base": to_dict(search.base),
        "baselines": {name: summary(runs) | {"runs": runs} for name, runs in baselines.items()},
        "candidates": candidates,
        "standing": standing,
        "winner": standing[0] if standing and search.held_out else None,
    }


def _rung(search: Search, number: int, runs: dict[str, list[TrialResult]]) -> dict[str, Any]:
    steps = [run["steps"] for of_title in runs.values() for run in of_title if "steps" in run]
    growth = search.factor**number
    return {
        "steps": [min(steps, default=0), max(steps, default=0)],
        "minutes": None if search.base.minutes is None else search.base.minutes * growth,
        "seeds": search.seeds[number],
        "candidates": list(runs),
    }


def summary(runs: Sequence[TrialResult], base: Sequence[TrialResult] = ()) -> dict[str, Any]:
    """What runs of one recipe came to together, and over the same runs of the base.

    Means over stores and seeds; spreads are sample standard deviations over the seeds of the mean over the stores.

    Args:
        runs: of every store and seed.
        base: the same of the base, in the same order; none: no ``difference``, ``store_differences``.
    """
    failed = next((run["failed"] for run in runs if "failed" in run), None)
    if failed is not None:
        return {"failed": failed, "score": None}
    report: dict[str, Any] = {figure: mean_of([run[figure] for run in runs]) for figure in METRICS}
    scores = _mean_over_seeds(runs, [_score(run) for run in runs])
    report |= {"score": mean_of(scores), "spread": spread_of(scores), "scores": scores}
    report["stores"] = {
        name: mean_of([_score(run) for run in runs if run["store"] == name])
        for name in dict.fromkeys(run["store"] for run in runs)
    }
    for name in ("seconds", "clips_per_s", "loss"):
        values = [run[name] for run in runs if run.get(name) is not None]
        report[name] = mean_of(values) if values else None
    if base and not any("failed" in run for run in base):
        pairs = list(zip(runs, base, strict=True))
        gains = _mean_over_seeds(runs, [_score(run) - _score(other) for run, other in pairs])
        report |= {"difference": mean_of(gains), "difference_spread": spread_of(gains)}
        report["difference_interval"] = interval_of(gains)
        report["store_differences"] = {name: _gains(pairs, name) for name in report["stores"]}
    return report


def _gains(pairs: Sequence[tuple[TrialResult, TrialResult]], store: str) -> dict[str, dict[str, float | None]]:
    """Of runs on a store, each beside the base's with the same seed: how much more, by metric, with an interval."""
    gains = {
        metric: [run[metric] - other[metric] for run, other in pairs if run["store"] == store] for metric in METRICS
    }
    return {metric: {"mean": mean_of(of), "interval": interval_of(of)} for metric, of in gains.items()}


def _mean_over_seeds(runs: Sequence[TrialResult], values: Sequence[float]) -> list[float]:
    """Of values of the runs, the mean over the stores for each seed."""
    seeds = np.array([run["seed"] for run in runs])
    return [float(np.mean(np.array(values)[seeds == seed])) for seed in dict.fromkeys(seeds.tolist())]


def _write(search: Search, report: dict[str, Any]) -> None:
    """The log for programs and for people, the picture, and the best recipe so far."""
    write_json(search.out / "log.json", report)
    write_atomically(search.out / "log.md", lambda file: file.write(search_page(report).encode()))
    differences(report, search.out / "search.png")
    if report["winner"] is None:
        return
    (winner,) = (candidate for candidate in search.all if candidate.title == report["winner"])
    steps = [float(run["steps"]) for run in report["candidates"][winner.title]["runs"][-1]]
    recipe = to_dict(replace(winner.settings, steps=round(mean_of(steps)), minutes=None))
    text = f"# {winner.title}: the best of a search, {report['candidates'][winner.title]['score']:.1f} % on held-out " \
           f"training subjects. pcm3 pretrain STORE --run RUN --config THIS\n"  # fmt: skip
    text += yaml.safe_dump(recipe, sort_keys=False)
    write_atomically(search.out / "winner.yaml", lambda file: file.write(text.encode()))
