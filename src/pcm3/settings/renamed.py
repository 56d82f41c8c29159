"""What settings and their values were called in earlier versions, so that old words are answered with today's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pcm3.errors import ConfigError

RENAMED = {
    "hidden": "encoder.hidden_size",
    "layers": "encoder.layers",
    "direction": "encoder.direction",
    "pooling": "encoder.pooling",
    "network": "encoder.kind",
    "sees": "encoder.input_features",
    "standardise": "encoder.normalise_features",
    "leave_out": "exclude_subjects",
    "accumulate": "micro_batches",
    "views.frames": "frames",
    "views.least_frames": "views.min_frames",
    "views.jitter": "views.jitter_joint_ratio",
    "views.jittered": "views.jitter_prob",
    "views.turn": "views.yaw",
    "views.limbs": "views.bone_scale",
    "views.mirror": "views.flip_prob",
    "views.mix_per_clip": "mix.per_clip",
    "objective.keep": "objective.export",
    "prediction.hidden": "prediction.hidden_size",
}
"""Dotted name of before → of today."""
RENAMED_OF_IMPORT = {"leave_out": "skip_list"}
"""The same for the options of ``pcm3 import``."""

RENAMED_VALUES = {
    "encoder.input_features": {"itself": "joint"},
    "objective.export": {"query": "online", "key": "ema"},
    "objective.prediction_error": {"standardised": "normalised"},
}
"""Dotted name of today → value of before → of today."""


def check_name(name: str, dashes: str, where: str, renamed: Mapping[str, str] = RENAMED) -> None:
    """Raises ConfigError for a name that a setting had in an earlier version, with the name that it has now."""
    if name in renamed:
        raise ConfigError(f"{where}unknown setting {dashes}{name}: it is called {dashes}{renamed[name]} now")


def check_value(name: str, value: object, dashes: str, where: str) -> None:
    """Raises ConfigError for a value, or one in a list, that had another name in an earlier version, with today's."""
    words = value if isinstance(value, list) else re.findall(r"\w+", value) if isinstance(value, str) else []
    for before, now in RENAMED_VALUES.get(name, {}).items():
        if before in words:
            raise ConfigError(f"{where}setting {dashes}{name}: '{before}' is called '{now}' now")


def dotted(data: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The dotted names of what a YAML or JSON file holds, groups included, and their values."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield f"{prefix}{name}", value
            yield from dotted(value, f"{prefix}{name}.")
