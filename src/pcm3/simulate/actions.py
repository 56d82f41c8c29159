"""The action classes: what a person does, or two do together, as poses to go to and the seconds that takes.

An action is a few ways of doing it; a way is some keys before, a cycle that is repeated, and some keys after. A key
names only the channels that matter (`body.CHANNELS`); the others go back to how this person happens to stand.
A pair's action has beats instead, keys for both on one clock. The ways are in `arm_actions`, `body_actions`,
`pair_actions` and `fight_actions`. To add a class, add an entry at the end of `ACTION_TABLE`: its number is its place.
"""

from __future__ import annotations

from pcm3.simulate.arm_actions import (
    BRUSH_TEETH,
    CHECK_WATCH,
    CLAP,
    CROSS_ARMS,
    DRINK,
    HANDS_UP,
    LOOK_AROUND,
    PHONE_CALL,
    POINT,
    PUNCH,
    PUT_ON_HAT,
    RUB_HANDS,
    SALUTE,
    STRETCH,
    THROW,
    WAVE,
    WIPE_FACE,
)
from pcm3.simulate.body_actions import BOW, HOP, JOG, JUMP, KICK, PICK_UP, SIT_DOWN, SQUAT, STAGGER, STAND_UP, WALK
from pcm3.simulate.fight_actions import KICK_OTHER, PUNCH_OTHER, PUSH
from pcm3.simulate.pair_actions import (
    HIGH_FIVE,
    HUG,
    PASS_OBJECT,
    PAT_BACK,
    POINT_AT_OTHER,
    SHAKE_HANDS,
    WALK_APART,
    WALK_TOWARDS,
    WHISPER,
)
from pcm3.simulate.script import PairWay, Way

SOLO_ACTIONS: dict[str, tuple[Way, ...]] = {
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
    "cross arms": CROSS_ARMS,
    "rub hands": RUB_HANDS,
    "put on hat": PUT_ON_HAT,
    "wipe face": WIPE_FACE,
    "stretch": STRETCH,
    "look around": LOOK_AROUND,
    "hop": HOP,
    "stagger": STAGGER,
}
"""What one person does: ways by class name."""

PAIR_ACTIONS: dict[str, tuple[PairWay, ...]] = {
    "shake hands": SHAKE_HANDS,
    "hug": HUG,
    "push other": PUSH,
    "pass object": PASS_OBJECT,
    "punch other": PUNCH_OTHER,
    "kick other": KICK_OTHER,
    "high five": HIGH_FIVE,
    "pat on back": PAT_BACK,
    "point at other": POINT_AT_OTHER,
    "whisper": WHISPER,
    "walk towards": WALK_TOWARDS,
    "walk apart": WALK_APART,
}
"""What two people do."""

ACTIONS = (*SOLO_ACTIONS, *PAIR_ACTIONS)
"""The class names; action number n is `ACTIONS[n - 1]`."""
