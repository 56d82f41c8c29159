"""BVH files of a small body, as text."""

import numpy as np

BODY = [  # name, parent, offset in centimetres
    ("Hips", None, (0, 0, 0)), ("Spine", "Hips", (0, 20, 0)), ("Chest", "Spine", (0, 25, 0)),
    ("Neck", "Chest", (0, 10, 0)), ("Head", "Neck", (0, 12, 0)),
    *((f"{side}{name}", (parent and f"{side}{parent}") or base, (sign * x, y, 0))
      for side, sign in (("Left", 1), ("Right", -1))
      for name, parent, base, x, y in (
          ("Shoulder", "", "Chest", 18, 0), ("Arm", "Shoulder", "", 10, 0), ("ForeArm", "Arm", "", 28, 0),
          ("Hand", "ForeArm", "", 25, 0), ("UpLeg", "", "Hips", 9, -4), ("Leg", "UpLeg", "", 0, -42),
          ("Foot", "Leg", "", 0, -42))),
]  # fmt: skip
ORDER = "Zrotation Xrotation Yrotation"


def hierarchy(joint="Hips", indent="", channels=ORDER):
    name, parent, offset = next(row for row in BODY if row[0] == joint)
    children = [row[0] for row in BODY if row[1] == joint]
    kinds = ("Xposition Yposition Zposition " if parent is None else "") + channels
    lines = [f"{'ROOT' if parent is None else 'JOINT'} {name}", "{", f"  OFFSET {offset[0]} {offset[1]} {offset[2]}"]
    lines.append(f"  CHANNELS {len(kinds.split())} {kinds}")
    for child in children:
        lines += hierarchy(child, "  ", channels)
    if not children:
        lines += ["  End Site", "  {", "    OFFSET 0 5 0", "  }"]
    return [indent + line for line in [*lines, "}"]]


def text(frames=5, seed=0, fps=30, scale=20.0):
    random = np.random.default_rng(seed)
    rows = random.normal(scale=scale, size=(frames, 3 + 3 * len(BODY)))
    rows[:, :3] = [10, 95, -20]
    lines = ["HIERARCHY", *hierarchy(), "MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.6f}"]
    return "\n".join([*lines, *(" ".join(f"{x:.5f}" for x in row) for row in rows)]) + "\n"
