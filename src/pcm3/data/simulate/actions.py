"""The action classes: what a person does, as poses to go to and the seconds that takes.

An action is a few ways of doing it; a way is some keys before, a cycle that is repeated, and some keys after. A key
names only the channels that matter (`body.CHANNELS`); the others go back to how this person happens to stand.
To add a class, add an entry at the end of `ACTION_TABLE`: its number is its place.
"""

from __future__ import annotations

from pcm3.data.simulate.script import (
    AT_BROW,
    AT_EAR,
    AT_MOUTH,
    BACK,
    FLARED,
    GUARD,
    HIGH,
    LOW,
    ON_TABLE,
    OUT,
    SEATED,
    Key,
    Numbers,
    Pose,
    Way,
    both,
    key,
    swapped,
)

DRINK = (
    Way(
        begin=(key(0.7, 0.15, **ON_TABLE),),
        cycle=(key(0.7, 0.6, **AT_MOUTH, head=(-0.25, 0, 0)), key(0.6, 0.2, **ON_TABLE)),
        cycles=(1, 2),
        exact=("hand", "wrist"),
        seatable=True,
    ),
    Way(
        begin=(key(0.8, 0.1, **AT_MOUTH, head=(-0.1, 0, 0)), key(0.3, 0.8, **AT_MOUTH, head=(-0.4, 0, 0))),
        exact=("hand", "wrist"),
        seatable=True,
    ),
    Way(  # a bowl, with two hands
        begin=(key(0.7, 0.15, **both(ON_TABLE)),),
        cycle=(key(0.8, 0.7, **both(AT_MOUTH), head=(-0.2, 0, 0)),),
        end=(key(0.7, **both(ON_TABLE)),),
        exact=("hand", "hand2", "wrist", "wrist2"),
        seatable=True,
    ),
)

WAVE = (
    Way(
        begin=(key(0.6, hand=(0.35, 0.65, 0.25), elbow=FLARED),),
        cycle=(
            key(0.25, hand=(0.62, 0.55, 0.22), elbow=FLARED),
            key(0.25, hand=(0.08, 0.66, 0.28), elbow=FLARED),
        ),
        cycles=(2, 5),
        seatable=True,
    ),
    Way(
        begin=(key(0.5, hand=(0.15, 0.18, 0.42), elbow=LOW),),
        cycle=(
            key(0.22, hand=(0.36, 0.14, 0.38), elbow=LOW),
            key(0.22, hand=(-0.06, 0.20, 0.42), elbow=LOW),
        ),
        cycles=(3, 6),
        seatable=True,
    ),
    Way(
        begin=(key(0.7, hand=(0.15, 0.97, 0.1), elbow=OUT),),
        cycle=(
            key(0.35, hand=(0.45, 0.85, 0.1), elbow=OUT, tilt=(0.05,)),
            key(0.35, hand=(-0.15, 0.95, 0.1), elbow=OUT, tilt=(-0.05,)),
        ),
        cycles=(2, 4),
    ),
)

THROW = (
    Way(
        begin=(key(0.6, 0.1, hand=(0.35, 0.35, -0.40), elbow=OUT, twist=(0.5,), lean=(-0.1,), foot2=(0, 0, 0.2)),),
        cycle=(
            key(0.2, hand=(0.0, 0.50, 0.80), elbow=OUT, twist=(-0.25,), lean=(0.15,), foot2=(0, 0, 0.3)),
            key(0.2, hand=(-0.35, -0.45, 0.65), elbow=OUT, twist=(-0.5,), lean=(0.3,), foot2=(0, 0, 0.3)),
        ),
    ),
    Way(  # underarm
        begin=(key(0.6, 0.1, hand=(0.1, -0.80, -0.50), elbow=(0.6, 0, -1), lean=(0.2,), foot2=(0, 0, 0.2)),),
        cycle=(key(0.35, 0.2, hand=(-0.05, 0.15, 0.95), elbow=LOW, lean=(0.05,), foot2=(0, 0, 0.25)),),
    ),
    Way(  # from the chest, sideways first
        begin=(key(0.5, hand=(-0.1, -0.1, 0.35), elbow=FLARED), key(0.4, hand=(0.3, 0.2, -0.1), elbow=OUT)),
        cycle=(key(0.2, 0.1, hand=(-0.05, 0.25, 0.93), elbow=FLARED, twist=(-0.3,), lean=(0.15,)),),
    ),
)

