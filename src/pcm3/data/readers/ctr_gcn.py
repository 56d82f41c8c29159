"""The .npz that CTR-GCN and its kin make of NTU RGB+D: ``x_train`` (N, T, M·V·C), ``y_train`` one-hot, and so for test.

There are no names in it: who was recorded, and by which camera, is lost, and with it all protocols but the file's own.
The clips are unpacked one after the other (`npz_rows`), in one process, so that a file of 7 GB costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from pcm3.data.readers.class_names import class_names, numbered_classes
from pcm3.data.readers.npz_rows import DAMAGE, NpzRows
from pcm3.data.recording import CLASSES_LIMIT, TEST, TRAIN, Recording, metres
from pcm3.data.source_index import Options, SourceClip, SourceIndex
from pcm3.data.store import BY_SPLIT
from pcm3.errors import DataError
from pcm3.geometry import present_joints
from pcm3.skeleton import Layout, load_layout

PARTS = {"train": TRAIN, "test": TEST}
PROTOCOL = "split"
PROBED = 8
"""Clips of a part that are looked at to see how it tells absent joints."""
MOVED = (
    "Joints that were absent lie at one point of a clip, where the script moved them: this form does not tell them "
    "from others, and they come back as present."
)
NTU_CLASSES = (60, 120)
"""So many classes are taken for those of NTU RGB+D."""


def index(source: Path, options: Options) -> SourceIndex:
    """The clips of the training part, then those of the test part, in the order of the file.

    Raises:
        DataError: it is no such file, or its arrays do not fit together.
    """
    layout = options.layout or load_layout("kinect_v2")
    present = _parts(source)
    both = {part: NpzRows(source, f"x_{part}") for part in present}
    joints = {part: rows for part, rows in both.items() if len(rows)}
    if not joints:
        raise DataError(f"{source}: it holds no clip")
    bodies = {_bodies(rows, layout) for rows in joints.values()}
    labels = {part: _labels(NpzRows(source, f"y_{part}"), len(rows)) for part, rows in joints.items()}
    columns = {count for _, count in labels.values()}
    if len(bodies) > 1 or len(columns) > 1:
        raise DataError(f"{source}: expected as many bodies and classes in training and test, got different ones")
    clips = [
        SourceClip(
            f"{part}-{index:06d}",
            f"{source}: x_{part}, row {index}",
            partial(_read, rows, index, layout, f"{part}-{index:06d}", int(labels[part][0][index]), PARTS[part]),
        )
        for part, rows in joints.items()
        for index in range(len(rows))
    ]
    count = columns.pop()
    return SourceIndex(
        clips,
        layout=layout,
        bodies=bodies.pop(),
        classes=class_names("ntu")[:count] if count in NTU_CLASSES else numbered_classes(count),
        protocols={PROTOCOL: BY_SPLIT} if len(joints) == len(PARTS) else {},
        notes=[
            f"x_{part} has no clip, so that the file makes no protocol: pretrain and evaluate with --protocol all."
            for part in both
            if part not in joints
        ]
        + _absence_notes(joints.values(), layout),
        in_process=True,
    )


def _parts(source: Path) -> list[str]:
    """Which of training and test the file has."""
    try:
        with ZipFile(source) as archive:
            names = archive.namelist()
    except DAMAGE as error:
        raise DataError(f"{source}: expected an .npz file like NTU60_CS.npz: {error}") from error
    present = [part for part in PARTS if f"x_{part}.npy" in names]
    if not present:
        held = ", ".join(name.removesuffix(".npy") for name in names[:6])
        raise DataError(f"{source}: expected x_train, y_train, x_test, y_test as CTR-GCN writes them, got {held}")
    return present


def _bodies(rows: NpzRows, layout: Layout) -> int:
    """M of an array (N, T, M·V·C)."""
    body = 3 * len(layout.joints)
    if len(rows.shape) != 3 or 0 in rows.shape or rows.shape[2] % body or rows.dtype.kind != "f":
        raise DataError(
            f"{rows.file}: expected {rows.name} (N, T, M·{body}) of floats for layout '{layout.name}' with "
            f"{len(layout.joints)} joints, got {rows.shape} of {rows.dtype}"
        )
    return rows.shape[2] // body


def _labels(rows: NpzRows, clips: int) -> tuple[NDArray[np.int64], int]:
    """The label of each clip (N,), from rows with a single 1; and how many classes there are."""
    if len(rows.shape) != 2 or len(rows) != clips or rows.shape[1] > CLASSES_LIMIT or rows.dtype.kind not in "iufb":
        raise DataError(
            f"{rows.file}: expected {rows.name} ({clips}, classes) one-hot, got {rows.shape} of {rows.dtype}"
        )
    labels = np.zeros(clips, np.int64)
    with closing(rows):
        for index in range(clips):
            ones = np.flatnonzero(rows.read(index))
            if len(ones) != 1:
                raise DataError(f"{rows.file}: expected a single 1 in row {index} of {rows.name}, got {len(ones)}")
            labels[index] = ones[0]
    return labels, rows.shape[1]


def _absence_notes(joints: Iterable[NpzRows], layout: Layout) -> list[str]:
    """What to tell where joints that were absent are places like others: the script moved them along."""
    for rows in joints:
        for index in range(min(PROBED, len(rows))):
            try:
                clip = _frames(rows, index, layout, "")
            except DataError:
                continue  # the import will tell
            if any(_shares_a_point(clip[:, body]) for body in range(clip.shape[1])):
                return [MOVED]
    return []


def _shares_a_point(body: NDArray[np.float32]) -> bool:
    """Whether two joints of the body (T, V, C) are ever at exactly one point, which is not the origin."""
    frame, joint = np.nonzero(body.any(axis=2))
    _, point = np.unique(body[frame, joint], axis=0, return_inverse=True)
    pairs = np.unique(np.stack([point.ravel(), joint], axis=1), axis=0)
    return len(pairs) > len(np.unique(pairs[:, 0]))


def _read(rows: NpzRows, index: int, layout: Layout, id: str, label: int, side: int) -> Recording:
    """The clip without the empty frames that fill it up."""
    frames = _frames(rows, index, layout, id)
    present = present_joints(frames)
    there = np.flatnonzero(present[:, :1].any(axis=(1, 2)))
    if len(there):  # the script subtracts its first body's centre in its first frame, which lies at the origin then
        present[there[0], 0, layout.centre] = True
    return Recording(id, frames, label, splits={PROTOCOL: side}, present=present)


def _frames(rows: NpzRows, index: int, layout: Layout, id: str) -> NDArray[np.float32]:
    """The frames (T, M, V, C) up to the last that is not empty, absent bodies all zeros."""
    values = rows.read(index)
    frames = metres(id, values.reshape(len(values), -1, len(layout.joints), 3))
    occupied = np.flatnonzero(frames.any(axis=(1, 2, 3)))
    return _absent_as_zeros(frames[: occupied[-1] + 1 if len(occupied) else 0])


def _absent_as_zeros(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """The frames (T, M, V, C) with zeros for bodies all of whose joints are at one point.

    CTR-GCN's script moves a recording of one body by a constant, also in the frames in which the body is absent.
    """
    collapsed = (frames == frames[:, :, :1]).all(axis=(2, 3), keepdims=True)
    return np.where(collapsed, np.float32(0), frames)
