"""What a search is about: its candidates, its stores, and the trials that follow from them (`tune` runs these)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.store import ClipStore
from pcm3.device import choose_device
from pcm3.errors import ConfigError
from pcm3.experiments.runs import untrained_from, untrained_names
from pcm3.experiments.trial import Trial, fold, make_trial, served
from pcm3.limits import MOST, MOST_REPEATS, check_range
from pcm3.methods.build import build_method
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.tasks import TaskSettings
from pcm3.tasks.evaluate import PRETRAINED, RAW, UNTRAINED
from pcm3.train.footprint import check_memory
from pcm3.train.plan import encoder_spec, training_clips

BASE = "base"
"""The candidate without changes: in every rung, what the others are compared with."""
MOST_RUNGS = 20
"""More would have a thousandfold of steps many times over."""


@dataclass(frozen=True)
class Candidate:
    """A recipe to be tried."""

    group: str
    """The question that it answers."""
    name: str
    changes: dict[str, Any]
    """What of the base it changes, by dotted name."""
    settings: PretrainSettings
    begins: PretrainSettings | None = None
    """What it is a change of; None: of the base."""
    preset: str | None = None
    """The preset that it begins with, where that is not the base's."""

    @property
    def title(self) -> str:
        """Tells it from all others."""
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Search:
    """What is searched, and how far."""

    stores: dict[str, ClipStore]
    """By the names that tables call them: what is evaluated on."""
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
    learned: ClipStore | None = None
    """Pretrains every row, which is then evaluated on all stores; None: on each store a run of its own."""
    tasks: tuple[str, ...] = ()
    """Of `TASKS`, what is evaluated beside recognition, on each store that serves it."""
    task_settings: TaskSettings = field(default_factory=TaskSettings)
    """Of these tasks."""

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
            raise ConfigError(
                "expected either steps or minutes of a run in the first rung (--steps or --minutes), got "
                f"{'both' if self.base.steps else 'neither'}"
            )
        for name, store in self.pretraining.items():
            for candidate in self.all:
                try:
                    self._check_candidate(store, candidate)
                except ConfigError as error:
                    raise ConfigError(f"candidate '{candidate.title}' on {name}: {error}") from None
        for name, store in self.stores.items():
            if self.learned is not None and store.path != self.learned.path:
                self._check_tested(name, store, self.learned)
        for task in self.tasks:
            if not any(task in served(store, self.tasks) for store in self.stores.values()):
                raise ConfigError(f"{task}: expected a store with untrimmed recordings among those tested on, got none")

    @property
    def pretraining(self) -> dict[str, ClipStore]:
        """The stores that pretrain, by name; a name that another store has already is not given twice."""
        if self.learned is None:
            return self.stores
        place, name = self.learned.path.resolve(), self.learned.path.resolve().name
        taken = name in self.stores and self.stores[name].path.resolve() != place
        return {str(self.learned.path) if taken else name: self.learned}

    def _check_tested(self, name: str, store: ClipStore, learned: ClipStore) -> None:
        if learned.layout.joints != store.layout.joints:
            raise ConfigError(
                f"{name}: expected the skeleton of {learned.path.name}, which pretrains ({learned.layout.name}), got "
                f"{store.layout.name}; pcm3 retarget brings a store onto another skeleton"
            )
        trial = trial_of(self, learned, self.all[0], 0, 1)
        known = _clip_hashes(learned, training_clips(learned, trial.settings))
        leaked = len(known & _clip_hashes(store, fold(trial, store)[1]))
        if leaked:
            raise ConfigError(
                f"{name}: expected test clips that {learned.path.name} does not pretrain on, but {leaked:,} are among "
                "its training clips; pcm3 merge keeps the sides of a protocol, and --protocol names it"
            )

    def _check_candidate(self, store: ClipStore, candidate: Candidate) -> None:
        settings = candidate.settings
        settings.check()
        length = "steps" if self.base.minutes is None else "minutes"
        if other := {"steps", "minutes"} - {length} & candidate.changes.keys():
            raise ConfigError(f"expected {length}, as the first rung is given in, got {other.pop()}")
        for seed in range(max(self.seeds)):
            trial = trial_of(self, store, candidate, seed, 1)
            clips = training_clips(store, trial.settings)
            if len(clips) < settings.batch:
                rest = f"that are left without {_left(trial)}" if self.held_out else "of the training side"
                raise ConfigError(
                    f"setting batch: expected at most the {len(clips)} clips {rest}, got {settings.batch}"
                )
            for tested in self.stores.values() if self.learned else [store]:
                if any((tested.label[clips] >= 0).sum() == 0 for clips in fold(trial, tested)):
                    where = f"with and without {_left(trial)}" if self.held_out else "on both sides of the protocol"
                    raise ConfigError(f"{tested.path.name}: expected labelled clips {where}, but there are none")
        spec = encoder_spec(store.layout, store.frames.shape[1], settings)
        check_memory(spec, settings, choose_device(settings.device))
        build_method(spec.build, store.layout, settings)


def _clip_hashes(store: ClipStore, clips: NDArray[np.int64]) -> set[bytes]:
    """What tells a clip from all others: its first body, which a merged store has as it was."""
    return {
        hashlib.blake2b(np.ascontiguousarray(store.clip(index)[:, 0], np.float32).tobytes(), digest_size=16).digest()
        for index in clips.tolist()
    }


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


def trial_of(search: Search, store: ClipStore, candidate: Candidate, seed: int, steps: int) -> Trial:
    """A run of a candidate in a rung; equal settings have one place, whichever candidate asks for them."""
    settings = replace(candidate.settings, steps=steps, minutes=None)
    usual = replace(candidate.begins or search.base, steps=None, minutes=None)
    tested = tuple(other.path for other in (search.stores.values() if search.learned else [store]))
    seed += search.base.seed
    trial = make_trial(store, settings, usual, seed, search.out, PRETRAINED, search.held_out, tested)
    return replace(trial, tasks=search.tasks, task_settings=search.task_settings)


def baselines_of(search: Search) -> dict[str, list[Trial]]:
    """By name, the baselines on every subject that the search holds out; of rows, the untrained encoder of each."""
    asked = {UNTRAINED: (UNTRAINED, search.base), RAW: (RAW, search.base)}
    asked |= {
        name: (UNTRAINED, candidate.settings)
        for candidate in search.all
        if (name := untrained_beside(search, candidate)) not in asked
    }
    return {name: _baseline(search, encoder, settings) for name, (encoder, settings) in asked.items()}


def _baseline(search: Search, encoder: str, settings: PretrainSettings) -> list[Trial]:
    """Of every store and seed."""
    plain = replace(settings, steps=None, minutes=None)
    return [
        replace(
            make_trial(store, plain, plain, search.base.seed + seed, search.out, encoder, search.held_out),
            tasks=search.tasks,
            task_settings=search.task_settings,
        )
        for store in search.stores.values()
        for seed in range(max(search.seeds))
    ]


def untrained_beside(search: Search, candidate: Candidate) -> str:
    """The baseline that a row has learned from: the base's untrained encoder, unless the row's is another."""
    if search.held_out:  # a search asks which recipe is the best, not what each has learned
        return UNTRAINED
    shapes = {other.title: untrained_from(other.settings) for other in search.all}
    return untrained_names(shapes, BASE)[candidate.title]
