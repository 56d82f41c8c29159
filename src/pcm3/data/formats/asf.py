"""ASF, the skeletons of Acclaim's motion capture (CMU): bones with directions, lengths, axes and degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pcm3.data.kinematics import about_xyz
from pcm3.data.names import is_name
from pcm3.data.readers.text_table import printable
from pcm3.errors import DataError

DEGREES = ("rx", "ry", "rz", "tx", "ty", "tz")
MOST_BONES = 500
ROOT = "root"


@dataclass
class Bone:
    """A bone of the skeleton."""

    parent: int = 0
    """The place of the bone that it hangs from."""
    direction: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axes: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    """(3, 3) the axes in which its angles are told, against the world."""
    degrees: list[str] = field(default_factory=list)
    """Its degrees of freedom, in the order of a motion's numbers."""


@dataclass
class Skeleton:
    """The bones by their names, the root as the first, parents before their children."""

    bones: dict[str, Bone]
    unit: float
    """Lengths are inches times it."""


def numbers(words: Sequence[str], count: int) -> NDArray[np.float64] | None:
    """So many numbers below a million; None where the words are others."""
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        return None
    return values if values.shape == (count,) and (np.abs(values) < 1e6).all() else None


def parse(name: str, data: bytes) -> Skeleton:
    """The skeleton in a file.

    Raises:
        DataError: it is no ASF file; the error names the line.
    """
    reading = _Reading()
    for number, line in enumerate(data.decode("latin-1").splitlines(), 1):
        words = line.split("#", 1)[0].split()
        expected = reading.take(words) if words else ""
        if expected:
            raise DataError(f"{name}: line {number}: expected {expected}, got {printable(line.strip().encode())}")
    return Skeleton(_in_order(name, reading.bones, reading.parents), reading.unit)


class _Reading:
    """What was read so far; every method says what it expected instead of a line, or nothing."""

    def __init__(self) -> None:
        self.bones = {ROOT: Bone(degrees=["tx", "ty", "tz", "rx", "ry", "rz"])}
        self.parents: dict[str, str] = {}
        self.unit = 1.0
        self.section = ""
        self.bone: Bone | None = None

    def take(self, words: list[str]) -> str:
        """Takes the words of a line."""
        if words[0].startswith(":"):
            self.section = words[0].lower()
            return ""
        if self.section == ":units" and words[0] == "length":
            value = numbers(words[1:], 1)
            self.unit = 0.0 if value is None else float(value[0])
            return "" if self.unit > 1e-6 else "a length above 0"
        if self.section == ":root":
            return self._about(self.bones[ROOT], {"order": "dof", "orientation": "axis"}.get(words[0], ""), words[1:])
        if self.section == ":bonedata":
            return self._bone(words)
        if self.section == ":hierarchy" and words[0] not in ("begin", "end"):
            return self._children(words[0], words[1:])
        return ""

    def _bone(self, words: list[str]) -> str:
        if words[0] in ("begin", "end"):
            self.bone = Bone() if words[0] == "begin" else None
            return ""
        if self.bone is None:
            return "begin before what is told of a bone"
        if words[0] != "name":
            return self._about(self.bone, words[0], words[1:])
        name = " ".join(words[1:])
        if not is_name(name) or name in self.bones or len(self.bones) >= MOST_BONES:
            return f"the name of a bone, no two alike, and up to {MOST_BONES} of them"
        self.bones[name] = self.bone
        return ""

    def _about(self, bone: Bone, key: str, words: list[str]) -> str:
        if key == "dof":
            bone.degrees = [word.lower() for word in words if word.lower() != "l"]
            right = set(bone.degrees) <= set(DEGREES) and len(set(bone.degrees)) == len(bone.degrees)
            return "" if right else f"degrees of freedom of {', '.join(DEGREES)}, each once"
        if key == "length":
            length = numbers(words, 1)
            bone.length = 0.0 if length is None else float(length[0])
            return "a number" if length is None else ""
        if key in ("direction", "axis"):
            three = numbers(words[:3], 3)
            if three is None:
                return "three numbers"
            if key == "direction":
                bone.direction = three
            else:
                bone.axes = about_xyz(three[None])[0]
        return ""

    def _children(self, parent: str, children: list[str]) -> str:
        for child in children:
            if not {parent, child} <= set(self.bones) or child in self.parents or child == ROOT:
                return "a bone and its children, each once"
            self.parents[child] = parent
        return ""


def _in_order(name: str, bones: dict[str, Bone], parents: dict[str, str]) -> dict[str, Bone]:
    """The bones that hang in the tree, parents first."""
    ordered, left = [ROOT], list(parents)
    while left:
        ready = [bone for bone in left if parents[bone] in ordered]
        if not ready:
            raise DataError(f"{name}: expected every bone to hang from the root; '{left[0]}' does not")
        ordered += ready
        left = [bone for bone in left if bone not in ordered]
    if len(ordered) < 2:
        raise DataError(f"{name}: expected bones and their hierarchy, got none")
    for bone in ordered:
        bones[bone].parent = ordered.index(parents.get(bone, ROOT))
    return {bone: bones[bone] for bone in ordered}
