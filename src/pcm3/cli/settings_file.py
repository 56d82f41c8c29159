"""YAML files that people write: read strictly, and within bounds, before anything else looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pcm3.errors import ConfigError

MOST_BYTES = 2**17
"""Of a file; reading as many takes a few seconds."""
MOST_VALUES = 50_000
"""Of a file whose aliases are written out: a few lines of aliases of aliases are more than any memory holds."""


def read_settings_file(file: Path, where: str) -> Any:
    """What a YAML file of settings holds; `where` is how a message about it begins.

    Raises:
        ConfigError: it is no file, too large, no text, no YAML, names something twice, or grows without end.
    """
    expected = f"{where}: expected a YAML file of settings, but {file}"
    if not file.exists():
        raise ConfigError(f"{expected} does not exist")
    if not file.is_file():
        raise ConfigError(f"{expected} is {'a folder' if file.is_dir() else 'no ordinary file'}")
    if file.stat().st_size > MOST_BYTES:
        raise ConfigError(f"{expected} is {file.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _Strict)
    except UnicodeDecodeError:
        raise ConfigError(f"{expected} is not text in UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{expected} is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigError(f"{expected} is not what YAML may be: {error.problem}{place}") from None
    except (yaml.YAMLError, ValueError) as error:  # as letters that do not print, or 31 February
        raise ConfigError(f"{expected} is not what YAML may be: {str(error).splitlines()[0]}") from None


class _Strict(yaml.SafeLoader):
    """YAML in which no name stands twice, where PyYAML would take the last, and aliases stay within bounds."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None and _values(node, {}) > MOST_VALUES:
            raise yaml.composer.ComposerError(None, None, f"its aliases make more than {MOST_VALUES:,} values of it")
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in names:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            names.add(key.value)
        return dict(super().construct_mapping(node, deep))


def _values(node: Any, known: dict[int, int]) -> int:
    """How many values the node has with its aliases written out; too many where it is a part of itself."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = (part for entry in inner for part in (entry if isinstance(entry, tuple) else (entry,)))
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]
