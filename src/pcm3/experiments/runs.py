"""Pretraining runs that an experiment makes: each has one folder, named by what it is, and is made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from pcm3.data.store import ClipStore
from pcm3.device import choose_device, evaluation_threads, slow_bf16
from pcm3.parallel import MapFunction
from pcm3.settings.methods import name_of_method
from pcm3.settings.pretrain import PretrainSettings, flat
from pcm3.tasks.evaluate import UNTRAINED
from pcm3.train.pretrain import PretrainResult, pretrain

MOST_WORDS = 200
"""Characters of a run's name that tell what was changed; file systems take 255 in all."""

UNTRAINED_FROM = ("encoder", "frames", "stream")
"""Settings that an encoder with fresh weights follows from, by name or group."""


@dataclass(frozen=True)
class Run:
    """A pretraining run, and where it lies."""

    folder: Path
    settings: PretrainSettings


@runtime_checkable
class _AsRun(Protocol):
    @property
    def folder(self) -> Path: ...
    @property
    def settings(self) -> PretrainSettings: ...


_Item = TypeVar("_Item", bound=_AsRun)
_Shared = TypeVar("_Shared")
_Result = TypeVar("_Result")


def run_name(settings: PretrainSettings, usual: PretrainSettings, store: ClipStore) -> str:
    """The name of a run's folder: what is not as usual in words, a digest of all settings and the store, the seed."""
    # Of what is not the default, so that a setting that comes to the program later leaves the places as they are.
    default, values, before = flat(PretrainSettings()), flat(settings), flat(usual)
    not_default = {name: value for name, value in values.items() if name not in default or value != default[name]}
    digest = hashlib.sha256(json.dumps([not_default, store.checksum], sort_keys=True).encode()).hexdigest()
    changes = {name: value for name, value in values.items() if name != "seed" and before.get(name) != value}
    words = "-".join(f"{name.rpartition('.')[2]}={_short(value)}" for name, value in sorted(changes.items()))
    return f"{words[:MOST_WORDS] or name_of_method(settings.method)}-{digest[:6]}-s{settings.seed}"


def untrained_from(settings: PretrainSettings) -> dict[str, Any]:
    """What the untrained encoder beside a run follows from: runs that agree in it stand beside the same one."""
    return {name: value for name, value in flat(settings).items() if name.partition(".")[0] in UNTRAINED_FROM}


def untrained_names(shapes: Mapping[str, Any], plain: str) -> dict[str, str]:
    """Row → the name of the untrained encoder beside it, which rows share whose encoders have one shape.

    Args:
        shapes: row → what its untrained encoder follows from.
        plain: the row whose untrained encoder has no addition to its name; others have the first row of their shape.
    """
    first = {row: next(other for other in shapes if shapes[other] == shape) for row, shape in shapes.items()}
    return {row: UNTRAINED if first[row] == first[plain] else f"{UNTRAINED}, {first[row]}" for row in shapes}


def _short(value: Any) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def with_threads(settings: PretrainSettings) -> PretrainSettings:
    """The settings with a number of threads, on which the bits depend: it must not follow from the runs at a time."""
    if settings.threads is not None:
        return settings
    return replace(settings, threads=evaluation_threads(settings.encoder.hidden_size, choose_device(settings.device)))


def pretrain_in(run: _AsRun, store: Path) -> PretrainResult:
    """Makes the run, or ends one that was begun; only in the first process is a progress bar in its place.

    Returns:
        What the whole run came to: its clips/s, too, are not those of this session alone.
    """
    result = pretrain(ClipStore.open(store), run.folder, run.settings, progress=parent_process() is None)
    return replace(result, clips_per_s=round(result.steps * run.settings.batch / max(result.seconds, 1e-9), 1))


def each_folder_once(
    function: Callable[[_Item, _Shared], _Result], items: Sequence[_Item], shared: _Shared, map_fn: MapFunction
) -> Iterator[tuple[_Item, _Result]]:
    """The first item of every folder, and the function's result for it: no two processes may work on one folder."""
    first: dict[Path, _Item] = {}
    for item in items:
        first.setdefault(item.folder, item)
    unlike = list(first.values())
    yield from zip(unlike, map_fn(function, unlike, shared), strict=True)


def log_slow_precision(runs: Iterable[PretrainSettings], log: Callable[[str], object]) -> None:
    """Log once where runs are to compute in a precision that is slow on their device, which is one for all."""
    slow = next((run for run in runs if run.precision == "bf16"), None)
    if slow is not None and (message := slow_bf16("bf16", choose_device(slow.device))) is not None:
        log(message)
