"""Wrong command lines, derived from each command's own parser: every option with values that it cannot have."""

import importlib
import typing
from pathlib import Path
from types import NoneType, UnionType

from jsonargparse import ArgumentParser

HUGE = "1" + 24 * "0"
WHOLE = ("x", "1.5", "nan", "-7", "1e400", ".nan", ".inf", "[3]", "{a: 1}", "true", HUGE)
NUMBER = ("x", "nan", ".nan", ".inf", "inf", "-inf", "-7.5", "[3]", "1e400")
WRONG = {int: WHOLE, float: NUMBER, bool: ("2", "maybe", "[true]"), str: ("",)}
UNASKED = ("--help", "--config", "--print_config", "--json")


def parser_of(command, words):
    """The command's parser."""
    module = importlib.import_module(f"pcm3.cli.{'import_' if command == 'import' else command}")
    parser = ArgumentParser(prog=f"pcm3 {command}", exit_on_error=False, default_env=False)
    module.add_arguments(parser, words)
    return parser


def wrong_values(hint):
    """Values that no option of this type can have."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        return wrong_values(next(one for one in inner if one is not NoneType))
    if origin is list or origin is tuple:
        return ("{a: 1}", "nosuch", *(f"[{value}]" for value in wrong_values(inner[0]) if value))
    if origin is typing.Literal:
        return ("nosuch", "3.5", "[x]", "")
    if isinstance(hint, type) and issubclass(hint, Path):
        return ("",)
    return WRONG.get(hint, ())


def wrong_lines(command, base):
    """(option, value) and words, for every option of the command and every value that it cannot have."""
    for action in parser_of(command, base)._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        if not names or names[0] in UNASKED:
            continue
        for value in wrong_values(getattr(action, "_typehint", None) or action.type):
            alone = action.nargs in (None, "?", 0)
            yield (names[0], value), [*base, *([f"{names[0]}={value}"] if alone else [names[0], value])]
