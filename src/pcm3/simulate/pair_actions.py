"""What two people do with each other, as ways of doing it; see `actions`."""

from __future__ import annotations

import math

from pcm3.simulate.body_actions import LEVEL, SWING
from pcm3.simulate.script import BACK, FLARED, LOW, OUT, Beat, Contact, PairWay, Pose, both, swapped

ACTOR, REACTOR = 0, 1

PASSING: Pose = {**LEVEL, "foot2": (0.0, 0.10, 0.10)}
STRIDE = 0.19
"""Leg lengths, half a step."""


def _walking(steps: int, who: tuple[int, int]) -> tuple[Beat, ...]:
    """Both, or one of them, walking so many steps forward."""
    strides: list[tuple[Pose, float]] = [({**LEVEL, "foot": (0, 0.10, 0.08), "foot2": (0, 0, -0.5 * STRIDE)}, 0.5)]
    contact: Pose = {**SWING, "foot": (0, 0, STRIDE), "foot2": (0, 0.03, -STRIDE), "pelvis": (0, -STRIDE * STRIDE, 0)}
    strides.append((contact, 0.5))
    for step in range(1, steps):
        passing = PASSING if step % 2 else swapped(PASSING)
        strides += [(passing, 1.0), (swapped(contact) if step % 2 else contact, 1.0)]
    last: Pose = {**LEVEL, "foot2": (0, 0.07, -0.3 * STRIDE), "foot": (0, 0, 0.3 * STRIDE)}
    strides.append((last if steps % 2 else swapped(last), 0.7))
    strides.append(({}, 0.3))
    return tuple(
        Beat(
            0.27,
            pose if who[0] else {},
            pose if who[1] else {},
            travel=(who[0] * part * STRIDE, who[1] * part * STRIDE),
        )
        for pose, part in strides
    )


OFFERED: Pose = {"hand": (-0.16, -0.46, 0.66), "elbow": LOW}
SHAKE_UP: Pose = {"hand": (-0.18, -0.30, 0.70), "elbow": LOW}
SHAKE_DOWN: Pose = {"hand": (-0.18, -0.58, 0.66), "elbow": LOW}
CLASP = (Contact(ACTOR, "hand", "hand"),)


def _shake(seconds: float, more: Pose, reply: Pose) -> tuple[Beat, ...]:
    """Once up and down."""
    return (
        Beat(seconds, {**SHAKE_UP, **more}, {**SHAKE_UP, **reply}, near=True),
        Beat(seconds, {**SHAKE_DOWN, **more}, {**SHAKE_DOWN, **reply}, near=True),
    )


COVERED: Pose = {"hand2": (-0.35, -0.42, 0.62), "elbow2": LOW}
SHAKE_HANDS = (
    PairWay(
        1.68,
        (Beat(0.7, OFFERED, OFFERED, 0.1, near=True),),
        _shake(0.2, {}, {}),
        (2, 4),
        contacts=CLASP,
        right_handed=True,
    ),
    PairWay(  # he comes up to the other and bows a little
        1.75,
        (*_walking(1, (1, 0)), Beat(0.6, {**OFFERED, "lean": (0.2,)}, OFFERED, near=True)),
        _shake(0.24, {"lean": (0.25,), "head": (0.3, 0, 0)}, {"lean": (0.1,)}),
        (2, 3),
        contacts=CLASP,
        right_handed=True,
    ),
    PairWay(  # with both hands
        1.55,
        (
            Beat(0.6, OFFERED, OFFERED, near=True),
            Beat(0.4, {**OFFERED, **COVERED}, OFFERED, 0.1, near=True),
        ),
        _shake(0.22, COVERED, {"lean": (0.12,)}),
        (2, 3),
        contacts=CLASP,
        right_handed=True,
    ),
)

