"""MediaPipe's landmarks: 33 of a body, in metres about the hips (world) or as shares of a picture."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from pcm3.data.formats.motion_file import PIXELS, MotionFile
from pcm3.skeleton import load_layout

LAYOUT = "mediapipe33"
JOINTS = 33
HIPS = (23, 24)
WORLD = 0.05
"""Metres from the origin within which the middle of the hips lies in world landmarks."""
PICTURE = 3.0
"""Shares of a picture beyond which landmarks are in pixels or another unit."""


def as_mediapipe(file: MotionFile) -> MotionFile:
    """The file with MediaPipe's joints and unit, where it has 33 joints by number or by their names; else as it is."""
    numbers = [re.fullmatch(r"\D*(\d+)", name) for name in file.joints]
    if len(numbers) == JOINTS and all(numbers):
        indices = [int(number[1]) for number in numbers if number is not None]
        if sorted(indices) not in ([*range(JOINTS)], [*range(1, JOINTS + 1)]):
            return file
        order = np.argsort(indices)
        file = replace(
            file,
            frames=file.frames[:, :, order],
            scores=None if file.scores is None else file.scores[:, :, order],
            joints=load_layout(LAYOUT).joints,
            layout=LAYOUT,
        )
        note: tuple[str, ...] = ("33 numbered joints are taken for those of MediaPipe (--layout)",)
    elif file.layout == LAYOUT:
        note = ()
    else:
        return file
    unit, unit_notes = _unit(file)
    return replace(file, unit=file.unit or unit, notes=(*file.notes, *note, *unit_notes))


def _unit(file: MotionFile) -> tuple[str | None, tuple[str, ...]]:
    """Metres for world landmarks, a picture's for those that are shares of it; None: told by the bodies' size."""
    hips = file.frames[:, :, HIPS].mean(axis=2)
    known_hips = hips[np.isfinite(hips).all(axis=-1)]
    if not len(known_hips) or file.unit is not None:
        return None, ()
    if np.median(np.linalg.norm(known_hips, axis=-1)) < WORLD:
        return "metres", ()
    finite = file.frames[np.isfinite(file.frames).all(axis=-1)]
    if np.percentile(np.abs(finite[:, :2]), 95) < PICTURE and np.median(known_hips[:, 0]) > WORLD:
        note = "landmarks are shares of a picture, which is taken for a square: world landmarks give better bodies"
        return PIXELS, (note,)
    return None, ()
