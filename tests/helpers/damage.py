"""Text files as accidents leave them."""

import numpy as np


def damage(data, random, longest_cut, mark):
    """The bytes after one to three flips, cuts and insertions, among these of the format's own separating mark."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(len(changed) + 1))
        match random.integers(4):
            case 0:
                changed[place : place + 1] = bytes([random.integers(256)])
            case 1:
                del changed[place : place + int(random.integers(1, longest_cut))]
            case 2:
                changed[place:place] = bytes(random.integers(256, size=random.integers(1, 9), dtype=np.uint8))
            case 3:
                changed[place:place] = random.choice([b"\n", b" ", mark, b"1e999", b"nan", b"-", b"\r", b"9" * 20])
    return bytes(changed)
