"""The presets that come with the package: YAML files in ``presets/`` that name a method and say what differs from the
defaults.
"""

from __future__ import annotations

from pathlib import Path

from pcm3.errors import ConfigError
from pcm3.packaged import packaged


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return list(packaged("presets", ".yaml"))


def preset_file(name: str) -> Path:
    """Where the preset of that name lies.

    Raises:
        ConfigError: there is no such preset.
    """
    presets = packaged("presets", ".yaml")
    if name not in presets:
        raise ConfigError(f"expected a preset ({', '.join(presets)}), got '{name}'")
    return presets[name]
