"""``pcm3 tune``: a measured search for a pretraining recipe, by successive halving on held-out training subjects.

The first rung runs every candidate for some steps; the best of them go on to the next with more steps and more seeds,
and so on. Each run is a fresh one, so that its schedule ends with its steps. No clip of a protocol's test side is
learned from or evaluated on. TrialResults lie in the folder and are not made again: a search that was stopped goes on.

``pcm3 reproduce rows`` is one rung of the same on the test side, where nothing is left to choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pcm3.data.store import ClipStore
from pcm3.device import choose_device
from pcm3.errors import ConfigError, RunFailed
from pcm3.experiments.runs import each_folder_once, log_slow_precision
from pcm3.experiments.trial import CROPS, METRICS, Trial, evaluated, fold, make_trial, seconds_a_step
from pcm3.files import write_atomically, write_json
from pcm3.limits import MOST, MOST_REPEATS, check_range
from pcm3.methods.build import build_method
from pcm3.parallel import MapFunction, serial_map
from pcm3.report.search import differences, search_page
from pcm3.settings.pretrain import PretrainSettings, flat, to_dict
from pcm3.summary import interval_of, mean_of, spread_of
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED
from pcm3.train.footprint import check_memory
from pcm3.train.pace import PACE_STEPS
from pcm3.train.plan import encoder_spec, training_clips
from pcm3.train.run_folder import locked

BASE = "base"
"""The candidate without changes: in every rung, what the others are compared with."""
MOST_RUNGS = 20
"""More would have a thousandfold of steps many times over."""
TrialResult = dict[str, Any]
"""Of one trial: `trial.evaluated`, and the name of its store."""


@dataclass(frozen=True)
class Candidate:
    """A recipe to be tried."""

    group: str
    """The question that it answers."""
    name: str
    changes: dict[str, Any]
    """What of the base it changes, by dotted name."""
    settings: PretrainSettings

    @property
    def title(self) -> str:
        """Tells it from all others."""
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Search:
    """What is searched, and how far."""

    stores: dict[str, ClipStore]
    """By the names that tables call them."""
    base: PretrainSettings
    """Its steps or minutes are those of the first rung, of every candidate that does not name its own."""
    candidates: list[Candidate]
    """Without the base."""
    seeds: list[int]
    """Seeds, each with a held-out subject of its own, of each rung: as many rungs as numbers."""
    factor: float
    """Steps (or minutes) of a rung over those of the one before."""
    share: float
    """The best of a rung that go on."""
    keep: int
    """At least so many go on."""
    out: Path
    held_out: int = 1
    """Training subjects that each seed validates on; none: rows are compared on the test side, and none is chosen."""

    @property
    def all(self) -> list[Candidate]:
        """The base and the candidates."""
        return [Candidate("", BASE, {}, self.base), *self.candidates]

    def check(self) -> None:
        """Raises ConfigError, before anything runs, for what would stop the search later."""
        check_progress(self.seeds, self.factor, self.share, self.keep)
        titles = [candidate.title for candidate in self.all]
        rules = [
            (bool(self.stores), "stores", "at least one"),
            (len(set(titles)) == len(titles), "candidates", "names that differ"),
        ]
        for fine, name, expected in rules:
            if not fine:
                raise ConfigError(f"setting {name}: expected {expected}, got {getattr(self, name)}")
        if (self.base.steps is None) == (self.base.minutes is None):
            raise ConfigError("expected either steps or minutes of a run in the first rung")
        for name, store in self.stores.items():
            for candidate in self.all:
                try:
                    self._check_candidate(store, candidate)
                except ConfigError as error:
                    raise ConfigError(f"candidate '{candidate.title}' on {name}: {error}") from None

    def _check_candidate(self, store: ClipStore, candidate: Candidate) -> None:
        settings = candidate.settings
        settings.check()
        length = "steps" if self.base.minutes is None else "minutes"
        if other := {"steps", "minutes"} - {length} & candidate.changes.keys():
            raise ConfigError(f"expected {length}, as the first rung is told in, got {other.pop()}")
        for seed in range(max(self.seeds)):
            trial = _trial(self, store, candidate, seed, 1)
            clips = training_clips(store, trial.settings)
            if len(clips) < settings.batch:
                rest = f"that are left without {_left(trial)}" if self.held_out else "of the training side"
                raise ConfigError(
                    f"setting batch: expected at most the {len(clips)} clips {rest}, got {settings.batch}"
                )
            if any((store.label[clips] >= 0).sum() == 0 for clips in fold(trial, store)):
                sides = f"with and without {_left(trial)}" if self.held_out else "on both sides of the protocol"
                raise ConfigError(f"expected labelled clips {sides}, but there are none")
        spec = encoder_spec(store.layout, store.frames.shape[1], settings)
        check_memory(spec, settings, choose_device(settings.device))
        build_method(spec.build, store.layout, settings)


def _left(trial: Trial) -> str:
    """Whom a trial holds out, in words."""
    subjects = trial.settings.exclude_subjects[-trial.held_out :]
    return f"subject{'s' * (len(subjects) > 1)} {', '.join(map(str, subjects))}"


def check_progress(seeds: Sequence[int], factor: float, share: float, keep: int) -> None:
    """Raises ConfigError for rungs that make no sense: `Search`'s fields of these names."""
    if not seeds or len(seeds) > MOST_RUNGS:
        raise ConfigError(
            f"setting seeds: expected numbers of seeds for at least 1 and at most {MOST_RUNGS} rungs, got {seeds}"
        )
    for number in seeds:
        check_range("seeds", number, 1, MOST_REPEATS)
    check_range("factor", factor, 1, 1000)
    if not 0 < share <= 1:
        raise ConfigError(f"setting share: expected more than 0 and at most 1, got {share}")
    check_range("keep", keep, 1, MOST)


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
    log(f"{len(search.candidates)} candidates and the base, {len(search.seeds)} rungs, the first of {length} a run")
    log_slow_precision([candidate.settings for candidate in search.all], log)
    with locked(search.out):
        baselines = {
            name: _run(search, {name: _baselines(search, name)}, "baselines,", log, map_fn)[name]
            for name in (UNTRAINED, RAW)
        }
        running, rungs = search.all, list[dict[str, list[TrialResult]]]()
        for rung, seeds in enumerate(search.seeds):
            steps = _steps(search, running, rung, map_fn)
            trials = {
                candidate.title: [
                    _trial(search, store, candidate, seed, steps[candidate.title, name])
                    for name, store in search.stores.items()
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


def _trial(search: Search, store: ClipStore, candidate: Candidate, seed: int, steps: int) -> Trial:
    """A run of a candidate in a rung; equal settings have one place, whichever candidate asks for them."""
    settings = replace(candidate.settings, steps=steps, minutes=None)
    usual = replace(search.base, steps=None, minutes=None)
    return make_trial(store, settings, usual, search.base.seed + seed, search.out, PRETRAINED, search.held_out)


def _baselines(search: Search, encoder: str) -> list[Trial]:
    """A baseline on every subject that the search holds out."""
    settings = replace(search.base, steps=None, minutes=None)
    return [
        make_trial(store, settings, settings, search.base.seed + seed, search.out, encoder, search.held_out)
        for store in search.stores.values()
        for seed in range(max(search.seeds))
    ]


def _steps(search: Search, running: Sequence[Candidate], rung: int, map_fn: MapFunction) -> dict[tuple[str, str], int]:
    """The steps of the candidates (title, store) in a rung: as given, or as many as go into the minutes."""
    asked = [(candidate, name) for candidate in running for name in search.stores]
    growth = search.factor**rung
    if search.base.minutes is None:
        return {(candidate.title, name): round((candidate.settings.steps or 0) * growth) for candidate, name in asked}
    trials = [_trial(search, search.stores[name], candidate, 0, PACE_STEPS) for candidate, name in asked]
    paces = {trial.folder: pace for trial, pace in each_folder_once(seconds_a_step, trials, None, map_fn)}
    steps = {}
    for (candidate, name), trial in zip(asked, trials, strict=True):
        pace, seconds = paces[trial.folder], 60 * (candidate.settings.minutes or 0) * growth
        # Where it fails so early, it will fail again as a trial, which tells so.
        steps[candidate.title, name] = PACE_STEPS if pace is None else max(int(seconds / pace), 1)
    return steps


def _run(
    search: Search, trials: Mapping[str, list[Trial]], where: str, log: Callable[[str], object], map_fn: MapFunction
) -> dict[str, list[TrialResult]]:
    """The results of the trials of each candidate, or baseline."""
    names = {store.path: name for name, store in search.stores.items()}
    titles: dict[Path, str] = {}
    for title, of_title in trials.items():
        for trial in of_title:  # titles may have trials in common
            titles.setdefault(trial.folder, f"{title}, {names[trial.store]}, seed {trial.settings.seed}")
    results: dict[Path, TrialResult] = {}
    all_trials = [trial for of_title in trials.values() for trial in of_title]
    for trial, result in each_folder_once(evaluated, all_trials, None, map_fn):
        results[trial.folder] = {"store": names[trial.store]} | result
        log(f"{where} {len(results)}/{len(titles)} {titles[trial.folder]}: {_words(result)}")
    return {title: [results[trial.folder] for trial in of_title] for title, of_title in trials.items()}


def _words(result: TrialResult) -> str:
    if "failed" in result:
        return f"failed, {result['failed'].partition(':')[0]}"
    seconds = f", {result['seconds']:.0f} s" if "seconds" in result else ""
    return f"linear {result['linear']:.1f} %, 1-NN {result['retrieval']:.1f} %{seconds}"


def _report(
    search: Search, rungs: Sequence[dict[str, list[TrialResult]]], baselines: dict[str, list[TrialResult]]
) -> dict[str, Any]:
    """The log so far."""
    before = flat(search.base)
    candidates: dict[str, Any] = {}
    for candidate in search.all:
        reached = [rung for rung, runs in enumerate(rungs) if candidate.title in runs]
        runs = rungs[reached[-1]]
        candidates[candidate.title] = {
            "group": candidate.group,
            "name": candidate.name,
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
        "rungs": [_rung(search, number, runs) for number, runs in enumerate(rungs)],
        "finished": len(rungs) == len(search.seeds),
        "share": search.share,
        "keep": search.keep,
        "held_out": search.held_out,
        "crops": CROPS,
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
    scores = _over_seeds(runs, [_score(run) for run in runs])
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
        gains = _over_seeds(runs, [_score(run) - _score(other) for run, other in pairs])
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


def _over_seeds(runs: Sequence[TrialResult], values: Sequence[float]) -> list[float]:
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
