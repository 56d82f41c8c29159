"""UTD-MHAD: one MATLAB file a clip, ``aA_sS_tT_skeleton.mat``, 20 Kinect v1 joints in an order of its own."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.data.readers.joint_order import joint_order
from pcm3.data.recording import Recording, metres
from pcm3.data.source_index import Options, SourceIndex, list_clips, name_numbers
from pcm3.errors import DataError

# The order of Skeleton_joint_order.txt, which comes with the data.
JOINTS = (
    "head", "shoulder_centre", "spine", "hip_centre",
    "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_shoulder", "right_elbow", "right_wrist", "right_hand",
    "left_hip", "left_knee", "left_ankle", "left_foot",
    "right_hip", "right_knee", "right_ankle", "right_foot",
)  # fmt: skip
ORDER = joint_order(JOINTS, "kinect_v1")

ACTIONS = 27

NAME = r"a(\d{1,3})_s(\d{1,3})_t(\d{1,3})_skeleton\.mat"
VARIABLE = "d_skel"
LONGEST = 100_000
"""Frames, about an hour; a file that announces more is not unpacked."""


def index(source: Path, options: Options) -> SourceIndex:
    """The clips under the source."""
    clips, _, unusable = list_clips(source, "_skeleton.mat", parse)
    return SourceIndex(clips, unusable=unusable)


def parse(name: str, data: bytes) -> Recording:
    """The recording in one file.

    Raises:
        DataError: the name or the content is not that of a UTD-MHAD skeleton.
    """
    action, subject, _trial = name_numbers(name, NAME, "aA_sS_tT_skeleton.mat")
    if not 1 <= action <= ACTIONS:
        raise DataError(f"{name}: expected an action from 1 to {ACTIONS}, got {action}")
    joints = _matrix(name, data)  # (V, C, T)
    frames = joints.transpose(2, 0, 1)[:, None, ORDER]
    return Recording(
        id=name.removesuffix("_skeleton.mat"),
        frames=metres(name, frames),
        label=action - 1,
        subject=subject,
    )


def _matrix(name: str, data: bytes) -> NDArray[np.float64]:
    """The variable d_skel (20, 3, T), when it is there in that shape."""
    from scipy.io import loadmat, whosmat

    try:
        # The sizes are looked at before anything is unpacked: a few bytes can announce a matrix of any size.
        shapes = {variable: (shape, kind) for variable, shape, kind in whosmat(BytesIO(data))}  # type: ignore[arg-type]
        shape, kind = shapes.get(VARIABLE, ((), "no such variable"))
        if len(shape) != 3 or shape[:2] != (20, 3) or not 1 <= shape[2] <= LONGEST or kind not in NUMBER_KINDS:
            raise DataError(f"{name}: expected {VARIABLE} of shape (20, 3, T) in numbers, got {shape} ({kind})")
        matrix = loadmat(BytesIO(data), variable_names=[VARIABLE])[VARIABLE]  # type: ignore[arg-type]
        return np.asarray(matrix, np.float64)
    except DataError:
        raise
    except Exception as error:  # the MATLAB reader fails on damaged bytes in any way there is
        raise DataError(f"{name}: not a MATLAB file that can be read: {type(error).__name__}: {error}") from error


NUMBER_KINDS = ("double", "single", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
