"""The run folder: settings, environment, metrics, checkpoint, weights; one process at a time."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pcm3.checksums import OWN, has_changed, json_checksum, with_checksum
from pcm3.encoders.files import WEIGHTS, run_identity
from pcm3.errors import CheckpointError, ConfigError
from pcm3.files import take_lock, write_json
from pcm3.settings.methods import METHODS, USUAL
from pcm3.settings.pretrain import PretrainSettings, flat, from_dict, to_dict
from pcm3.settings.renamed import check_name, check_value, dotted
from pcm3.settings.types import check_types

MAY_CHANGE = ("epochs", "steps", "minutes", "checkpoint_steps", "tensorboard")
"""Settings that a resumed run may have otherwise than when it began: how long, and what is written."""


def decisive(settings: PretrainSettings) -> dict[str, Any]:
    """The settings that make the run what it is, by dotted name: all but those that it may have otherwise later."""
    return {name: value for name, value in flat(settings).items() if name not in MAY_CHANGE}


def changes(before: PretrainSettings, now: PretrainSettings) -> list[str]:
    """The settings that differ, by dotted name, of those that a resumed run may not have otherwise.

    Of runs of two methods it is the method alone: neither has all the settings of the other.
    """
    old, new = flat(before), flat(now)
    if old["method"] != new["method"]:
        return ["method"]
    return [name for name in new if new[name] != old[name] and name not in MAY_CHANGE]


class RunFolder:
    """Names of the files of one run.

    ``settings.json`` what was asked · ``environment.json`` where it ran · ``metrics.jsonl`` one line a logged step ·
    ``clock.jsonl`` where the schedule followed the time, if it had to ·
    ``checkpoint.pt`` to resume from · ``model.safetensors`` and ``model.json`` the model ·
    ``loss.png`` · ``results/`` what ``pcm3 evaluate`` found.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "settings.json"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.clock = path / "clock.jsonl"
        self.checkpoint = path / "checkpoint.pt"
        self.encoder = path / WEIGHTS
        self.loss_picture = path / "loss.png"
        self.results = path / "results"

    @property
    def goes_on(self) -> bool:
        """Whether there is something to go on with."""
        return self.checkpoint.exists() or self.encoder.exists()

    def begin(self, settings: PretrainSettings, store: dict[str, Any]) -> None:
        """Write down what this run is, or check that it is the run that the folder holds already.

        A run without a checkpoint has nothing to go on with, and another takes its place: refused settings, or a loss
        that was not finite, do not keep the folder from better ones.

        Raises:
            ConfigError: the folder holds a run with other settings or other data.
        """
        identity = _identity_of(settings, store)
        if self.settings.exists() and self.goes_on:
            self._check_same_run(settings, store)
            identity = self.identity() or identity
        elif not self.settings.exists() and (self.goes_on or any(self.path.glob("*.safetensors"))):
            raise ConfigError(f"{self.path} holds weights but no settings.json: choose another --run")
        if not self.goes_on:
            self.clock.unlink(missing_ok=True)  # of a run that came to nothing
        write_json(self.settings, with_checksum({"settings": to_dict(settings), "store": store, "run": identity}))
        write_json(self.environment, environment())

    def read_settings(self) -> tuple[PretrainSettings, dict[str, Any]]:
        """The run's settings, and what tells its store.

        Raises:
            CheckpointError: the folder holds no run, or its settings are damaged.
        """
        try:
            data = json.loads(self.settings.read_text(encoding="utf-8"))
            self._check_version(data["settings"])
            settings, store = from_dict(data["settings"]), dict(data["store"])
            check_types(settings)
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.path}: expected a run folder with settings.json, found none") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ConfigError) as error:
            raise CheckpointError(f"{self.settings}: damaged ({error})") from error
        if has_changed(data):
            raise CheckpointError(
                f"{self.settings}: changed since it was written (its checksum differs): put it back, or remove '{OWN}' "
                "from it if you changed it yourself"
            )
        return settings, store

    def _check_version(self, settings: dict[str, Any]) -> None:
        """Raises CheckpointError for names and values of an earlier version, and a method that is not known here."""
        method = settings.get("method", USUAL)
        if isinstance(method, str) and method not in METHODS:
            raise CheckpointError(
                f"{self.settings}: a run of the method '{method}', and this pcm3 has {', '.join(METHODS)}: go on with "
                "it in the version that wrote it, or choose another --run"
            )
        try:
            for name, value in dotted(settings):
                check_name(name, "", "")
                check_value(name, value, "", "")
        except ConfigError as error:
            about = json.loads(self.environment.read_text(encoding="utf-8")) if self.environment.exists() else {}
            by = about.get("packages", {}).get("pcm3", "")
            raise CheckpointError(
                f"{self.settings}: written by an earlier pcm3{by and f' ({by})'}, whose settings had other names "
                f"({error}): go on with the run in that version, or choose another --run; its encoder can be used as "
                "it is"
            ) from None

    def identity(self) -> int | None:
        """A number that checkpoint and encoder of this run carry too; None where settings.json has none."""
        return run_identity(self.path)

    def _check_same_run(self, settings: PretrainSettings, store: dict[str, Any]) -> None:
        held, held_store = self.read_settings()
        changed = changes(held, settings)
        if changed:
            name = changed[0]
            raise ConfigError(
                f"{self.path} holds a run with {name}={flat(held)[name]}, you asked for {flat(settings)[name]}"
                + (f" (and {len(changed) - 1} more differ)" if len(changed) > 1 else "")
                + ": repeat the settings to resume it, or choose another --run"
            )
        if held_store.get("checksum") != store["checksum"]:
            held_clips = f"{held_store.get('path')}, {held_store.get('clips')} clips"
            raise ConfigError(
                f"{self.path} holds a run on other data ({held_clips}) than "
                f"{store['path']} ({store['clips']} clips): choose another --run"
            )


def _identity_of(settings: PretrainSettings, store: dict[str, Any]) -> int:
    """A number that tells the run from runs with other settings or on other data."""
    checksum = json_checksum([decisive(settings), store.get("checksum")])
    return int(checksum[:13], 16)  # as many bits as any JSON reader keeps


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder is ours until the block ends or the process dies, however it dies.

    Raises:
        ConfigError: another process has it, or it is not a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"expected a folder for the run, but {folder} is a file") from error
    lock = take_lock(folder / ".lock")
    if lock is None:
        raise ConfigError(f"{folder} is in use by another pcm3 process: wait for it or choose another")
    try:
        yield
    finally:
        lock.release()


def environment() -> dict[str, Any]:
    """What may matter to whoever repeats the run: versions, machine, command, commit."""
    return {
        "python": platform.python_version(),
        "packages": _packages(),
        "machine": platform.platform(),
        "command": sys.argv,
        "commit": commit_of(Path(__file__)),
    }


@cache
def _packages() -> dict[str, str]:
    return {package: version(package) for package in ("pcm3", "torch", "numpy", "lightning-fabric")}


@cache
def commit_of(source: Path) -> str | None:
    """The git commit that a file is part of; None where it is in none, as in a virtual environment inside somebody's
    repository, or where there is no git.
    """
    asked = ["git", "rev-parse", f"HEAD:./{source.name}", "HEAD"]
    try:
        result = subprocess.run(asked, cwd=source.parent, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.split()[-1] if result.returncode == 0 else None