KICK = (
    Way(
        begin=(key(0.4, foot=(0.03, 0.14, -0.35), pelvis=(-0.09, 0, 0), hand=(0.35, -0.7, 0.1), elbow=BACK),),
        cycle=(
            key(
                0.22,
                foot=(-0.03, 0.48, 0.85),
                pelvis=(-0.09, 0, 0.03),
                lean=(-0.18,),
                hand=(0.45, -0.6, -0.3),
                hand2=(0.35, -0.4, 0.5),
            ),
            key(0.4, foot=(0, 0.05, 0.05), pelvis=(-0.06, 0, 0)),
        ),
    ),
    Way(  # karate: knee up first
        begin=(key(0.45, **GUARD, foot=(-0.05, 0.50, 0.25), pelvis=(-0.08, 0, 0)),),
        cycle=(
            key(0.2, **GUARD, foot=(-0.05, 0.90, 0.95), pelvis=(-0.08, 0, 0.05), lean=(-0.3,)),
            key(0.25, **GUARD, foot=(-0.05, 0.45, 0.20), pelvis=(-0.08, 0, 0)),
        ),
        cycles=(1, 2),
    ),
    Way(  # with the inside of the foot, low
        begin=(key(0.35, foot=(0.12, 0.10, -0.25), pelvis=(-0.08, 0, 0), foot2=(0, 0, 0.08)),),
        cycle=(key(0.22, foot=(-0.15, 0.24, 0.65), pelvis=(-0.08, 0, 0.05), twist=(0.25,), foot2=(0, 0, 0.08)),),
    ),
)

ON_KNEES: Pose = both({"hand": (-0.05, -0.68, 0.58), "elbow": BACK})
SIT_DOWN = (
    Way(
        begin=(
            key(0.6, lean=(0.6,), pelvis=(0, -0.20, -0.15)),
            key(0.5, lean=(0.35,), pelvis=(0, -0.46, -0.34)),
        ),
        finish=SEATED,
        exact=("pelvis",),
    ),
    Way(  # looks for the chair, then holds on to the knees
        begin=(
            key(0.5, 0.2, twist=(0.5,), head=(0.3, 0.6, 0)),
            key(0.7, **ON_KNEES, lean=(0.7,), pelvis=(0, -0.30, -0.22)),
            key(0.5, **ON_KNEES, lean=(0.2,), pelvis=(0, -0.46, -0.36)),
        ),
        finish={**SEATED, **ON_KNEES},
        exact=("pelvis",),
    ),
)
STAND_UP = (
    Way(
        begin=(
            key(0.5, lean=(0.65,), pelvis=(0, -0.44, -0.28)),
            key(0.5, lean=(0.35,), pelvis=(0, -0.15, -0.08)),
        ),
        start=SEATED,
        exact=("pelvis",),
    ),
    Way(
        begin=(
            key(0.5, 0.1, **ON_KNEES, lean=(0.5,), pelvis=(0, -0.46, -0.32)),
            key(0.6, **ON_KNEES, lean=(0.7,), pelvis=(0, -0.28, -0.18)),
        ),
        start={**SEATED, **ON_KNEES},
        exact=("pelvis",),
    ),
)


def _clap(up: float, forward: float, seconds: float, apart: float, cycles: tuple[int, int]) -> Way:
    """Clapping at that height and distance from the shoulders."""
    together = both({"hand": (-0.34, up, forward), "elbow": FLARED})
    away = both({"hand": (-0.34 + apart, up, forward - 0.05), "elbow": FLARED})
    return Way((key(0.5, **away),), (key(seconds, **together), key(seconds, **away)), cycles, seatable=True)


CLAP = (
    _clap(-0.12, 0.50, 0.16, 0.30, (3, 7)),
    _clap(-0.35, 0.45, 0.20, 0.38, (2, 5)),
    _clap(0.40, 0.40, 0.22, 0.45, (2, 5)),
)

JUMP_BACK: Pose = both({"hand": (0.15, -0.82, -0.40), "elbow": (0.6, 0, -1)})
JUMP_FORTH: Pose = both({"hand": (0.1, 0.1, 0.75), "elbow": LOW})
CROUCH: Pose = {"pelvis": (0, -0.22, -0.05), "lean": (0.45,)}
JUMP = (
    Way(
        cycle=(
            key(0.45, **JUMP_BACK, **CROUCH),
            key(0.16, **JUMP_FORTH),
            key(0.2, **JUMP_FORTH, lift=(0.30,)),
            key(0.2, pelvis=(0, -0.02, 0)),
            key(0.15, pelvis=(0, -0.18, -0.04), lean=(0.3,)),
            key(0.35),
        ),
        cycles=(1, 2),
    ),
    Way(  # small hops, arms down
        cycle=(
            key(0.2, pelvis=(0, -0.11, 0), lean=(0.12,)),
            key(0.1),
            key(0.15, lift=(0.18,)),
            key(0.15),
        ),
        cycles=(3, 6),
    ),
    Way(  # both arms to the sky
        cycle=(
            key(0.4, **CROUCH),
            key(0.16, **both(HIGH)),
            key(0.2, **both(HIGH), lift=(0.35,)),
            key(0.2, **both(HIGH)),
            key(0.15, pelvis=(0, -0.2, -0.04), lean=(0.3,)),
            key(0.4),
        ),
    ),
)

BOW = (
    Way(cycle=(key(0.8, 0.5, lean=(0.85,), head=(0.3, 0, 0)), key(0.8)), cycles=(1, 2)),
    Way(
        begin=(key(0.5, **both({"hand": (-0.34, -0.70, 0.35), "elbow": FLARED})),),
        cycle=(key(0.9, 0.8, **both({"hand": (-0.34, -0.70, 0.45), "elbow": FLARED}), lean=(1.1,), head=(0.3, 0, 0)),),
    ),
    Way(cycle=(key(0.5, 0.2, lean=(0.4,), head=(0.4, 0, 0)), key(0.5)), cycles=(1, 3)),
)


def _step(seconds: float, reach: float, knee: float, arms: Pose, arms_level: Pose, travel: float, lift: float) -> Way:
    """Striding or running; `reach` is half a stride, `knee` how high the passing foot goes."""
    contact: Pose = {**arms, "foot": (0, 0, reach), "foot2": (0, 0.03, -reach), "twist": (0.12,)}
    contact = {**contact, "pelvis": (0, -reach * reach, 0)}
    passing: Pose = {**arms_level, "foot": (0, 0, 0), "foot2": (-0.02, knee, 0.5 * reach), "lift": (lift,)}
    poses = (contact, passing, swapped(contact), swapped(passing))
    return Way(cycle=tuple(Key(seconds, pose, travel=travel) for pose in poses), cycles=(2, 3))


SWING: Pose = {"hand": (0.12, -0.88, -0.32), "hand2": (0.05, -0.86, 0.36)}
LEVEL: Pose = {"hand": (0.12, -0.96, 0.03), "hand2": (0.12, -0.96, 0.03)}
PUMP: Pose = {"hand": (0.08, -0.55, -0.05), "hand2": (-0.10, -0.15, 0.50), "elbow": BACK, "elbow2": BACK}
PUMP_LEVEL: Pose = both({"hand": (0.02, -0.42, 0.32), "elbow": BACK})
WALK = (
    _step(0.27, 0.22, 0.12, SWING, LEVEL, 0.22, 0.0),
    _step(0.30, 0.14, 0.10, {}, {}, 0.14, 0.0),
    _step(0.28, 0.02, 0.25, SWING, LEVEL, 0.0, 0.0),  # on the spot
)
JOG = (
    _step(0.16, 0.10, 0.32, PUMP, PUMP_LEVEL, 0.0, 0.04),
    _step(0.17, 0.18, 0.28, PUMP, PUMP_LEVEL, 0.18, 0.05),
    _step(0.15, 0.03, 0.45, PUMP, PUMP_LEVEL, 0.0, 0.03),
)

JAB: Pose = {**GUARD, "hand": (-0.28, 0.10, 0.93), "elbow": FLARED, "twist": (-0.4,)}
FIGHTER: Pose = {"foot2": (0, 0, 0.2), "foot": (0.03, 0, -0.15), "pelvis": (0, -0.05, 0)}
PUNCH = (
    Way(
        begin=(key(0.5, **GUARD, **FIGHTER),),
        cycle=(key(0.15, **JAB, **FIGHTER), key(0.25, **GUARD, **FIGHTER)),
        cycles=(1, 4),
    ),
    Way(  # one side, then the other
        begin=(key(0.5, **GUARD, **FIGHTER),),
        cycle=(
            key(0.16, **JAB, **FIGHTER),
            key(0.18, **GUARD, **FIGHTER),
            key(0.16, **swapped(JAB), **FIGHTER),
            key(0.18, **GUARD, **FIGHTER),
        ),
        cycles=(1, 3),
    ),
    Way(  # a swing from the hip
        begin=(key(0.5, hand=(0.1, -0.45, -0.15), elbow=BACK, twist=(0.35,)),),
        cycle=(key(0.2, 0.1, hand=(-0.2, 0.05, 0.93), elbow=FLARED, twist=(-0.4,), lean=(0.15,)),),
        cycles=(1, 2),
    ),
)

FORWARD: Pose = both({"hand": (-0.02, 0.0, 0.95), "elbow": LOW})
ON_HIPS: Pose = both({"hand": (0.20, -0.68, 0.0), "elbow": (1.0, 0, -0.5), "wrist": (0.6,)})


def _squat(arms: Pose, down: float, seconds: float, cycles: tuple[int, int]) -> Way:
    """Bending the knees with the arms held in that way."""
    low: Pose = {**arms, "pelvis": (0, -down, -0.18), "lean": (0.55,)}
    return Way((key(0.5, **arms),), (key(seconds, 0.1, **low), key(seconds, **arms)), cycles)


SQUAT = (
    _squat(FORWARD, 0.48, 0.75, (1, 3)),
    _squat(ON_HIPS, 0.38, 0.6, (1, 3)),
    _squat({}, 0.55, 0.8, (1, 2)),
)

PHONE_CALL = (
    Way(
        begin=(
            key(0.6, 0.6, hand=(-0.20, -0.22, 0.45), elbow=LOW, head=(0.4, 0, 0)),
            key(0.7, 1.4, **AT_EAR, head=(0.05, 0.1, 0.2)),
        ),
        exact=("hand", "wrist"),
        seatable=True,
    ),
    Way(
        begin=(key(0.9, 1.2, **AT_EAR, head=(0.05, 0.1, 0.2)),),
        cycle=(key(0.7, 0.3, **AT_EAR, head=(0.1, -0.2, 0.2), twist=(0.15,)), key(0.8, **AT_EAR, head=(0, 0, 0.2))),
        exact=("hand", "wrist"),
        seatable=True,
    ),
)


def _brush(start: Key, seconds: float, size: float, elbow: Numbers) -> Way:
    """Brushing the teeth, hand to and fro before the mouth."""
    near = key(seconds, hand=(-0.20 - size, 0.11, 0.36), elbow=elbow, wrist=(0.5,))
    far = key(seconds, hand=(-0.18 + size, 0.13, 0.37), elbow=elbow, wrist=(0.4,))
    return Way((start,), (near, far), (4, 9), exact=("hand", "wrist"), seatable=True)


BRUSH_TEETH = (
    _brush(key(0.8, **AT_MOUTH), 0.14, 0.07, LOW),
    _brush(key(0.9, 0.3, **AT_MOUTH, head=(0.2, 0, 0)), 0.18, 0.05, FLARED),
    _brush(key(0.7, 0.2, **ON_TABLE), 0.12, 0.06, LOW),
)

SALUTE = (
    Way((key(0.45, 0.9, **AT_BROW),), exact=("hand", "wrist")),
    Way((key(0.6, 0.5, **AT_BROW, head=(0.1, 0, 0)),), exact=("hand", "wrist"), seatable=True),
)

PICK_UP = (
    Way(
        begin=(
            key(0.9, 0.15, lean=(1.4,), pelvis=(0, -0.42, -0.05), hand=(-0.15, -0.25, 0.94), head=(0.1, 0, 0)),
            key(0.8, 0.4, hand=(-0.1, -0.35, 0.55), elbow=LOW, head=(0.3, 0, 0)),
        ),
    ),
    Way(  # going down on the haunches
        begin=(
            key(0.9, 0.2, lean=(0.95,), pelvis=(0, -0.62, -0.10), hand=(-0.1, -0.55, 0.80), head=(0.1, 0, 0)),
            key(0.8, hand=(0.0, -0.75, 0.4), elbow=BACK),
        ),
    ),
    Way(  # something large, with both hands
        begin=(
            key(
                0.9,
                0.3,
                lean=(1.2,),
                pelvis=(0, -0.50, -0.08),
                **both({"hand": (-0.05, -0.4, 0.90), "elbow": BACK}),
            ),
            key(0.9, 0.5, **both({"hand": (-0.05, -0.45, 0.55), "elbow": BACK})),
        ),
    ),
)

HANDS_UP = (
    Way((key(0.7, 0.8, **both(HIGH)),)),
    Way(
        (key(0.5, **both({"hand": (0.4, 0.80, 0.1), "elbow": OUT})),),
        (
            key(0.2, **both({"hand": (0.45, 0.62, 0.15), "elbow": OUT})),
            key(0.2, **both({"hand": (0.38, 0.86, 0.1), "elbow": OUT})),
        ),
        (1, 4),
    ),
    Way((key(0.6, 0.9, **both({"hand": (0.30, 0.42, 0.15), "elbow": OUT})),), seatable=True),  # surrender
)

AT_WATCH: Pose = {"hand": (-0.30, -0.14, 0.42), "elbow": FLARED, "wrist": (0.2,)}
CHECK_WATCH = (
    Way((key(0.6, 0.8, **AT_WATCH, head=(0.4, -0.15, 0)),), seatable=True),
    Way(  # the other hand pulls the sleeve
        (
            key(0.6, **AT_WATCH, head=(0.35, 0, 0)),
            key(0.4, 0.7, **AT_WATCH, hand2=(-0.2, -0.2, 0.42), elbow2=LOW, head=(0.45, 0, 0)),
        ),
        seatable=True,
    ),
)

POINT = (
    Way((key(0.6, 0.8, hand=(0.0, 0.08, 0.97), elbow=LOW),), seatable=True),
    Way((key(0.6, 0.7, hand=(0.80, 0.15, 0.50), elbow=FLARED, head=(0, 0.5, 0), twist=(0.2,)),), seatable=True),
    Way((key(0.6, 0.6, hand=(0.10, 0.55, 0.78), elbow=FLARED, head=(-0.25, 0.1, 0)),), seatable=True),
)

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
