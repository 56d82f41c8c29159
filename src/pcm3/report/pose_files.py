"""Predicted poses in files that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float

from pcm3.files import write_atomically
from pcm3.report.csv_files import Value, write_csv

Poses = Float[np.ndarray, "N P V C"]


def _npz(file: Path, ids: Sequence[str], joints: Sequence[str], fps: float, poses: Poses) -> None:
    def write(opened: BinaryIO) -> None:
        np.savez(opened, poses=poses, fps=fps, ids=np.array(ids, np.str_), joints=np.array(joints, np.str_))

    write_atomically(file, write)


def _csv(file: Path, ids: Sequence[str], joints: Sequence[str], fps: float, poses: Poses) -> None:
    """Times are seconds after the clip's last frame; joints that are not predicted have empty cells."""

    def rows() -> Iterator[Sequence[Value]]:
        for clip, frame, joint in np.ndindex(*poses.shape[:3]):
            place = [None if np.isnan(value) else float(value) for value in poses[clip, frame, joint]]
            yield [ids[clip], (frame + 1) / fps, joints[joint], *place]

    write_csv(file, ["id", "time_s", "joint", "x", "y", "z"], rows())


FORMS: dict[str, Callable[[Path, Sequence[str], Sequence[str], float, Poses], None]] = {".npz": _npz, ".csv": _csv}
"""Ending of a file → what writes (file, ids, names of the joints, frames a second, poses)."""
