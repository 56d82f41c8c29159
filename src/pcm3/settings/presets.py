"""The presets that come with the package: YAML files in ``presets/`` that name a method and say what differs from the
defaults.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from pcm3.errors import ConfigError
from pcm3.packaged import packaged
from pcm3.settings.pretrain import PretrainSettings, from_dict


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
        once = [of for of in presets if of.removesuffix("-small") == of or of.removesuffix("-small") not in presets]
        listed = ", ".join(f"{of}[-small]" if f"{of}-small" in presets else of for of in once)
        raise ConfigError(f"expected a preset ({listed}), got '{name}'")
    return presets[name]


def settings_of_preset(name: str) -> PretrainSettings:
    """The settings of a preset, as ``pcm3 pretrain --preset NAME`` has them.

    Raises:
        ConfigError: there is no such preset.
    """
    return from_dict(yaml.safe_load(preset_file(name).read_text(encoding="utf-8")) or {})