OPEN_ARMS: Pose = both({"hand": (0.40, -0.10, 0.75), "elbow": OUT})
ROUND_SHOULDERS: Pose = both({"hand": (-0.35, 0.02, 0.75), "elbow": FLARED})
ROUND_WAIST: Pose = both({"hand": (-0.35, -0.40, 0.70), "elbow": FLARED})
EMBRACE = (
    Contact(ACTOR, "hand", "spine_shoulder", (-0.08, -0.02, -0.11)),
    Contact(ACTOR, "hand2", "spine_shoulder", (0.08, -0.06, -0.11)),
    Contact(REACTOR, "hand", "spine_mid", (-0.06, 0.06, -0.11)),
    Contact(REACTOR, "hand2", "spine_mid", (0.06, 0.0, -0.11)),
)
HUG_IN: Pose = {**ROUND_SHOULDERS, "lean": (0.12,), "head": (0.1, 0.3, 0.35)}
HUG_BACK: Pose = {**ROUND_WAIST, "lean": (0.08,), "head": (0.1, 0.3, 0.35)}
HUG = (
    PairWay(
        0.66,
        (*_walking(2, (1, 0)), Beat(0.4, OPEN_ARMS, OPEN_ARMS), Beat(0.5, HUG_IN, HUG_BACK, 0.9, near=True)),
        end=(Beat(0.6, {}, {}, travel=(-0.25, -0.1)),),
        contacts=EMBRACE,
    ),
    PairWay(  # both come, and rock
        0.62,
        (
            *_walking(2, (1, 1)),
            Beat(0.4, OPEN_ARMS, OPEN_ARMS),
            Beat(0.4, HUG_IN, HUG_BACK, 0.2, near=True),
        ),
        (
            Beat(0.45, {**HUG_IN, "tilt": (0.12,)}, {**HUG_BACK, "tilt": (-0.12,)}, near=True),
            Beat(0.45, {**HUG_IN, "tilt": (-0.12,)}, {**HUG_BACK, "tilt": (0.12,)}, near=True),
        ),
        (1, 2),
        contacts=EMBRACE,
    ),
    PairWay(  # he hugs, the other lets him
        0.72,
        (
            *_walking(1, (1, 0)),
            Beat(0.4, OPEN_ARMS, {}),
            Beat(0.5, {**HUG_IN, "lean": (0.2,)}, {"head": (0, 0.3, 0.2)}, 1.1, near=True),
        ),
        end=(Beat(0.6, {}, {}, travel=(-0.3, 0)),),
        contacts=EMBRACE[:2],
    ),
)

HELD: Pose = {"hand": (-0.18, -0.42, 0.45), "elbow": LOW, "head": (0.2, 0, 0)}
HANDED: Pose = {"hand": (-0.14, -0.18, 0.80), "elbow": LOW}
PASS_OBJECT = (
    PairWay(  # asks for it with the open hand
        1.80,
        (
            Beat(0.6, HELD, {}),
            Beat(0.6, {**HANDED, "lean": (0.12,)}, HANDED, 0.5, near=True),
            Beat(0.7, {}, HELD, 0.5),
        ),
        contacts=CLASP,
    ),
    PairWay(  # a box, with both hands
        1.60,
        (
            Beat(0.6, both(HELD), {}, 0.2),
            Beat(0.7, {**both(HANDED), "lean": (0.15,)}, both(HANDED), 0.4, near=True),
            Beat(0.7, {}, both(HELD), 0.6),
        ),
        contacts=(Contact(ACTOR, "hand", "hand2"), Contact(ACTOR, "hand2", "hand")),
    ),
    PairWay(  # the other takes it and looks at it
        1.75,
        (
            Beat(0.5, {"hand": (0.15, -0.85, 0.1), "elbow": BACK, "head": (0.4, 0.3, 0)}, {}, 0.1),
            Beat(0.6, HANDED, {}, 0.4),
            Beat(0.5, HANDED, {**HANDED, "lean": (0.15,)}, 0.3, near=True),
            Beat(0.6, {}, {"hand": (-0.20, -0.05, 0.42), "elbow": LOW, "head": (0.3, 0, 0)}, 0.6),
        ),
        contacts=CLASP,
    ),
)

