"""What two people do against each other, as ways of doing it; see `actions`."""

from __future__ import annotations

from pcm3.simulate.script import BACK, FLARED, GUARD, LOW, OUT, Beat, Contact, PairWay, Pose, both, swapped

ACTOR = 0


def _driven_back(actor: Pose, arms: Pose, far: float, bend: float) -> tuple[Beat, ...]:
    """The reactor is thrown back a step, `far` times a long one, and finds his balance; the actor looks on."""
    s = 0.35 * far
    hit: Pose = {**arms, "lean": (bend,), "head": (0.8 * bend, 0, 0)}
    return (
        Beat(0.17, actor, {**hit, "foot": (0, 0, 0.5 * s), "foot2": (0, 0.07, -0.6 * s)}, travel=(0, -0.5 * s)),
        Beat(0.22, actor, {**hit, "foot": (0, 0, 0.95 * s), "foot2": (0, 0, -0.15 * s)}, travel=(0, -0.45 * s)),
        Beat(0.35, {}, {"foot": (0, 0.05, 0.4 * s), "lean": (0.3 * bend,)}, travel=(0, -0.15 * s)),
    )


DRAWN_IN: Pose = both({"hand": (-0.08, -0.12, 0.32), "elbow": BACK})
SHOVE: Pose = both({"hand": (-0.10, -0.02, 0.90), "elbow": LOW})
THROWN: Pose = both({"hand": (0.30, -0.35, 0.65), "elbow": OUT})
ON_CHEST = (
    Contact(ACTOR, "hand", "spine_shoulder", (-0.10, -0.08, 0.10)),
    Contact(ACTOR, "hand2", "spine_shoulder", (0.10, -0.08, 0.10)),
)
STEP_IN: Pose = {"lean": (0.28,), "foot2": (0, 0, 0.28), "foot": (0, 0, -0.08), "pelvis": (0, -0.05, 0.1)}
PUSH = (
    PairWay(
        1.30,
        (Beat(0.5, DRAWN_IN, {}, 0.1), Beat(0.2, {**SHOVE, **STEP_IN}, {"lean": (-0.05,)}, near=True)),
        end=_driven_back({**SHOVE, **STEP_IN}, THROWN, 1.2, -0.30),
        contacts=ON_CHEST,
    ),
    PairWay(  # one hand against a shoulder
        1.25,
        (
            Beat(0.45, {"hand": (0.05, -0.20, 0.20), "elbow": BACK, "twist": (0.3,)}, {}),
            Beat(0.2, {"hand": (-0.05, 0.0, 0.92), "elbow": LOW, "twist": (-0.3,), "lean": (0.15,)}, {}, near=True),
        ),
        end=_driven_back({"hand": (-0.05, 0.0, 0.8), "elbow": LOW}, {**swapped(THROWN), "twist": (-0.5,)}, 0.8, -0.15),
        contacts=(Contact(ACTOR, "hand", "shoulder2", (0.0, -0.03, 0.08)),),
    ),
    PairWay(  # again and again, a little at a time
        1.25,
        cycle=(
            Beat(0.35, DRAWN_IN, {}),
            Beat(0.22, {**SHOVE, "lean": (0.2,)}, {"lean": (-0.1,)}, near=True),
            Beat(0.2, SHOVE, {"lean": (-0.22,), **THROWN, "foot2": (0, 0.05, -0.12)}, travel=(0, -0.10)),
            Beat(0.25, {"foot": (0, 0.05, 0.05)}, {"foot": (0, 0.05, 0.05)}, travel=(0.10, 0)),
        ),
        cycles=(2, 3),
        contacts=ON_CHEST,
    ),
)

