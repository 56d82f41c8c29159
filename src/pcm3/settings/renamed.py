"""What settings were called in earlier versions, so that an old name is answered with today's."""

from __future__ import annotations

from collections.abc import Mapping

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


def check_name(name: str, dashes: str, where: str, renamed: Mapping[str, str] = RENAMED) -> None:
    """Raises ConfigError for a name that a setting had in an earlier version, with the name that it has now.

    Args:
        name: dotted.
        dashes: what stands before it, on a command line.
        where: how the message begins.
        renamed: names of before → of today.
    """
    if name in renamed:
        raise ConfigError(f"{where}unknown setting {dashes}{name}: it is called {dashes}{renamed[name]} now")
