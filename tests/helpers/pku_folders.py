"""Folders in PKU-MMD's form for the tests: skeletons, labels and split lists, written as the download has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Row = tuple[int, int, int, int]
"""label (from 1), start, end, confidence."""


def skeleton_text(frames: NDArray[np.floating]) -> str:
    """The skeleton file of a video (T, 1 or 2, 25, 3): 150 numbers a line, six decimals, a space after the last."""
    both = np.zeros((len(frames), 2, *frames.shape[2:]))
    both[:, : frames.shape[1]] = frames
    return "".join(" ".join(f"{number:f}" for number in frame.ravel()) + " \n" for frame in both)


def label_text(rows: Sequence[Row]) -> str:
    """The label file of a video."""
    return "".join(",".join(str(number) for number in row) + "\n" for row in rows)


def list_text(train: Sequence[str], validation: Sequence[str]) -> str:
    """A split list, with the published lists' spelling."""
    return f"Training videos: \n{', '.join(train)}, \nValidataion videos: \n{', '.join(validation)}, \n"


def write_pku(
    folder: Path,
    videos: Mapping[str, tuple[NDArray[np.floating], Sequence[Row]]],
    lists: Mapping[str, tuple[Sequence[str], Sequence[str]]] | None = None,
    skeletons: str = "Data/PKU_Skeleton_Renew",
    labels: str = "Label/Train_Label_PKU_final",
) -> Path:
    """The folder with those videos (name → frames and label rows) and split lists (name of the file → both sides)."""
    for name, (frames, rows) in videos.items():
        for place, text in ((skeletons, skeleton_text(frames)), (labels, label_text(rows))):
            file = folder / place / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    for file_name, sides in (lists or {}).items():
        (folder / "Split").mkdir(parents=True, exist_ok=True)
        (folder / "Split" / file_name).write_text(list_text(*sides))
    return folder
