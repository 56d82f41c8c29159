"""Arguments of a command, by jsonargparse; its errors as one line with the nearest name that exists."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from pcm3.cli.mistakes import in_one_line, in_words
from pcm3.cli.settings_file import read_settings_file
from pcm3.errors import ConfigError
from pcm3.settings.renamed import RENAMED, RENAMED_OF_IMPORT, check_name
from pcm3.settings.tasks import TaskSettings

set_parsing_settings(docstring_parse_attribute_docstrings=True)


class _PlainHelp(DefaultHelpFormatter):
    """Help that tells what a setting may be in the words of `mistakes.in_words`, not in Python's types."""

    def _get_type_str(self, action: argparse.Action) -> str | None:
        hint = getattr(action, "_typehint", None) or action.type
        if super()._get_type_str(action) is None or hint is bool or get_origin(hint) is Literal:
            return None  # what it may be stands beside its name already
        return in_words(hint)


def parse(command: str, what: str, add_arguments: Callable[[Any, list[str]], None], words: list[str]) -> Any:
    """The command's options as a namespace; None where the words only asked to print something.

    `add_arguments` adds its arguments to the parser; it sees the words too, since a preset changes the defaults.

    Raises:
        ConfigError: an argument does not exist, is missing, or has a value that it cannot have.
    """
    try:
        _check_words(words)
        return parse_with(parser_of(command, what, lambda parser: add_arguments(parser, words)), words)
    except argparse.ArgumentError as error:  # of a preset or file among the words, which the arguments depend on
        raise ConfigError(in_one_line(str(error), {}, f"pcm3 {command} --help")) from None


