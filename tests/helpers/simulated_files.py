"""What the tests of the simulator read its files with."""

import hashlib
from pathlib import Path

from pcm3.simulate.body import JOINT, KINECT

# The bones by anatomy: hand tip and thumb hang from the hand.
BONES = [
    *((joint, parent) for joint, parent in enumerate(KINECT.parents) if joint != parent and joint not in (21, 23)),
    (JOINT["left_hand_tip"], JOINT["left_hand"]),
    (JOINT["right_hand_tip"], JOINT["right_hand"]),
]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def parse(text: str) -> list[dict[int, list[list[float]]]]:
    """For each frame, its bodies by id, each 25 lists of 12 numbers; line by line, as the format is described."""
    lines = iter(text.split("\r\n"))
    frames = []
    for _ in range(int(next(lines))):
        bodies = {}
        for _ in range(int(next(lines))):
            head = next(lines).split(" ")
            assert len(head) == 10
            bodies[int(head[0])] = [[float(word) for word in next(lines).split(" ")] for _ in range(int(next(lines)))]
        frames.append(bodies)
    assert list(lines) == [""]
    return frames