STANCE: Pose = {"foot2": (0, 0, 0.2), "foot": (0.03, 0, -0.15), "pelvis": (0, -0.05, 0)}
READY: Pose = {**GUARD, **STANCE}
STRAIGHT: Pose = {**READY, "hand": (-0.28, 0.12, 0.93), "elbow": FLARED, "twist": (-0.4,), "lean": (0.12,)}
BELLY: Pose = both({"hand": (-0.25, -0.55, 0.35), "elbow": FLARED})
PUNCH_OTHER = (
    PairWay(  # at the face
        1.55,
        (Beat(0.5, READY, {}), Beat(0.16, STRAIGHT, {"head": (-0.15, 0, 0)}, near=True)),
        end=_driven_back(READY, {"hand": (-0.2, 0.2, 0.35), "elbow": LOW}, 0.9, -0.28),
        contacts=(Contact(ACTOR, "hand", "head", (-0.02, -0.02, 0.12)),),
    ),
    PairWay(  # in the stomach: he doubles up
        1.30,
        (
            Beat(0.5, {"hand": (0.1, -0.45, 0.0), "elbow": BACK, "twist": (0.4,), **STANCE}, {}),
            Beat(0.18, {**STRAIGHT, "hand": (-0.25, -0.35, 0.85), "lean": (0.2,)}, {}, near=True),
            Beat(0.25, READY, {**BELLY, "lean": (0.75,), "head": (0.3, 0, 0), "pelvis": (0, -0.08, -0.1)}, 0.5),
        ),
        contacts=(Contact(ACTOR, "hand", "spine_mid", (-0.03, -0.02, 0.14)),),
    ),
    PairWay(  # left and right, the other covers himself
        1.55,
        (Beat(0.5, READY, {}),),
        (
            Beat(0.17, STRAIGHT, {**GUARD, "lean": (-0.1,)}, near=True),
            Beat(0.17, READY, {**GUARD, "lean": (-0.15,), "twist": (0.1,)}),
            Beat(0.17, {**swapped(STRAIGHT), **STANCE}, {**GUARD, "lean": (-0.22,)}),
            Beat(0.17, READY, {**GUARD, "lean": (-0.15,), "head": (0.3, 0, 0)}),
        ),
        (1, 2),
    ),
)

COCKED: Pose = {"foot": (0.03, 0.14, -0.35), "pelvis": (-0.09, 0, 0), "hand": (0.35, -0.7, 0.1), "elbow": BACK}
KICKED: Pose = {"foot": (-0.05, 0.42, 0.85), "pelvis": (-0.09, 0, 0.03), "lean": (-0.2,), "hand2": (0.35, -0.4, 0.5)}
HOPPED_BACK: Pose = {"lean": (0.25,), "pelvis": (0, -0.06, -0.2), **both({"hand": (-0.1, -0.5, 0.55), "elbow": LOW})}
KICK_OTHER = (
    PairWay(  # the other draws back
        2.00,
        (Beat(0.4, COCKED, {}), Beat(0.26, KICKED, {**HOPPED_BACK, "lean": (0.1,)}, near=True)),
        end=_driven_back({"foot": (0, 0.1, 0.2), "pelvis": (-0.08, 0, 0)}, HOPPED_BACK, 1.0, 0.30),
    ),
    PairWay(  # at the shin: he lifts the leg and holds it
        1.70,
        (
            Beat(0.4, {**COCKED, "foot": (0.05, 0.08, -0.28)}, {}),
            Beat(0.24, {"foot": (-0.1, 0.16, 0.72), "pelvis": (-0.08, 0, 0.03), "lean": (-0.1,)}, {}, near=True),
            Beat(
                0.3,
                {"foot": (0, 0.06, 0.2), "pelvis": (-0.06, 0, 0)},
                {
                    "foot2": (0, 0.42, 0.12),
                    "pelvis": (0.09, 0, 0),
                    "lean": (0.5,),
                    **both({"hand": (-0.15, -0.65, 0.55), "elbow": FLARED}),
                },
                0.5,
            ),
        ),
    ),
    PairWay(  # the knee up, then the sole against the body
        1.85,
        (
            Beat(0.45, {**GUARD, "foot": (-0.05, 0.52, 0.25), "pelvis": (-0.08, 0, 0)}, {**GUARD}),
            Beat(
                0.2, {**GUARD, "foot": (-0.05, 0.70, 0.95), "pelvis": (-0.08, 0, 0.05), "lean": (-0.3,)}, {}, near=True
            ),
        ),
        end=_driven_back({**GUARD, "foot": (-0.05, 0.40, 0.20), "pelvis": (-0.08, 0, 0)}, BELLY, 1.2, 0.45),
    ),
)
