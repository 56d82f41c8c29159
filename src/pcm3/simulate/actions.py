"""The action classes: what a person does, or two do together, as poses to go to and the seconds that takes.

An action is a few ways of doing it; a way is some keys before, a cycle that is repeated, and some keys after. A key
names only the channels that matter (`body.CHANNELS`); the others go back to how this person happens to stand.
A pair's action has beats instead, keys for both on one clock. All are data, in the YAML files beside this one. To add a
class, add an entry at the end of ``pair_actions.yaml``: its number is its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from pcm3.packaged import packaged
from pcm3.simulate.script import ELBOWS, SEATED, Beat, Contact, Key, PairWay, Pose, Values, Way, both, swapped

STRIDE = 0.19
"""Leg lengths, half a step of those who walk to each other."""


def read(name: str) -> dict[str, Any]:
    """What a file beside this one holds."""
    data: dict[str, Any] = yaml.safe_load(packaged("simulate", ".yaml")[name].read_text(encoding="utf-8"))
    return data


def pose_of(written: str | Mapping[str, Any] | Sequence[Any]) -> dict[str, Values]:
    """A pose as the files have it: the name of one, its channels, or a list of poses that are put together."""
    if isinstance(written, str):
        return dict(POSES[written])
    if isinstance(written, Sequence):
        return {name: value for part in written for name, value in pose_of(part).items()}
    pose: dict[str, Values] = {}
    for name, value in written.items():
        if name in SIDES:
            pose |= SIDES[name](pose_of(value))
        elif isinstance(value, str):
            pose[name] = ELBOWS[value]
        else:
            pose[name] = tuple(value) if isinstance(value, list) else (value,)
    return pose


SIDES = {"both": both, "swapped": swapped}
POSES: dict[str, Pose] = {"seated": SEATED}
"""By name; each may be made of those before it."""
for _name, _written in read("poses").items():
    POSES[_name] = pose_of(_written)


def _key(written: list[Any]) -> Key:
    """Seconds to get there, perhaps seconds to stay, then poses."""
    seconds, *rest = written
    hold = rest.pop(0) if rest and isinstance(rest[0], int | float) else 0.0
    pose = pose_of(rest)
    (travel,) = pose.pop("travel", (0.0,))
    return Key(seconds, pose, hold, travel)


def _way(written: Mapping[str, Any]) -> Way:
    values = dict(written)
    for part in ("begin", "cycle", "end"):
        values[part] = tuple(_key(key) for key in values.get(part, ()))
    if values.pop("both_sides", False):
        values["cycle"] += tuple(replace(key, pose=swapped(key.pose)) for key in values["cycle"])
    for posture in ("start", "finish"):
        values[posture] = pose_of(values.get(posture, {}))
    return Way(**values | {name: tuple(values[name]) for name in ("cycles", "exact") if name in values})


def _beats(written: list[Any] | Mapping[str, Any]) -> tuple[Beat, ...]:
    """One beat, or what is written as the name of several."""
    if isinstance(written, list):
        seconds, actor, reactor, *more = written
        others: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in dict(*more).items()
        }
        return (Beat(seconds, pose_of(actor), pose_of(reactor), **others),)
    if "walking" in written:
        return walking(written["walking"], written["who"])
    actor, arms = map(pose_of, written["driven_back"])
    return driven_back(actor, arms, written["far"], written["bend"])


def walking(steps: int, who: Sequence[int]) -> tuple[Beat, ...]:
    """Both (`who` is 1, 1), or one of them, walking so many steps forward."""
    level = POSES["level"]
    lifted: Pose = {**level, "foot": (0, 0.10, 0.08), "foot2": (0, 0, -0.5 * STRIDE)}
    contact: Pose = {**POSES["swing"], "foot": (0, 0, STRIDE), "foot2": (0, 0.03, -STRIDE)}
    contact = {**contact, "pelvis": (0, -STRIDE * STRIDE, 0)}
    passing, last = POSES["passing"], {**level, "foot2": (0, 0.07, -0.3 * STRIDE), "foot": (0, 0, 0.3 * STRIDE)}
    strides: list[tuple[Pose, float]] = [(lifted, 0.5), (contact, 0.5)]
    for step in range(1, steps):
        strides += [(passing, 1.0), (swapped(contact), 1.0)] if step % 2 else [(swapped(passing), 1.0), (contact, 1.0)]
    strides += [(last if steps % 2 else swapped(last), 0.7), ({}, 0.3)]
    actor, reactor = who
    return tuple(
        Beat(
            0.27, pose if actor else {}, pose if reactor else {}, travel=(actor * far * STRIDE, reactor * far * STRIDE)
        )
        for pose, far in strides
    )


def driven_back(actor: Pose, arms: Pose, far: float, bend: float) -> tuple[Beat, ...]:
    """The reactor is thrown back a step, `far` times a long one, and finds his balance; the actor looks on."""
    s = 0.35 * far
    hit: Pose = {**arms, "lean": (bend,), "head": (0.8 * bend, 0, 0)}
    return (
        Beat(0.17, actor, {**hit, "foot": (0, 0, 0.5 * s), "foot2": (0, 0.07, -0.6 * s)}, travel=(0, -0.5 * s)),
        Beat(0.22, actor, {**hit, "foot": (0, 0, 0.95 * s), "foot2": (0, 0, -0.15 * s)}, travel=(0, -0.45 * s)),
        Beat(0.35, {}, {"foot": (0, 0.05, 0.4 * s), "lean": (0.3 * bend,)}, travel=(0, -0.15 * s)),
    )


def _pair_way(written: Mapping[str, Any]) -> PairWay:
    values = dict(written)
    for part in ("begin", "cycle", "end"):
        values[part] = tuple(beat for several in values.get(part, ()) for beat in _beats(several))
    values["contacts"] = tuple(
        Contact(("actor", "reactor").index(by), hand, joint, *map(tuple, beside))
        for by, hand, joint, *beside in values.get("contacts", ())
    )
    return PairWay(**values | {"cycles": tuple(values.get("cycles", (1, 1)))})


SOLO_ACTIONS = {name: tuple(map(_way, ways)) for name, ways in read("solo_actions").items()}
"""What one person does: ways by class name."""
PAIR_ACTIONS = {name: tuple(map(_pair_way, ways)) for name, ways in read("pair_actions").items()}
"""What two people do."""
ACTIONS = (*SOLO_ACTIONS, *PAIR_ACTIONS)
"""The class names; action number n is `ACTIONS[n - 1]`."""
