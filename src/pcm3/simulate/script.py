"""How an action is written down: keys and ways, beats and pair ways, and the poses that several actions share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Values = tuple[float | int, ...]
Pose = Mapping[str, Values]


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


@dataclass(frozen=True)
class Beat:
    """Both going to a pose and, if `hold`, staying there: a key of two people on one clock."""

    seconds: float
    actor: Pose
    reactor: Pose
    hold: float = 0.0
    near: bool = False
    """They are as far apart as the way says, and touch where it says."""
    travel: Values = (0.0, 0.0)
    """Leg lengths that actor and reactor move forward on the way."""
    turn: Values = (0.0, 0.0)
    """Radians that actor and reactor turn to their left on the way."""


@dataclass(frozen=True)
class Contact:
    """A hand that touches the other person while the two are near."""

    by: int
    """0 the actor's, 1 the reactor's."""
    hand: str
    """``hand`` or ``hand2``."""
    joint: str
    """Of the other; paired ones without the side (``shoulder``), ``2`` marking the side that does not act."""
    beside: Values = (0.0, 0.0, 0.0)
    """From the joint to the place that is touched, metres: to the other's right, up, to his front."""

    @property
    def meets(self) -> bool:
        """Whether hand meets hand half way."""
        return self.joint.removesuffix("2") == "hand" and self.beside == (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class PairWay:
    """One way of doing something with somebody."""

    apart: float
    """How far the reactor is in front of the actor when they are near, in lengths of the shorter arm of both."""
    begin: tuple[Beat, ...] = ()
    cycle: tuple[Beat, ...] = ()
    cycles: tuple[int, int] = (1, 1)
    end: tuple[Beat, ...] = ()
    contacts: tuple[Contact, ...] = ()
    beside: float = 0.0
    """How far he is to the actor's right, in arm lengths."""
    facing: float = math.pi
    """Where the reactor looks then, from where the actor looks: pi is at him, 0 where he looks himself."""
    right_handed: bool = False
    """Whether left-handers do it with the right hand as well."""


def both(pose: Pose) -> dict[str, Values]:
    """The pose with the other arm or leg doing what the acting one does."""
    paired = {name + "2": value for name, value in pose.items() if name in ("hand", "elbow", "wrist", "foot")}
    return {**pose, **paired}


def swapped(pose: Pose) -> dict[str, Values]:
    """The pose with the two sides exchanged."""
    one_sided = ("turn", "twist", "tilt")
    names = {name: name.removesuffix("2") if name.endswith("2") else name + "2" for name in pose}
    limbs = ("hand", "elbow", "wrist", "foot")
    result: dict[str, Values] = {}
    for name, value in pose.items():
        if name.removesuffix("2") in limbs:
            result[names[name]] = value
        elif name in one_sided or name == "pelvis":
            result[name] = (-value[0], *value[1:])
        elif name == "head":
            result[name] = (value[0], -value[1], -value[2])
        else:
            result[name] = value
    return result


def other_handed(way: Way) -> Way:
    """The way with the other side acting."""

    def keys(several: tuple[Key, ...]) -> tuple[Key, ...]:
        return tuple(replace(key, pose=swapped(key.pose)) for key in several)

    return replace(
        way,
        begin=keys(way.begin),
        cycle=keys(way.cycle),
        end=keys(way.end),
        start=swapped(way.start),
        finish=swapped(way.finish),
        exact=tuple(swapped(dict.fromkeys(way.exact, (0.0, 0.0, 0.0)))),
    )


def other_handed_pair(way: PairWay) -> PairWay:
    """The way as a mirror shows it."""

    def beats(several: tuple[Beat, ...]) -> tuple[Beat, ...]:
        return tuple(
            replace(b, actor=swapped(b.actor), reactor=swapped(b.reactor), turn=(-b.turn[0], -b.turn[1]))
            for b in several
        )

    def other(name: str) -> str:
        paired = name.removesuffix("2") in ("hand", "shoulder")
        return name if not paired else name.removesuffix("2") if name.endswith("2") else name + "2"

    contacts = tuple(
        replace(c, hand=other(c.hand), joint=other(c.joint), beside=(-c.beside[0], *c.beside[1:])) for c in way.contacts
    )
    return replace(
        way,
        begin=beats(way.begin),
        cycle=beats(way.cycle),
        end=beats(way.end),
        contacts=contacts,
        beside=-way.beside,
        facing=-way.facing,
    )


# Where elbows point (out, up, forward).
LOW, FLARED, OUT, BACK = (0.7, -1.0, 0.1), (1.0, -0.6, 0.1), (1.0, 0.0, -0.1), (0.3, -0.3, -1.0)
ELBOWS: dict[str, Values] = {"low": LOW, "flared": FLARED, "out": OUT, "back": BACK}
"""By the names that the files of actions have for them."""
SEATED: Pose = {"pelvis": (0.0, -0.46, -0.36), "lean": (0.06,)}
