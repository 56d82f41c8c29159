"""What settings were called in earlier versions, so that an old name is answered with today's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
    "objective.keep": "objective.export",
}
"""Dotted name of before → of today."""
VALUES = {
    "encoder.input_features": {"itself": "joint"},
    "objective.export": {"query": "online", "key": "ema"},
    "objective.prediction_error": {"standardised": "normalised"},
}
"""Setting of today → word of before → word of today."""


def check_names(names: Iterable[str], where: str) -> None:
    """Raises ConfigError for the first name that a setting had in an earlier version, with the name that it has now.

    Args:
        names: dotted.
        where: how the message begins.
    """
    for name in names:
        if name in RENAMED:
            raise ConfigError(f"{where}setting {name} is called {RENAMED[name]} now")


def check_words(values: Mapping[str, Any], where: str) -> None:
    """Raises ConfigError for the first value that an earlier version had another word for.

    Args:
        values: by dotted name.
        where: how the message begins.
    """
    for name, words in VALUES.items():
        value = values.get(name)
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str) and word in words:
                raise ConfigError(f"{where}setting {name}: '{word}' is called '{words[word]}' now")
