"""What the parser says about a wrong command line, in plain words and one line."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

LONGEST = 80
"""Characters of a wrong value that are repeated."""
KEY = re.compile(r'Parser key "(?P<key>[\w.]+)"(?: element \d+)?:')
VALUE = re.compile(r".*(?:Got value|Given value): ?(?P<value>.*)$")
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}
SEVERAL = {int: "whole numbers", float: "numbers", str: "texts"}


def in_one_line(text: str, hints: dict[str, Any], help_command: str) -> str:
    """A message of jsonargparse's as "setting NAME: expected …, got …", without Python's types."""
    text = " ".join(text.split())
    key, value = KEY.search(text), VALUE.match(text)
    if key is not None and "Unable to load config" in text:
        got = re.search(r"Unable to load config '(.*?)'", text)
        return f"setting {key['key']}: expected its settings by name, as --{_first(key['key'], hints)}, got " + (
            shortened(got[1]) if got else "something else"
        )
    if key is not None and value is not None and key["key"] in hints:
        return f"setting {key['key']}: expected {in_words(hints[key['key']])}, got {_plain(value['value'])}"
    if key is not None and "Not of type" in text:  # as a path is, where a file has a mapping
        return f"setting {key['key']}: expected {in_words(hints.get(key['key']))}, got something else"
    if text.startswith(("Problems parsing config", "Unexpected config")):
        place = re.search(r"line \d+, column \d+", text)
        where = f" (it is none at {place[0]})" if place else ""
        return f"setting config: expected YAML with settings by name, as 'batch: 128'{where}"
    text = re.sub(r"^argument (--[\w-]+): ignored explicit argument '(.*)'$", r"\1 takes no value, got '\2'", text)
    text = re.sub(r'^Parser key "([\w.]+)": ', r"setting \1: ", text)
    if text.startswith("the following arguments are required"):
        text += f" ({help_command} lists them)"
    # Options that do not exist were refused before: what is left over are words that no argument takes.
    replacement = rf"got too many words: \1 ({help_command} tells what goes where)"
    return re.sub("^unrecognized arguments: (.*)$", replacement, text)


def in_words(hint: Any) -> str:
    """What a setting of this type may be, for people."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        return " or ".join(in_words(member) for member in inner)
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, inner))}"
    if origin is list:
        return f"a list of {_several(inner[0])}"
    if origin is tuple:
        return f"a list of {len(inner)} {_several(inner[0])}"
    if isinstance(hint, type) and issubclass(hint, Path):
        return "a path"
    return WORDS.get(hint, "another value")


def shortened(text: str) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _several(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(map(repr, typing.get_args(hint)))
    return SEVERAL.get(hint, "values")


def _plain(value: str) -> str:
    """The value as YAML has it."""
    return shortened({"None": "null", "True": "true", "False": "false", "": "nothing"}.get(value, value))


def _first(group: str, hints: dict[str, Any]) -> str:
    return next((name for name in hints if name.startswith(f"{group}.")), group)
