"""Files of candidates for ``pcm3 tune``: read whole and seen to make sense before anything runs.

``base`` holds settings that every run has otherwise than the preset, ``candidates`` question → name → what is changed,
by dotted name as on the command line. A candidate that names a ``preset`` begins with that one in the preset's place,
so that methods stand beside each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pcm3.cli.parse import parse_with, parser_of
from pcm3.cli.pretrain_settings import add_pretrain_settings, check_names, method_of_preset
from pcm3.cli.settings_file import read_settings_file
from pcm3.errors import ConfigError, not_one_of
from pcm3.packaged import packaged
from pcm3.settings.methods import name_of_method
from pcm3.settings.pretrain import PretrainSettings, flat, from_dict

SEARCHED = ("epochs", "seed", "exclude_subjects", "protocol", "devices", "nodes")
"""Settings that are the search's own: no candidate may change them."""
PRESET = "preset"
"""Of a candidate: what it begins with, where that is not what the base does."""


def search_names() -> list[str]:
    """The files of candidates that come with the package."""
    return list(packaged("searches", ".yaml"))


def search_file(name: str) -> Path:
    """A file of that name of the package's, or the file at that path.

    Raises:
        ConfigError: there is neither.
    """
    searches = packaged("searches", ".yaml")
    if name in searches:
        return searches[name]
    if not Path(name).is_file():
        raise ConfigError(f"expected a file of candidates, or one of {', '.join(searches)}; got '{name}'")
    return Path(name)


def read_candidates(file: Path, method: str) -> tuple[dict[str, Any], dict[str, dict[str, dict[str, Any]]]]:
    """The base's settings and the candidates (question → name → changes) of a file; values are not looked at yet.

    Raises:
        ConfigError: it is no YAML, or not of this form, or names a setting that does not exist.
    """
    try:
        return _read(file, method)
    except ConfigError:
        if file not in packaged("searches", ".yaml").values():
            raise
        # Nobody can mend the package's own list: it is of another method than the preset's.
        raise ConfigError(
            f"--candidates: the package's list {file.stem} has settings that the method {method} does not have: give a "
            "file of your own, as docs/SEARCH.md shows"
        ) from None


def _read(file: Path, method: str) -> tuple[dict[str, Any], dict[str, dict[str, dict[str, Any]]]]:
    data = _mapping(read_settings_file(file, "--candidates"), str(file), "base and candidates")
    for name in data:
        if name not in ("base", "candidates"):
            raise ConfigError(f"{file}: {not_one_of('one of', str(name), ('base', 'candidates'))}")
    groups = _mapping(data.get("candidates"), f"{file}: candidates", "questions, each with its candidates")
    candidates = {
        str(group): {
            str(name): _settings(changes, f"{file}: candidate '{group}: {name}'", method, of_candidate=True)
            for name, changes in _mapping(
                of_group, f"{file}: '{group}'", "candidates, each with what it changes"
            ).items()
        }
        for group, of_group in groups.items()
    }
    return _settings(data.get("base"), f"{file}: base", method, of_candidate=False), candidates


def with_changes(settings: PretrainSettings, changes: Mapping[str, Any], where: str) -> PretrainSettings:
    """The settings with some changed, as the command line would.

    Raises:
        ConfigError: a value is not of its setting's type, or makes no sense; says where.
    """
    method = name_of_method(settings.method)
    words = [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in (flat(settings) | dict(changes)).items()
    ]
    try:
        options = parse_with(_parser(method), words)
        data = options.as_dict()
        del data["json"]
        made = from_dict(data)
        made.check()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return made


@cache
def _parser(method: str) -> Any:
    """Of all settings of a run of the method."""
    return parser_of("tune", "", lambda parser: add_pretrain_settings(parser, method))


def _settings(data: Any, where: str, method: str, *, of_candidate: bool) -> dict[str, Any]:
    """What is changed, by dotted names that exist; of a candidate also its preset, whose method's names they are."""
    changes = dict(_mapping(data, where, "settings by dotted name, as {encoder.pooling: mean, optimiser.lr: 0.001}"))
    begins: dict[str, Any] = {}
    if of_candidate and PRESET in changes:
        begins[PRESET] = str(changes.pop(PRESET))
        try:
            method = method_of_preset(begins[PRESET])
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    known = flat(from_dict({"method": method}))
    check_names(changes, method, f"{where}: ")
    for name, value in changes.items():
        if name not in known:
            groups = sorted({known_name.partition(".")[0] for known_name in known if "." in known_name})
            expected = f"its settings by dotted name, as {name}.{_first(known, name)}" if name in groups else ""
            raise ConfigError(f"{where}: {'expected ' + expected if expected else _unknown(str(name), known)}")
        if name == "method":
            instead = "preset: NAME" if of_candidate else "--preset"
            raise ConfigError(f"{where}: expected settings of the method {method}; {instead} chooses the method")
        if of_candidate and name in SEARCHED:
            raise ConfigError(f"{where}: expected settings of the recipe; {name} is the search's own")
        if not _is_plain(value):
            raise ConfigError(f"{where}: setting {name}: expected a value, got {value!r}")
    return begins | changes


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    """What to say about a setting that does not exist, without naming all that do."""
    hint = not_one_of("", name, known).partition("; did you mean ")[2]
    return f"there is no setting '{name}'" + (f"; did you mean {hint}" if hint else "; pcm3 pretrain --help lists them")


def _first(known: Mapping[str, Any], group: str) -> str:
    return next(name for name in known if name.startswith(f"{group}.")).partition(".")[2]


def _is_plain(value: Any) -> bool:
    """Whether a value from YAML is one that a setting may have: no date, no mapping."""
    if isinstance(value, list):
        return all(_is_plain(entry) for entry in value)
    return value is None or isinstance(value, str | int | float)


def _mapping(data: Any, where: str, of: str) -> dict[Any, Any]:
    """The data as a dictionary; nothing is an empty one."""
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{where}: expected {of}, got {data!r}")
    return data or {}
