"""BVH, as motion capture and animation programs write it: a hierarchy with channels, then a line of numbers a frame.

Read here and not by a library: pybvh refuses joints with position channels or other than three rotations, which many
programs write; bvhio makes an object of every joint in every frame. The tests hold these places to pybvh's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.kinematics import about_axis, joint_positions
from pcm3.data.names import is_name
from pcm3.data.readers.text_table import number_rows, printable
from pcm3.data.source_index import Options
from pcm3.errors import DataError
from pcm3.summary import counted

CHANNELS = tuple(f"{axis}{what}" for what in ("position", "rotation") for axis in "xyz")
MOST_JOINTS = 1000
SNAP = 5e-4
"""A rate that is so near to a whole number is that: programs round the time of a frame."""


@dataclass
class Joint:
    """A joint of the hierarchy."""

    name: str
    parent: int
    offset: list[float] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)


def matches(name: str, head: bytes) -> bool:
    """Whether a file begins as BVH does."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:9].upper() == b"HIERARCHY"


def read(group: FileGroup, options: Options) -> MotionFile:
    """The places of the joints, without the ends of the limbs, which are no joints.

    Raises:
        DataError: the content is not BVH; the error names the line.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    lines = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    joints, at = _hierarchy(name, lines)
    fps, first = _motion_head(name, lines, at)
    width = sum(len(joint.channels) for joint in joints)
    values = number_rows(name, b"\n".join(lines[first:]), width, None, first + 1)
    if not (np.abs(values) < 1e6).all():
        raise DataError(f"{name}: expected degrees and places below a million, got {np.abs(values).max():g}")
    frames = _places(joints, values)
    names = tuple(joint.name for joint in joints)
    return MotionFile(frames[:, None], names, tuple(max(joint.parent, 0) for joint in joints), fps=fps)


class _Hierarchy:
    """The hierarchy as far as it was read."""

    def __init__(self) -> None:
        self.joints: list[Joint] = []
        self.opened: list[int] = []
        """The joint of each block that is open; -1: the end of a limb, which is no joint."""
        self.coming: int | None = None
        """What the next block is of."""

    def take(self, line: bytes) -> str:
        """Takes a line; what was expected instead of it, or nothing."""
        words = line.replace(b"{", b" { ").split()
        if not words:
            return ""
        key = words[0].upper()
        if key in (b"ROOT", b"JOINT"):
            expected = self._joint([word for word in words[1:] if word != b"{"], root=key == b"ROOT")
        elif key in (b"OFFSET", b"CHANNELS"):
            expected = self._about(key, words[1:])
        elif key == b"}":
            expected = "" if self.opened else "no } where no { is open"
            del self.opened[-1:]
        elif key == b"END":
            expected, self.coming = "", -1
        else:
            expected = "" if key == b"{" else "a part of the hierarchy"
        if b"{" in words and not expected:
            if self.coming is None:
                return "ROOT, JOINT or End Site before {"
            self.opened.append(self.coming)
            self.coming = None
        return expected

    def _joint(self, words: list[bytes], *, root: bool) -> str:
        name = b" ".join(words).decode("utf-8", "replace")
        if root != (not self.joints) or (not root and (not self.opened or self.opened[-1] < 0)):
            return "one ROOT, and each JOINT inside another"
        if not is_name(name) or len(self.joints) >= MOST_JOINTS:
            return f"the name of a joint, and up to {MOST_JOINTS} of them"
        self.coming = len(self.joints)
        self.joints.append(Joint(name, -1 if root else self.opened[-1]))
        return ""

    def _about(self, key: bytes, words: list[bytes]) -> str:
        if not self.opened:
            return "a part of the hierarchy"
        joint = self.joints[self.opened[-1]] if self.opened[-1] >= 0 else Joint("", 0)
        if key == b"OFFSET":
            joint.offset = _floats(words)
            return "" if len(joint.offset) == 3 else "OFFSET x y z"
        joint.channels = [word.decode("latin-1").lower() for word in words[1:]]
        count, unique = len(joint.channels), set(joint.channels)
        right = words[:1] == [b"%d" % count] and len(unique) == count and unique <= set(CHANNELS)
        return "" if right else "CHANNELS, their number and their names, as Xposition or Zrotation"


def _hierarchy(name: str, lines: list[bytes]) -> tuple[list[Joint], int]:
    """The joints in the order of their channels, parents first; and the index of the line that says MOTION."""
    if not lines or lines[0].strip().upper() != b"HIERARCHY":
        raise DataError(f"{name}: line 1: expected HIERARCHY, got {printable(lines[0]) if lines else 'an empty file'}")
    tree = _Hierarchy()
    for number, line in enumerate(lines[1:], 1):
        if line.strip().upper() == b"MOTION" and not tree.opened and tree.joints:
            without = next((joint.name for joint in tree.joints if not joint.offset), None)
            if without is not None:
                raise DataError(
                    f"{name}: line {number + 1}: expected an OFFSET of joint '{without}' before, got MOTION"
                )
            return tree.joints, number
        expected = tree.take(line)
        if expected:
            raise DataError(f"{name}: line {number + 1}: expected {expected}, got {printable(line.strip())}")
    raise DataError(f"{name}: line {len(lines) + 1}: expected MOTION after the hierarchy, got the end of the file")


def _motion_head(name: str, lines: list[bytes], at: int) -> tuple[float, int]:
    """Frames a second, and the index of the first line of numbers."""
    header: dict[str, float] = {}
    for number in range(at + 1, min(at + 8, len(lines))):
        key, divided, value = lines[number].partition(b":")
        numbers = _floats(value.split())
        word = key.strip().lower().decode("latin-1")
        if divided and len(numbers) == 1 and word in ("frames", "frame time"):
            header[word] = numbers[0]
        if len(header) == 2:
            if not 1e-4 <= header["frame time"] <= 100:
                raise DataError(
                    f"{name}: line {number + 1}: expected the seconds of a frame, got {header['frame time']:g}"
                )
            rows = sum(1 for line in lines[number + 1 :] if line.strip())
            if header["frames"] != rows:
                lines_of = counted(rows, "line")
                raise DataError(
                    f"{name}: says {header['frames']:.0f} frames, but has {lines_of} of numbers: is it whole?"
                )
            rate = 1 / header["frame time"]
            nearest = round(rate)
            return (float(nearest) if abs(rate - nearest) < SNAP * rate else rate), number + 1
    raise DataError(f"{name}: line {at + 2}: expected Frames: and Frame Time: after MOTION")


def _floats(words: list[bytes]) -> list[float]:
    """The words as numbers; none where one of them is none."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return []
    return numbers if np.isfinite(numbers).all() and all(abs(number) < 1e9 for number in numbers) else []


def _places(joints: list[Joint], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The places of the joints (T, V, 3); a position channel stands for that coordinate of the offset."""
    frames = len(values)
    rotations = np.empty((frames, len(joints), 3, 3))
    offsets = np.empty((frames, len(joints), 3))
    column = 0
    for number, joint in enumerate(joints):
        turned = np.broadcast_to(np.eye(3), (frames, 3, 3))
        offsets[:, number] = joint.offset
        for channel in joint.channels:
            axis = "xyz".index(channel[0])
            if channel.endswith("position"):
                offsets[:, number, axis] = values[:, column]
            else:
                turned = turned @ about_axis(axis, np.deg2rad(values[:, column]))
            column += 1
        rotations[:, number] = turned
    parents = [max(joint.parent, 0) for joint in joints]
    return joint_positions(offsets, parents, rotations, np.zeros((frames, 3)))
