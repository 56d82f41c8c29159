"""The action classes: what a person does, as poses to go to and the seconds that takes.

An action is a few ways of doing it; a way is some keys before, a cycle that is repeated, and some keys after. A key
names only the channels that matter (`body.CHANNELS`); the others go back to how this person happens to stand.
The ways are in `arm_actions` and `body_actions`. To add a class, add an entry at the end of `ACTION_TABLE`: its number
is its place.
"""

from __future__ import annotations

from pcm3.data.simulate.arm_actions import (
    BRUSH_TEETH,
    CHECK_WATCH,
    CLAP,
    DRINK,
    HANDS_UP,
    PHONE_CALL,
    POINT,
    PUNCH,
    SALUTE,
    THROW,
    WAVE,
)
from pcm3.data.simulate.body_actions import BOW, JOG, JUMP, KICK, PICK_UP, SIT_DOWN, SQUAT, STAND_UP, WALK
from pcm3.data.simulate.script import Way

ACTION_TABLE: dict[str, tuple[Way, ...]] = {
    "drink": DRINK,
    "wave": WAVE,
    "throw": THROW,
    "kick": KICK,
    "sit down": SIT_DOWN,
    "stand up": STAND_UP,
    "clap": CLAP,
    "jump": JUMP,
    "bow": BOW,
    "walk": WALK,
    "punch": PUNCH,
    "squat": SQUAT,
    "phone call": PHONE_CALL,
    "brush teeth": BRUSH_TEETH,
    "salute": SALUTE,
    "pick up": PICK_UP,
    "jog": JOG,
    "hands up": HANDS_UP,
    "check watch": CHECK_WATCH,
    "point": POINT,
}
"""Ways by class name, in the order of the action numbers."""

ACTIONS = tuple(ACTION_TABLE)
"""The class names; action number n is `ACTIONS[n - 1]`."""
