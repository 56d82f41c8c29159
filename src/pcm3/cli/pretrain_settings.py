"""The settings of a pretraining run on the command line and in YAML files: the run's, and beside them its method's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pcm3.cli.parse import value_among, values_among
from pcm3.cli.settings_file import read_settings_file
from pcm3.errors import ConfigError
from pcm3.settings.methods import METHODS, USUAL, method_named
from pcm3.settings.presets import preset_file
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.renamed import check_name, check_value, dotted


class Asked(NamedTuple):
    """What the words of a command line ask for."""

    method: str
    preset: str | None
    """What the run begins with; None: the defaults."""


def asked_for(words: list[str]) -> Asked:
    """The method that the words ask for, and the preset.

    The method is the one that ``--method``, ``--config`` or ``--preset`` names; where none does, that of the run that
    the folder holds.

    Raises:
        ConfigError: they name different methods, one that does not exist, or settings that the method does not have.
    """
    preset = value_among(words, "--preset")
    files = {f"--config {file}": read_settings_file(Path(file), "--config") for file in values_among(words, "--config")}
    for where, data in files.items():
        if isinstance(data, dict) and isinstance(data.get("settings"), dict):
            raise ConfigError(
                f"{where}: expected settings by name, as --print_config writes them, got the settings.json of a run"
            )
    named: dict[str, Any] = {}
    if (method_word := value_among(words, "--method")) is not None:
        named["--method"] = method_word
    named |= {where: data["method"] for where, data in files.items() if isinstance(data, dict) and "method" in data}
    for where, name in named.items():
        method_named(name, where)
    if preset is not None:
        named[f"--preset {preset}"] = method_of_preset(preset)
    (first, method), *others = [*named.items()] or [("", _method_held(value_among(words, "--run")))]
    for other, name in others:
        if name != method:
            raise ConfigError(f"{first} asks for the method {method}, {other} for {name}: choose one of them")
    for where, data in files.items():
        check_names(data, method, f"{where}: ")
    check_words(words, method)
    return Asked(method, preset or METHODS[method].preset)


def check_words(words: list[str], method: str) -> None:
    """Raises ConfigError for the first option that is a setting of another method, or has a name or value of before."""
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word.startswith("--"):
            name, given, value = word.removeprefix("--").partition("=")
            _check(name, value if given else following, method, "--", "")


def check_names(data: Any, method: str, where: str) -> None:
    """Raises ConfigError for the first setting of a file that is another method's, or has a name or value of before."""
    for name, value in dotted(data):
        _check(name, value, method, "", where)


def _check(name: str, value: object, method: str, dashes: str, where: str) -> None:
    check_name(name, dashes, where)
    check_value(name, value, dashes, where)
    if name not in METHODS[method].names():
        owners = [other for other, row in METHODS.items() if name in row.names()]
        if owners:
            raise ConfigError(
                f"{where}{dashes}{name} is a setting of the method {' and of '.join(owners)}, and the method here is "
                f"{method}: leave it out, or choose a preset of that method"
            )


def _method_held(run: str | None) -> str:
    """The method of the run that a folder holds; the usual one where there is none, or none that can be read."""
    try:
        method = json.loads((Path(run or "") / "settings.json").read_text(encoding="utf-8"))["settings"]["method"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return USUAL
    return method if isinstance(method, str) and method in METHODS else USUAL


def method_of_preset(name: str) -> str:
    """The method that a preset names.

    Raises:
        ConfigError: there is no such preset, or no such method.
    """
    method = (read_settings_file(preset_file(name), "--preset") or {}).get("method", USUAL)
    method_named(method, f"preset {name}")
    return str(method)


def add_pretrain_settings(parser: Any, method: str) -> None:
    """Adds the settings of a pretraining run, and beside them those of its method."""
    parser.add_class_arguments(PretrainSettings, skip={"method"})
    parser.add_argument("--method", type=Literal[tuple(METHODS)], default=method,
                        help="the pretraining method, whose settings follow; a preset names its own")  # fmt: skip
    parser.add_class_arguments(METHODS[method].settings)