SWUNG_BACK: Pose = {"hand": (0.20, 0.45, 0.10), "elbow": OUT, "twist": (0.2,)}
SLAP: Pose = {"hand": (-0.10, 0.55, 0.62), "elbow": FLARED}
HIGH_FIVE = (
    PairWay(
        1.55,
        (Beat(0.5, SWUNG_BACK, SWUNG_BACK), Beat(0.2, SLAP, SLAP, 0.08, near=True), Beat(0.35, SWUNG_BACK, SWUNG_BACK)),
        contacts=CLASP,
    ),
    PairWay(  # both hands
        1.45,
        (
            Beat(0.5, both({"hand": (0.1, 0.5, 0.1), "elbow": OUT}), {}),
            Beat(0.3, both({"hand": (0.1, 0.6, 0.1), "elbow": OUT}), both({"hand": (0.1, 0.5, 0.15), "elbow": OUT})),
            Beat(0.2, both(SLAP), both(SLAP), 0.1, near=True),
        ),
        contacts=(Contact(ACTOR, "hand", "hand2"), Contact(ACTOR, "hand2", "hand")),
    ),
    PairWay(  # he holds it up, the other comes and claps it
        1.50,
        (
            Beat(0.5, {"hand": (0.0, 0.62, 0.45), "elbow": OUT}, {}, 0.2),
            Beat(0.4, {"hand": (0.0, 0.62, 0.45), "elbow": OUT}, SWUNG_BACK),
            Beat(0.2, SLAP, SLAP, 0.06, near=True),
            Beat(0.3, {"hand": (0.0, 0.62, 0.45), "elbow": OUT}, SWUNG_BACK),
        ),
        contacts=CLASP,
    ),
)

PATTING: Pose = {"hand": (-0.18, 0.0, 0.82), "elbow": LOW}
OFF: Pose = {"hand": (-0.10, 0.16, 0.66), "elbow": LOW}
ASIDE: Pose = {"elbow": BACK, "twist": (0.2,), "head": (0, 0.5, 0)}
BEHIND = (Contact(ACTOR, "hand", "spine_shoulder", (0.05, -0.06, -0.10)),)
PAT_BACK = (
    PairWay(  # from behind; he looks round
        1.10,
        (Beat(0.6, OFF, {}),),
        (Beat(0.16, PATTING, {}, near=True), Beat(0.18, OFF, {"head": (0, 0.4, 0), "twist": (0.1,)})),
        (2, 5),
        contacts=BEHIND,
        facing=0.0,
    ),
    PairWay(  # side by side
        0.10,
        (Beat(0.6, {**ASIDE, "hand": (0.70, 0.05, -0.20)}, {}),),
        (
            Beat(0.18, {**ASIDE, "hand": (0.80, -0.05, -0.10)}, {"lean": (0.08,), "head": (0.1, -0.4, 0)}, near=True),
            Beat(0.20, {**ASIDE, "hand": (0.70, 0.10, -0.25)}, {"head": (0, -0.4, 0), "twist": (-0.15,)}),
        ),
        (2, 4),
        contacts=(Contact(ACTOR, "hand", "spine_shoulder", (-0.02, -0.06, -0.10)),),
        beside=1.05,
        facing=0.0,
    ),
    PairWay(  # who hangs his head is comforted
        1.05,
        (Beat(0.7, OFF, {"lean": (0.3,), "head": (0.5, 0, 0)}),),
        (
            Beat(0.22, {**PATTING, "lean": (0.1,)}, {"lean": (0.3,), "head": (0.5, 0, 0)}, near=True),
            Beat(0.25, {**OFF, "lean": (0.1,)}, {"lean": (0.3,), "head": (0.5, 0, 0)}),
        ),
        (2, 4),
        contacts=BEHIND,
        facing=-0.5,
    ),
)

