"""SLEAP's own project files (``.slp``): instances frame by frame, as h5py reads them, without their videos."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.columns import MOST_BODIES
from pcm3.data.formats.hdf5 import MOST_BYTES, array, inside
from pcm3.data.names import printable
from pcm3.errors import DataError, brief

TABLES = {
    "frames": ("video", "frame_idx", "instance_id_start", "instance_id_end"),
    "instances": ("instance_type", "track", "point_id_start", "point_id_end"),
    "points": ("x", "y"),
    "pred_points": ("x", "y", "score"),
}
"""Table → those of its columns that are used."""
Read = tuple[NDArray[np.float64], tuple[str, ...], NDArray[np.float64]]
"""Places (T, M, V, 2), names of the V joints, how sure SLEAP was of each (T, M, V)."""


def is_labels(root: Any) -> bool:
    """Whether the file is such a project."""
    return all(inside(root, name) is not None for name in ("metadata", *TABLES))


def read_labels(name: str, root: Any) -> Read:
    """The instances of the first video; a track is a body, instances without one are bodies in their order.

    In a frame in which a user has set instances, those that were predicted do not count.

    Raises:
        DataError: a table is damaged, or the project has several skeletons.
    """
    joints = _joints(name, root)
    tables = {table: _table(name, root, table, columns) for table, columns in TABLES.items()}
    frames, instances = tables["frames"], tables["instances"]
    frames = frames[frames["video"] == frames["video"][:1]] if len(frames) else frames
    if not len(frames):
        raise DataError(f"{name}: expected labelled frames, got none")
    number = frames["frame_idx"].astype(np.float64)
    count, slots = number.max() - number.min() + 1, _slots(instances["track"])
    if not 1 <= count * MOST_BODIES * len(joints) * 24 <= MOST_BYTES:
        raise DataError(f"{name}: expected frames of one recording, got {number.min():g} to {number.max():g}")
    places = np.full((int(count), MOST_BODIES, len(joints), 2), np.nan)
    sure = np.ones(places.shape[:3])
    for frame, at in zip(frames, (number - number.min()).astype(int), strict=True):
        own = instances[int(frame["instance_id_start"]) : int(frame["instance_id_end"])]
        own = own[own["instance_type"] == 0] if (own["instance_type"] == 0).any() else own
        for order, instance in enumerate(own):
            set_by_hand, track = instance["instance_type"] == 0, int(instance["track"])
            points = tables["points" if set_by_hand else "pred_points"]
            points = points[int(instance["point_id_start"]) : int(instance["point_id_end"])]
            if len(points) != len(joints):
                raise DataError(f"{name}: expected {len(joints)} points of an instance, got {len(points)}")
            body = slots.get(track, MOST_BODIES) if track >= 0 else order
            if body < MOST_BODIES:
                places[at, body] = np.stack([points["x"], points["y"]], axis=-1)
                sure[at, body] = 1.0 if set_by_hand else points["score"]
    places[~np.isfinite(places).all(axis=-1)] = np.nan
    used = np.flatnonzero(np.isfinite(places).any(axis=(0, 2, 3)))
    if not len(used):
        raise DataError(f"{name}: expected instances with points, got none")
    return places[:, used], joints, sure[:, used]


def _slots(tracks: NDArray[Any]) -> dict[int, int]:
    """Track → place of its body: those of the most instances, in the order of their numbers."""
    usual = Counter(tracks[tracks >= 0].tolist()).most_common(MOST_BODIES)
    return {int(track): place for place, track in enumerate(sorted(track for track, _ in usual))}


def _table(name: str, root: Any, table: str, columns: tuple[str, ...]) -> NDArray[Any]:
    rows = array(name, inside(root, table))
    named = rows.dtype.names or ()
    if rows.ndim != 1 or any(column not in named or rows[column].dtype.kind not in "fiub" for column in columns):
        raise DataError(f"{name}: expected '{table}' with the columns {', '.join(columns)}, got {brief(named)}")
    return rows


def _joints(name: str, root: Any) -> tuple[str, ...]:
    """The nodes of the one skeleton, in the order in which points stand."""
    text = inside(root, "metadata").attrs.get("json", b"")
    try:
        metadata = json.loads(text)
        (skeleton,) = metadata["skeletons"]
        joints = tuple(str(metadata["nodes"][node["id"]]["name"]) for node in skeleton["nodes"])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise DataError(
            f"{name}: expected the nodes of one skeleton in its metadata ({printable(str(error), 60)})"
        ) from None
    if not joints or len(set(joints)) < len(joints) or not all(joint.strip() for joint in joints):
        raise DataError(f"{name}: expected nodes of different names, got {brief(joints)}")
    return joints
