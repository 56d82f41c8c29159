"""People who stand, in frames with any axes up, for the tests of what turns them."""

import itertools

import numpy as np

from pcm3.skeleton import load_layout

KINECT = load_layout("kinect_v2")

FRAMES = [
    np.array([signs[0] * np.eye(3)[order[0]], signs[1] * np.eye(3)[order[1]], signs[2] * np.eye(3)[order[2]]])
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
    if np.linalg.det(np.array([s * np.eye(3)[o] for s, o in zip(signs, order, strict=True)])) > 0
]
"""The 24 right-handed frames whose axes are those of a Kinect, in any order and direction."""


def standing(seed, frames=12, facing=0.0, layout=KINECT):
    """(T, 1, V, 3) someone who stands and moves a little, y up, the left shoulder at −x where `facing` is 0."""
    random = np.random.default_rng(seed)
    high = {"head": 0.6, "neck": 0.45, "shoulder": 0.4, "elbow": 0.15, "wrist": -0.05, "hand": -0.1, "thumb": -0.1,
            "hip": -0.2, "knee": -0.6, "ankle": -1.0, "foot": -1.05}  # fmt: skip
    pose = np.zeros((len(layout.joints), 3))
    for joint, name in enumerate(layout.joints):
        pose[joint, 1] = next((height for part, height in high.items() if part in name), 0.1)
        pose[joint, 0] = {"left": -0.2, "right": 0.2}.get(name.split("_")[0], 0.0)
    pose[:, 2] = -0.05 * (pose[:, 1] > 0)
    turn = np.array([[np.cos(facing), 0, np.sin(facing)], [0, 1, 0], [-np.sin(facing), 0, np.cos(facing)]])
    moving = pose + random.normal(0, 0.03, (frames, 1, *pose.shape)).cumsum(axis=0) * 0.3
    return moving @ turn.T + [0.2, 0.1, 3]
