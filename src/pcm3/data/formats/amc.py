"""AMC motions on ASF skeletons (Acclaim; CMU's motion capture): the ends of the bones as joints.

No kept library reads them. A bone is turned by its own angles in its own axes; its end is its beginning plus its turned
direction times its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pcm3.data.archives import Entry
from pcm3.data.formats import asf
from pcm3.data.formats.motion_file import FileGroup, MotionFile, folder_of
from pcm3.data.kinematics import about_xyz
from pcm3.data.picture import body_size
from pcm3.data.readers.text_table import printable
from pcm3.data.source_index import Options
from pcm3.data.units import HUMAN, UNITS
from pcm3.errors import DataError


def matches(name: str, head: bytes) -> bool:
    """Whether AMC's words stand in the heading."""
    return b":FULLY-SPECIFIED" in head or b":DEGREES" in head


def with_skeletons(entries: Sequence[Entry], suffixes: Sequence[str]) -> list[FileGroup]:
    """Each motion with the skeleton of its folder with whose name its own begins, or that is alone there."""
    skeletons: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.name.lower().endswith(".asf"):
            skeletons.setdefault(str(folder_of(entry)), []).append(entry)
    groups = []
    for entry in entries:
        if entry.name.lower().endswith(".amc"):
            stem = PurePosixPath(entry.name).stem
            there = skeletons.get(str(folder_of(entry))) or _beside(entry)
            fitting = [file for file in there if stem.startswith(PurePosixPath(file.name).stem)]
            best = max(fitting, key=lambda file: len(file.name)) if fitting else there[0] if len(there) == 1 else None
            groups.append(FileGroup(stem, (entry,) if best is None else (entry, best)))
    return groups


def _beside(entry: Entry) -> list[Entry]:
    """The skeletons in the folder of a file that was named alone."""
    if entry.member is not None:
        return []
    return [Entry(file) for file in sorted(entry.container.parent.iterdir()) if file.suffix.lower() == ".asf"]


def read(group: FileGroup, options: Options) -> MotionFile:
    """The ends of the bones.

    Raises:
        DataError: no skeleton beside it, or one of the two is damaged; the error names the line.
    """
    if len(group.entries) < 2:
        raise DataError(f"{group.entries[0].name}: expected an .asf file of its name, or a single one, beside it")
    motion, skeleton = group.entries
    return parse(motion.name, motion.read(), asf.parse(skeleton.name, skeleton.read()))


def parse(name: str, motion: bytes, skeleton: asf.Skeleton) -> MotionFile:
    """As `read`, of a motion's bytes and its skeleton."""
    bones = skeleton.bones
    values = _values(name, motion, bones)
    count = len(next(iter(values.values())))
    rotations, places = np.empty((len(bones), count, 3, 3)), np.empty((count, len(bones), 3))
    for number, (bone, about) in enumerate(bones.items()):
        angles = np.zeros((count, 6))
        for column, degree in enumerate(about.degrees):
            angles[:, asf.DEGREES.index(degree)] = values[bone][:, column]
        rotation = about.axes @ about_xyz(angles[:, :3]) @ about.axes.T
        if number == 0:
            rotations[0], places[:, 0] = rotation, angles[:, 3:]
        else:
            rotations[number] = rotations[about.parent] @ rotation
            places[:, number] = places[:, about.parent] + rotations[number] @ (about.direction * about.length)
    places /= skeleton.unit
    inches = HUMAN[0] <= body_size(places[:, None]) * UNITS["inches"] <= HUMAN[1]
    parents = tuple(bone.parent for bone in bones.values())
    return MotionFile(places[:, None], tuple(bones), parents, unit="inches" if inches else None)


def _values(name: str, data: bytes, bones: dict[str, asf.Bone]) -> dict[str, NDArray[np.float64]]:
    """The values of each bone's degrees of freedom (T, D)."""
    rows: dict[str, list[NDArray[np.float64]]] = {bone: [] for bone, about in bones.items() if about.degrees}
    frames = 0
    for number, line in enumerate(data.decode("latin-1").splitlines(), 1):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        expected = ""
        if len(words) == 1 and words[0].isdigit():
            missing = next((bone for bone, values in rows.items() if len(values) < frames), None)
            expected = "" if missing is None else f"values of '{missing}' in the frame before"
            frames += 1
        elif words[0] in rows:
            count = len(bones[words[0]].degrees)
            values = asf.numbers(words[1:], count)
            if values is None or len(rows[words[0]]) != frames - 1:
                expected = f"{count} numbers of '{words[0]}', once a frame"
            else:
                rows[words[0]].append(values)
        elif words[0] not in bones:
            expected = "the number of a frame, or a bone of the skeleton"
        if expected:
            raise DataError(f"{name}: line {number}: expected {expected}, got {printable(line.encode())}")
    if frames == 0 or not rows or any(len(values) != frames for values in rows.values()):
        raise DataError(f"{name}: expected values of every bone in every frame: is it whole?")
    return {bone: np.stack(values) for bone, values in rows.items()}
