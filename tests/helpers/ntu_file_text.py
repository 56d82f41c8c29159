"""NTU ``.skeleton`` files for the tests, written number by number as the recording software did."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REST = "282.1 215.3 1045.2 515.7 -0.22 0.05 0.97 -0.06 2"


def skeleton_text(frames: NDArray[np.floating], newline: str = "\n", rest: str = REST) -> str:
    """The file of a recording (T, M, V, 3); a body that is all zeros in a frame is not written there."""
    lines = [str(len(frames))]
    for frame in frames:
        bodies = [body for body in frame if body.any()]
        lines.append(str(len(bodies)))
        for body in bodies:
            lines += ["72057594037931101 0 1 1 1 1 0 0.02764709 0.05745083 2", str(len(body))]
            lines += [f"{x:.7g} {y:.7g} {z:.7g} {rest}" for x, y, z in body]
    return newline.join(lines) + newline


def walkers(seed: int, frames: int, bodies: int = 1, joints: int = 25) -> NDArray[np.float32]:
    """Bodies of about human size that drift about in front of a camera (T, M, V, 3), metres."""
    random = np.random.default_rng(seed)
    pose = random.normal(0, 0.4, (1, bodies, joints, 3))
    drift = random.normal(0, 0.02, (frames, bodies, 1, 3)).cumsum(axis=0)
    jitter = random.normal(0, 0.01, (frames, bodies, joints, 3))
    return (pose + drift + jitter + [0, 0, 3]).astype(np.float32)
