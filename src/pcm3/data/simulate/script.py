"""How an action is written down: keys, ways, and the poses that several actions share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Numbers = tuple[float | int, ...]
Pose = Mapping[str, Numbers]


@dataclass(frozen=True)
class Key:
    """Going to a pose and, if `hold`, staying there."""

    seconds: float
    pose: Pose
    hold: float = 0.0
    travel: float = 0.0
    """Leg lengths that the body moves forward on the way."""


@dataclass(frozen=True)
class Way:
    """One way of performing an action."""

    begin: tuple[Key, ...] = ()
    cycle: tuple[Key, ...] = ()
    cycles: tuple[int, int] = (1, 1)
    """How many times the cycle may be repeated, at least and at most."""
    end: tuple[Key, ...] = ()
    start: Pose = field(default_factory=dict)
    """How the posture before the action differs from standing."""
    finish: Pose = field(default_factory=dict)
    """How the posture after the action differs from standing."""
    exact: tuple[str, ...] = ()
    """Channels that no one does larger or smaller: the hand meets the mouth, the chair is where it is."""
    seatable: bool = False
    """Whether one may do it on a chair."""


def key(seconds: float, hold: float = 0.0, /, **pose: Numbers) -> Key:
    """A key with its pose as keyword arguments."""
    return Key(seconds, pose, hold)


def both(pose: Pose) -> dict[str, Numbers]:
    """The pose with the other arm or leg doing what the acting one does."""
    paired = {name + "2": value for name, value in pose.items() if name in ("hand", "elbow", "wrist", "foot")}
    return {**pose, **paired}


def swapped(pose: Pose) -> dict[str, Numbers]:
    """The pose with the two sides exchanged."""
    one_sided = ("turn", "twist", "tilt")
    names = {name: name.removesuffix("2") if name.endswith("2") else name + "2" for name in pose}
    limbs = ("hand", "elbow", "wrist", "foot")
    result: dict[str, Numbers] = {}
    for name, value in pose.items():
        if name.removesuffix("2") in limbs:
            result[names[name]] = value
        elif name in one_sided or name == "pelvis":
            result[name] = (-value[0], *value[1:])
        else:
            result[name] = value
    return result


# Where elbows point (out, up, forward).
LOW, FLARED, OUT, BACK = (0.7, -1.0, 0.1), (1.0, -0.6, 0.1), (1.0, 0.0, -0.1), (0.3, -0.3, -1.0)

SEATED: Pose = {"pelvis": (0.0, -0.46, -0.36), "lean": (0.06,)}
AT_MOUTH: Pose = {"hand": (-0.18, 0.14, 0.36), "elbow": LOW, "wrist": (0.5,)}
ON_TABLE: Pose = {"hand": (-0.05, -0.32, 0.62), "elbow": LOW}
AT_EAR: Pose = {"hand": (-0.08, 0.26, 0.14), "elbow": (0.5, -1.0, 0.3), "wrist": (0.3,)}
AT_BROW: Pose = {"hand": (0.04, 0.42, 0.26), "elbow": OUT, "wrist": (0.35,)}
GUARD: Pose = both({"hand": (-0.12, 0.02, 0.40), "elbow": LOW, "wrist": (0.2,)})
HIGH: Pose = {"hand": (0.12, 0.97, 0.10), "elbow": OUT}
