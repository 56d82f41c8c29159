"""A person with arms spread, facing along y, x to the right hand, z up: where each joint is that has a name."""

import numpy as np

from pcm3.joint_names import roles

MIDDLE = {"pelvis": (0, 0, 0.95), "lower_spine": (0, 0, 1.05), "spine": (0, 0, 1.2), "chest": (0, 0, 1.3),
          "shoulder_centre": (0, 0, 1.45), "neck": (0, 0, 1.54), "head": (0, 0.02, 1.67), "head_top": (0, 0, 1.78),
          "nose": (0, 0.1, 1.66)}  # fmt: skip
SIDE = {"eye": (0.03, 0.08, 1.69), "eye_inner": (0.02, 0.08, 1.69), "eye_outer": (0.045, 0.07, 1.69),
        "ear": (0.07, 0.02, 1.67), "mouth": (0.025, 0.09, 1.62), "collar": (0.09, 0, 1.45), "shoulder": (0.18, 0, 1.45),
        "elbow": (0.45, 0, 1.45), "wrist": (0.7, 0, 1.45), "hand": (0.76, 0, 1.45), "index": (0.78, 0.03, 1.45),
        "pinky": (0.77, -0.03, 1.45), "thumb": (0.75, 0.06, 1.44), "hand_tip": (0.86, 0, 1.45), "hip": (0.1, 0, 0.95),
        "knee": (0.1, 0, 0.5), "ankle": (0.1, 0, 0.08), "heel": (0.1, -0.04, 0.03), "foot": (0.1, 0.1, 0.03),
        "toe": (0.1, 0.18, 0.03), "small_toe": (0.14, 0.15, 0.03)}  # fmt: skip


def place(role):
    """(3,) metres."""
    side, _, word = role.partition("_")
    if side not in ("left", "right"):
        return np.array(MIDDLE[role])
    return np.array(SIDE[word]) * [-1 if side == "left" else 1, 1, 1]


def t_pose(layout):
    """(V, 3) of a layout whose joints all have a name that is known."""
    return np.stack([place(role) for role in roles(layout.joints, layout.name)])
