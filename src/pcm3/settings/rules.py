"""What settings must keep to, and how it is said where one does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pcm3.errors import ConfigError

Rule = tuple[bool, str, str]
"""Whether it is kept, the dotted name of the setting (or of a group of them), what was expected."""


def enforce(rules: Iterable[Rule], values: Mapping[str, Any]) -> None:
    """Raises ConfigError for the first rule that is not kept.

    Args:
        rules: in the order in which they are looked at.
        values: of the settings, by dotted name.
    """
    for kept, name, expected in rules:
        if not kept:
            raise ConfigError(f"setting {name}: expected {expected}, got {values.get(name, 'none')}")
