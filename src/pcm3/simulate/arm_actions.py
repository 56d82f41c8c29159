"""Actions of the arms, standing or seated, as ways of doing them; see `actions`."""

from __future__ import annotations

from pcm3.simulate.script import (
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
    Key,
    Pose,
    Values,
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


def _brush(start: Key, seconds: float, size: float, elbow: Values) -> Way:
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

CROSS_ARMS = (
    Way(
        (key(0.8, 1.0, hand=(-0.60, -0.42, 0.34), hand2=(-0.54, -0.34, 0.42), elbow=FLARED, elbow2=FLARED),),
        exact=("hand", "hand2"),
        seatable=True,
    ),
    Way(  # the hands on the opposite shoulders
        (key(0.7, 0.9, hand=(-0.72, -0.04, 0.24), hand2=(-0.68, -0.08, 0.30), elbow=LOW, elbow2=LOW),),
        exact=("hand", "hand2"),
        seatable=True,
    ),
    Way(  # and leaning back
        (
            key(0.6, 0.2, hand=(-0.50, -0.38, 0.42), hand2=(-0.60, -0.46, 0.34), elbow=OUT, elbow2=FLARED),
            key(
                0.5,
                0.7,
                hand=(-0.60, -0.36, 0.34),
                hand2=(-0.58, -0.42, 0.40),
                elbow=FLARED,
                elbow2=FLARED,
                lean=(-0.12,),
                tilt=(0.08,),
            ),
        ),
        exact=("hand", "hand2"),
    ),
)


def _rub(up: float, forward: float, seconds: float, size: float, lean: float) -> Way:
    """Rubbing the hands at that height and distance from the shoulders."""
    one: Pose = {"hand": (-0.36, up + size, forward + size), "hand2": (-0.36, up - size, forward - size)}
    other: Pose = {"hand": one["hand2"], "hand2": one["hand"]}
    posture: Pose = {"elbow": FLARED, "elbow2": FLARED, "lean": (lean,), "head": (0.2, 0, 0)}
    return Way(
        (key(0.6, **one, **posture),),
        (key(seconds, **other, **posture), key(seconds, **one, **posture)),
        (4, 8),
        exact=("hand", "hand2"),
        seatable=True,
    )


RUB_HANDS = (_rub(-0.30, 0.48, 0.15, 0.07, 0.0), _rub(-0.48, 0.46, 0.2, 0.09, 0.2), _rub(-0.02, 0.42, 0.13, 0.06, 0.1))

# An arm goes up in front of the body, not through its own shoulder.
HALF_UP: Pose = {"hand": (0.0, 0.0, 0.55), "elbow": FLARED}

ON_HAT: Pose = {"hand": (-0.24, 0.60, 0.14), "elbow": OUT, "wrist": (0.5,)}
PUT_ON_HAT = (
    Way(
        (
            key(0.7, 0.2, **ON_TABLE, head=(0.3, 0, 0)),
            key(0.5, **HALF_UP),
            key(0.5, 0.7, **ON_HAT, head=(0.1, 0, 0)),
        ),
        end=(key(0.4, **HALF_UP),),
        exact=("hand", "wrist"),
        seatable=True,
    ),
    Way(  # with both hands, and pulled down
        (
            key(0.7, 0.1, **both(ON_TABLE), head=(0.2, 0, 0)),
            key(0.4, **both(HALF_UP)),
            key(0.5, 0.2, **both({**ON_HAT, "hand": (-0.20, 0.72, 0.16)})),
            key(0.3, 0.5, **both({**ON_HAT, "hand": (-0.20, 0.52, 0.12)}), head=(0.15, 0, 0)),
        ),
        end=(key(0.4, **both(HALF_UP)),),
        exact=("hand", "wrist", "hand2", "wrist2"),
        seatable=True,
    ),
    Way(  # one hand, then set right with both
        (
            key(0.4, **HALF_UP),
            key(0.4, 0.2, **{**ON_HAT, "hand2": HALF_UP["hand"], "elbow2": FLARED}),
            key(0.4, 0.1, **both(ON_HAT), head=(0.1, 0, 0)),
        ),
        (
            key(0.2, **both({**ON_HAT, "hand": (-0.20, 0.50, 0.14)}), tilt=(0.05,)),
            key(0.2, **both(ON_HAT), tilt=(-0.05,)),
        ),
        (1, 3),
        (key(0.4, **both(HALF_UP)),),
        exact=("hand", "wrist", "hand2", "wrist2"),
        seatable=True,
    ),
)


def _wipe(here: Pose, there: Pose, seconds: float, cycles: tuple[int, int]) -> Way:
    """To and fro over the face."""
    return Way(
        (key(0.7, **here, head=(0.15, 0, 0)),),
        (key(seconds, **there, head=(0.25, 0, 0)), key(seconds, **here, head=(0.1, 0, 0))),
        cycles,
        exact=("hand", "hand2", "wrist", "wrist2"),
        seatable=True,
    )


WIPE_FACE = (
    _wipe(  # down one cheek and up again
        {"hand": (-0.22, 0.42, 0.28), "elbow": LOW, "wrist": (0.4,)},
        {"hand": (-0.30, 0.14, 0.32), "elbow": LOW, "wrist": (0.4,)},
        0.32,
        (2, 4),
    ),
    _wipe(  # with both hands
        both({"hand": (-0.24, 0.44, 0.28), "elbow": LOW, "wrist": (0.3,)}),
        both({"hand": (-0.30, 0.12, 0.34), "elbow": LOW, "wrist": (0.3,)}),
        0.40,
        (1, 3),
    ),
    _wipe(  # the brow, with the back of the hand
        {"hand": (-0.60, 0.40, 0.24), "elbow": OUT, "wrist": (0.2,)},
        {"hand": (-0.08, 0.42, 0.22), "elbow": OUT, "wrist": (0.2,)},
        0.45,
        (1, 3),
    ),
)

LINKED: Pose = both({"hand": (-0.28, 0.94, 0.05), "elbow": OUT})
STRETCH = (
    Way(  # tall, leaning back
        (
            key(0.4, **both(HALF_UP)),
            key(0.5, 0.2, **both({"hand": (0.10, 0.95, 0.0), "elbow": OUT}), lean=(-0.10,), head=(-0.3, 0, 0)),
            key(0.5, 0.7, **both({"hand": (0.30, 0.90, -0.22), "elbow": OUT}), lean=(-0.28,), head=(-0.5, 0, 0)),
        ),
        end=(key(0.5, **both({"hand": (0.6, 0.0, 0.3), "elbow": BACK})),),
    ),
    Way(  # to one side, to the other
        (key(0.4, **both(HALF_UP)), key(0.5, **LINKED)),
        (
            key(0.6, 0.4, **LINKED, tilt=(0.38,), pelvis=(-0.06, 0, 0)),
            key(0.8, 0.4, **LINKED, tilt=(-0.38,), pelvis=(0.06, 0, 0)),
        ),
        (1, 2),
        (key(0.5, **both(HALF_UP)),),
    ),
    Way(  # the arms to the sides and back
        (
            key(0.6, **both({"hand": (-0.20, 0.05, 0.35), "elbow": OUT})),
            key(0.7, 0.8, **both({"hand": (0.90, 0.12, -0.38), "elbow": BACK}), lean=(-0.22,), head=(-0.3, 0, 0)),
        ),
        seatable=True,
    ),
)

SHADING: Pose = {**AT_BROW, "elbow": OUT}
LOOK_AROUND = (
    Way(
        (),
        (
            key(0.7, 0.4, head=(0, 1.0, 0), twist=(0.65,), turn=(0.35,)),
            key(0.9, 0.4, head=(0, -1.0, 0), twist=(-0.65,), turn=(-0.35,)),
        ),
        (1, 3),
    ),
    Way(  # the hand shades the eyes
        (key(0.6, **SHADING),),
        (
            key(0.7, 0.4, **SHADING, head=(-0.1, 0.9, 0), twist=(0.6,), turn=(0.4,)),
            key(0.9, 0.4, **SHADING, head=(-0.1, -0.9, 0), twist=(-0.6,), turn=(-0.4,)),
        ),
        (1, 2),
        exact=("hand", "wrist"),
    ),
    Way(  # over one shoulder, up, over the other, on the floor
        (
            key(0.7, 0.4, head=(0, 1.2, 0), twist=(0.85,)),
            key(0.6, 0.3, head=(-0.5, 0, 0), lean=(-0.12,)),
            key(0.8, 0.4, head=(0, -1.2, 0), twist=(-0.85,)),
            key(0.6, 0.3, head=(0.6, 0.3, 0), lean=(0.25,)),
        ),
        seatable=True,
    ),
)
