"""What settings must keep to, and how it is said where one does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Integral
from typing import Any

from pcm3.errors import ConfigError
from pcm3.limits import check_real, check_type

Rule = tuple[bool, str, str]
"""Whether it is kept, the dotted name of the setting (or of a group of them), what was expected."""


def check_fields(settings: Any) -> None:
    """Raises ConfigError for the first field of a dataclass that is to be a number and is none."""
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if entry.type == "int":
            check_type(f"setting {entry.name}", value, Integral, "a whole number")
        elif entry.type == "float":
            check_real(entry.name, value)


def at_least_one(settings: object, *names: str, group: str = "") -> list[Rule]:
    """That these of the settings are 1 or more, or None."""
    values = {name: getattr(settings, name) for name in names}
    return [(value is None or value >= 1, group + name, "at least 1") for name, value in values.items()]


def positive(settings: object, *names: str, group: str = "") -> list[Rule]:
    """That these of the settings are more than 0."""
    return [(getattr(settings, name) > 0, group + name, "more than 0") for name in names]


def not_negative(settings: object, *names: str, group: str = "") -> list[Rule]:
    """That these of the settings are 0 or more."""
    return [(getattr(settings, name) >= 0, group + name, "not negative") for name in names]


def epochs(drop_epochs: Iterable[int], name: str = "drop_epochs") -> Rule:
    """That the rate drops after epochs that there are."""
    return all(drop >= 1 for drop in drop_epochs), name, "epochs, 1 or more"


def enforce(rules: Iterable[Rule], values: Mapping[str, Any]) -> None:
    """Raises ConfigError for the first rule that is not kept, with the value of that dotted name."""
    for kept, name, expected in rules:
        if not kept:
            raise ConfigError(f"setting {name}: expected {expected}, got {values.get(name, 'none')}")