AIMED: Pose = {"hand": (-0.06, 0.06, 0.96), "elbow": LOW}
POINT_AT_OTHER = (
    PairWay(  # who, me?
        2.80,
        (
            Beat(0.5, AIMED, {}, 0.4, near=True),
            Beat(0.5, AIMED, {"hand": (-0.35, -0.28, 0.25), "elbow": FLARED, "lean": (-0.06,)}, 0.6),
        ),
    ),
    PairWay(  # scolding, the other hangs his head
        2.30,
        (Beat(0.5, {**AIMED, "hand2": (0.20, -0.68, 0.0), "elbow2": (1.0, 0, -0.5)}, {}, near=True),),
        (
            Beat(0.2, {"hand": (-0.06, -0.12, 0.85), "lean": (0.18,)}, {"head": (0.4, 0, 0), "lean": (0.12,)}),
            Beat(0.2, {"hand": (-0.06, 0.10, 0.88), "lean": (0.12,)}, {"head": (0.5, 0, 0), "lean": (0.15,)}),
        ),
        (2, 4),
    ),
    PairWay(  # the other backs away with his hands up
        2.50,
        (
            Beat(0.4, AIMED, {}, 0.1, near=True),
            Beat(0.3, AIMED, {**both({"hand": (0.15, 0.2, 0.45), "elbow": OUT}), "foot2": (0, 0.05, -0.15)}),
            Beat(
                0.3, AIMED, {**both({"hand": (0.18, 0.3, 0.45), "elbow": OUT}), "lean": (-0.12,)}, 0.4, travel=(0, -0.2)
            ),
        ),
    ),
)

SHIELD: Pose = {"hand": (-0.20, 0.24, 0.38), "elbow": FLARED, "wrist": (0.3,)}
LISTENS: Pose = {"tilt": (-0.14,), "head": (0.15, -0.2, -0.3)}
WHISPER = (
    PairWay(  # beside him, to the ear
        0.10,
        (
            Beat(0.8, {**SHIELD, "tilt": (0.36,), "head": (0.1, 0.7, 0.2), "twist": (0.3,)}, LISTENS, 1.2, near=True),
            Beat(0.4, {**SHIELD, "tilt": (0.30,), "head": (0, 0.6, 0.2), "twist": (0.3,)}, {"head": (0.4, 0, 0)}, 0.5),
        ),
        beside=0.98,
        facing=0.0,
    ),
    PairWay(  # from the front, past his face; the other holds his hand to the ear
        0.88,
        (
            Beat(
                0.8,
                {**both(SHIELD), "lean": (0.42,), "head": (0, 0.1, 0)},
                {"lean": (0.15,), "head": (0.1, 0.5, 0.2), "hand2": (0.0, 0.30, 0.20), "elbow2": OUT},
                1.4,
                near=True,
            ),
        ),
        beside=0.35,
    ),
    PairWay(  # half turned to each other
        0.55,
        (
            Beat(0.6, {"tilt": (0.15,)}, {}),
            Beat(0.5, {**SHIELD, "tilt": (0.3,), "lean": (0.25,)}, LISTENS, 1.3, near=True),
        ),
        beside=0.62,
        facing=0.9,
    ),
)

WALK_TOWARDS = (
    PairWay(2.0, (*_walking(3, (1, 1)), Beat(0.3, {}, {}, 0.3, near=True))),
    PairWay(1.8, (*_walking(4, (1, 1)), Beat(0.5, {"lean": (0.15,)}, {"lean": (0.15,)}, 0.2, near=True))),
    PairWay(2.2, (*_walking(2, (1, 1)), *_walking(1, (1, 0)), Beat(0.4, {"hand": (0.2, -0.3, 0.4)}, {}, near=True))),
)

AROUND = math.pi
ON_THE_SPOT: Pose = {"foot": (0.02, 0.10, 0.0), "pelvis": (-0.05, 0, 0)}
TURN_ROUND = (
    Beat(0.35, ON_THE_SPOT, ON_THE_SPOT, turn=(AROUND / 2, AROUND / 2)),
    Beat(0.35, swapped(ON_THE_SPOT), swapped(ON_THE_SPOT), turn=(AROUND / 2, AROUND / 2)),
)
WALK_APART = (
    PairWay(1.7, (Beat(0.3, {}, {}, 0.2, near=True), *TURN_ROUND, *_walking(3, (1, 1)))),
    PairWay(-0.9, (Beat(0.2, {}, {}, 0.2, near=True), *_walking(4, (1, 1)))),  # from back to back
    PairWay(  # with a wave of the hand first
        1.9,
        (Beat(0.4, {"hand": (0.3, 0.3, 0.3), "elbow": FLARED}, {}, 0.2, near=True), *TURN_ROUND, *_walking(3, (1, 1))),
    ),
)
