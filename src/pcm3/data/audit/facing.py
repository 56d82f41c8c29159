"""Whether a body is the right way round: its toes and elbows against what left, right and up say is forwards."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.joint_names import SIDES, roles
from pcm3.skeleton import Layout

Frames = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]


def toes_forwards(body: Frames, layout: Layout, ever: NDArray[np.bool_]) -> float:
    """Cosine between where the toes of the body (T, V, 3) point and forwards; median over the frames.

    NaN where the layout has no hips, ankles and feet by name, or one of them is never there (``ever`` (V,)).
    """
    feet = next((word for word in ("foot", "toe") if f"left_{word}" in _places(layout)), "foot")
    pairs = _pairs(layout, ever, "ankle", feet)
    if pairs is None:
        return float("nan")
    (ankles, toes), forward = pairs, _forwards(body, layout)
    pointed = (body[:, toes] - body[:, ankles]).sum(axis=1)
    size = np.sqrt((forward**2).sum(axis=1) * (pointed**2).sum(axis=1))
    return float(np.median((forward * pointed).sum(axis=1) / np.maximum(size, 1e-12)))


def elbows_backwards(body: Frames, layout: Layout, ever: NDArray[np.bool_]) -> float:
    """From −1 to 1, how much the elbows of the body (T, V, 3) lie behind the lines from shoulders to wrists.

    The mean over the frames, weighted with how bent the arms are. NaN as for `toes_forwards`.
    """
    pairs = _pairs(layout, ever, "shoulder", "elbow", "wrist")
    if pairs is None:
        return float("nan")
    shoulders, elbows, wrists = (body[:, joints].astype(np.float64) for joints in pairs)
    line = wrists - shoulders
    line /= np.maximum(np.linalg.norm(line, axis=2, keepdims=True), 1e-12)
    bend = elbows - shoulders
    bend = (bend - (bend * line).sum(axis=2, keepdims=True) * line).sum(axis=1)
    forward = _forwards(body, layout)
    forward /= np.maximum(np.linalg.norm(forward, axis=1, keepdims=True), 1e-12)
    bent = float(np.linalg.norm(bend, axis=1).sum())
    return float(-(bend * forward).sum() / bent) if bent > 0 else 0.0


def _forwards(body: Frames, layout: Layout) -> Floats:
    """Where the body faces (T, 3), of any length: up × across, across by the layout and by the hips."""
    place = _places(layout)
    hips = body[:, place["right_hip"]] - body[:, place["left_hip"]]
    across = body[:, layout.across[1]] - body[:, layout.across[0]] + hips
    up = body[:, layout.up[1]] - body[:, layout.up[0]]
    return np.asarray(np.cross(up, across), np.float64)


def _pairs(layout: Layout, ever: NDArray[np.bool_], *words: str) -> list[NDArray[np.int64]] | None:
    """(left, right) of each joint; None unless they, the hips and the ends of up and across are there."""
    place = _places(layout)
    if any(f"{side}_{word}" not in place for side in SIDES for word in (*words, "hip")):
        return None
    pairs = [np.array([place[f"{side}_{word}"] for side in SIDES]) for word in words]
    needed = np.concatenate([*pairs, [place[f"{side}_hip"] for side in SIDES], layout.up, layout.across])
    return pairs if ever[needed].all() else None


@lru_cache(maxsize=32)
def _places(layout: Layout) -> dict[str, int]:
    """Role → joint."""
    known = roles(layout.joints, layout.name)
    return {role: joint for joint, role in reversed(list(enumerate(known))) if role is not None}
