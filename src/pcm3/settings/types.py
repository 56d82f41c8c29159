"""Whether settings that come from a file hold values of their types; the command line's parser looks at its own."""

from __future__ import annotations

from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pcm3.errors import ConfigError, brief
from pcm3.settings.method import MethodSettings


def check_types(settings: Any, prefix: str = "") -> None:
    """Raises ConfigError where a value is of another type than its setting; says which, and what came."""
    for name, hint in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if is_dataclass(hint) and type(value) is hint:
            check_types(value, f"{prefix}{name}.")
        elif hint is MethodSettings:  # the settings of a method, whose names stand beside the run's
            check_types(value, prefix)
        elif not _fits(value, hint):
            expected = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            raise ConfigError(f"setting {prefix}{name}: expected {expected}, got {brief(value)}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of plain data is of a type as settings have them."""
    args = get_args(hint)
    if get_origin(hint) is Literal:
        return value in args
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, arg) for arg in args)
    if get_origin(hint) is list:
        return isinstance(value, list) and all(_fits(entry, args[0]) for entry in value)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and len(value) == len(args) and all(map(_fits, value, args))
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint
