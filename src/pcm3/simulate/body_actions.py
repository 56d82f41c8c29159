"""Actions of the legs and the whole body, as ways of doing them; see `actions`."""

from __future__ import annotations

from pcm3.simulate.script import BACK, FLARED, GUARD, HIGH, LOW, OUT, SEATED, Key, Pose, Way, both, key, swapped

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

WINGS: Pose = both({"hand": (0.55, -0.55, 0.25), "elbow": BACK})
WINGS_UP: Pose = both({"hand": (0.80, -0.15, 0.20), "elbow": BACK})
FISTS: Pose = both({"hand": (0.05, -0.45, 0.35), "elbow": BACK})
FISTS_UP: Pose = both({"hand": (0.05, -0.20, 0.50), "elbow": BACK})


def _hop(knee: Pose, arms: Pose, arms_up: Pose, height: float, seconds: float, travel: float) -> Way:
    """Hopping on the acting foot, the other one drawn up in that way."""
    low: Pose = {**knee, **arms, "pelvis": (-0.09, -0.12, 0.0), "lean": (0.18,)}
    flight: Pose = {**knee, **arms_up, "lift": (height,), "pelvis": (-0.09, 0.0, 0.0)}
    landed: Pose = {**knee, **arms, "pelvis": (-0.09, -0.04, 0.0), "lean": (0.1,)}
    return Way(
        begin=(key(0.5, **knee, **arms, pelvis=(-0.09, 0, 0)),),
        cycle=(Key(seconds, low), Key(0.16, flight, travel=travel), Key(0.18, landed, travel=travel)),
        cycles=(3, 6),
        exact=("foot", "foot2"),
    )


HOP = (
    _hop({"foot2": (0.05, 0.34, -0.28)}, WINGS, WINGS_UP, 0.13, 0.2, 0.0),
    _hop({"foot2": (0.0, 0.45, 0.22)}, FISTS, FISTS_UP, 0.11, 0.17, 0.10),
    _hop({"foot2": (0.15, 0.32, 0.05)}, WINGS, FISTS_UP, 0.15, 0.22, 0.05),
)

FLUNG: Pose = {"hand": (0.80, -0.20, 0.30), "hand2": (0.45, -0.65, 0.10), "elbow": OUT, "elbow2": OUT}


def _reel(tilt: float, lean: float, seconds: float, travel: float, cycles: tuple[int, int]) -> Way:
    """Reeling from side to side, `travel` further at each step."""
    over: Pose = {**FLUNG, "tilt": (tilt,), "lean": (lean,), "twist": (0.3,), "head": (0.2, 0, 0.4)}
    caught: Pose = {**over, "foot": (0.22, 0, 0.5 * travel), "foot2": (0, 0, -0.5 * travel), "pelvis": (0.16, -0.07, 0)}
    falling: Pose = {"foot": (0.10, 0.08, 0), "foot2": (0.05, 0, 0), "pelvis": (0.12, -0.02, 0), "tilt": (0.3 * tilt,)}
    falling = {**falling, "lean": (lean,), "hand": (0.35, -0.7, 0.3), "hand2": (0.30, -0.8, 0.0)}
    poses = (falling, caught, swapped(falling), swapped(caught))
    return Way(cycle=tuple(Key(seconds, pose, travel=0.5 * travel) for pose in poses), cycles=cycles)


STAGGER = (
    _reel(0.34, 0.20, 0.30, 0.18, (1, 2)),
    _reel(0.28, -0.16, 0.34, -0.16, (1, 2)),
    _reel(0.42, 0.35, 0.38, 0.05, (1, 2)),
)