def parser_of(command: str, what: str, add_arguments: Callable[[Any], None]) -> Any:
    """A parser with a command's arguments, for `parse_with`."""
    parser = ArgumentParser(
        prog=f"pcm3 {command}", description=what, exit_on_error=False, default_env=False, formatter_class=_PlainHelp
    )
    add_arguments(parser)
    _shorten_help(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object, the last line")
    return parser


def parse_with(parser: Any, words: list[str]) -> Any:
    """As `parse`, by a parser that may serve again: making one takes as long as reading many words."""
    try:
        _check_words(words)
        words = _values_with_a_minus(words)
        _check_options_exist(parser, words)
        for file in values_among(words, "--config"):
            read_settings_file(Path(file), "--config")
        return parser.parse_args(_lists_of_one(parser, _switches_on(parser, words)))
    except argparse.ArgumentError as error:
        raise ConfigError(in_one_line(str(error), _hints(parser), f"{parser.prog} --help")) from None
    except SystemExit as leaving:
        if leaving.code:
            raise
        return None


def _shorten_help(parser: Any) -> None:
    """Leaves out of the help where presets lie, and that a group may be given as a file of its own."""
    parser._action_groups = [group for group in parser._action_groups if group.title != _LOCATIONS]
    for action in parser._actions:
        if action.help == _OF_A_GROUP:
            action.help = argparse.SUPPRESS


_LOCATIONS, _OF_A_GROUP = "default config file locations", "Path to a configuration file."


def value_among(words: list[str], option: str) -> str | None:
    """The value of an option among the words, before they are parsed: the last, which counts; None where it is none."""
    return next(reversed([*values_among(words, option)]), None)


def values_among(words: list[str], option: str) -> Iterator[str]:
    """All values of an option among the words."""
    for place, word in enumerate(words):
        if word == option and place + 1 < len(words):
            yield words[place + 1]
        elif word.startswith(f"{option}="):
            yield word.partition("=")[2]


def _check_words(words: list[str]) -> None:
    """Raises ConfigError for a word that is empty, which as a path is the working directory, or could not be read."""
    for place, word in enumerate(words):
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise ConfigError(f"{word}: holds letters that this system's locale does not know: set PYTHONUTF8=1")
        option = word.removesuffix("=")
        if word == "":
            before = words[place - 1] if place else ""
            option = before if before.startswith("--") else ""
        elif not (word.startswith("--") and word.endswith("=") and word.count("=") == 1):
            continue
        raise ConfigError(f"{option or 'an argument'}: expected a value, got an empty word")


def _hints(parser: Any) -> dict[str, Any]:
    """The type of each setting, by its dotted name."""
    return {action.dest: getattr(action, "_typehint", None) or action.type for action in parser._actions}


def _check_options_exist(parser: Any, words: list[str]) -> None:
    """Raises ConfigError for the first option that does not exist, with the nearest that does."""
    known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    for word in words:
        if word == "--":
            return
        option = word.partition("=")[0]
        if re.fullmatch(r"--[A-Za-z][\w.-]*", option) is None or option in known:
            continue
        for renamed in (RENAMED, RENAMED_OF_IMPORT):
            if f"--{renamed.get(option.removeprefix('--'))}" in known:
                check_name(option.removeprefix("--"), "--", "", renamed)
        candidates = _like(option, known)
        hint = f": did you mean {candidates[0]}?" if candidates else f"; {parser.prog} --help lists them"
        raise ConfigError(f"unknown setting {option}{hint}")


def _like(option: str, known: list[str]) -> list[str]:
    """The options that an unknown one may mean, the likeliest first: of the same last part, or of nearly the same."""
    asked = option.removeprefix("--").replace("-", "_")
    last = asked.rpartition(".")[2]
    same = [name for name in known if name.endswith(f".{last}")]
    names = {name.rpartition(".")[2]: name for name in known} | {name.removeprefix("--"): name for name in known}
    return same or [names[name] for name in get_close_matches(asked, names, n=1, cutoff=0.6)]


def _values_with_a_minus(words: list[str]) -> list[str]:
    """The words with ``--up -y`` as ``--up=-y``: argparse takes what begins with a minus for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--up" and word.startswith("-") and not word.startswith("--"):
            joined[-1] = f"--up={word}"
        else:
            joined.append(word)
    return joined


def _switches_on(parser: Any, words: list[str]) -> list[str]:
    """The words with ``--strict`` as ``--strict=true``: a setting that is true or false may stand alone."""
    switches = {
        option
        for action in parser._actions
        if getattr(action, "_typehint", None) is bool
        for option in action.option_strings
    }
    return [
        f"{word}=true" if word in switches and following.lower() not in ("true", "false", "yes", "no") else word
        for word, following in zip(words, [*words, ""][1:], strict=True)
    ]


def _lists_of_one(parser: Any, words: list[str]) -> list[str]:
    """The words with ``--seeds 1`` as ``--seeds [1]``: a list that has one member needs no brackets."""
    members = {
        option: member
        for action in parser._actions
        if (member := _member(getattr(action, "_typehint", None))) is not None
        for option in action.option_strings
    }
    listed: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        option, equals, value = word.partition("=")
        if before in members:
            listed.append(_as_list(word, members[before]))
        elif equals and option in members:
            listed.append(f"{option}={_as_list(value, members[option])}")
        else:
            listed.append(word)
    return listed


def _member(hint: Any) -> Any:
    """What a list is of, also where it may be null; None for all that is no list."""
    if get_origin(hint) in (UnionType, Union):
        return next((member for part in get_args(hint) if (member := _member(part)) is not None), None)
    return get_args(hint)[0] if get_origin(hint) is list else None


def _as_list(word: str, member: Any) -> str:
    if word.startswith(("[", "-")) or word == "null":
        return word
    return f"[{word}]" if member in (int, float) else json.dumps([word], ensure_ascii=False)


def add_task_settings(parser: Any, groups: Iterable[str] | None = None) -> None:
    """Adds the settings of all tasks, or of these, a group a task; `task_settings` reads them."""
    for name, kind in _task_groups().items():
        if groups is None or name in groups:
            parser.add_class_arguments(kind, name)


def task_settings(options: Any) -> TaskSettings:
    """The settings of all tasks among the options.

    Raises:
        ConfigError: a value makes no sense.
    """
    asked = {name: kind for name, kind in _task_groups().items() if name in options}
    settings = TaskSettings(**{name: kind(**options[name].as_dict()) for name, kind in asked.items()})
    settings.check()
    return settings


def check_task_settings(
    settings: TaskSettings, groups: Collection[str], of: str, usual: TaskSettings | None = None
) -> None:
    """Raises ConfigError for a setting that would be ignored: one of a group that is not among these.

    Args:
        settings: of all tasks.
        groups: that are gone by.
        of: whose those are, for the message: "a classifier".
        usual: what the settings are where nothing is said of them; None: the protocols'.
    """
    ignored = [name for name in _task_groups() if name not in groups]
    for name, *_ in settings.other_than(usual or TaskSettings(), ignored):
        held = " and ".join(f"--{group}.…" for group in groups) or "which has none"
        raise ConfigError(f"--{name}: expected settings of {of} ({held}), got one that would be ignored; leave it out")


def _task_groups() -> dict[str, Any]:
    return {group.name: type(getattr(TaskSettings(), group.name)) for group in fields(TaskSettings)}
