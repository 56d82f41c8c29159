"""Poses in HDF5: SLEAP's projects and analysis files, DeepLabCut's tables, movement's netCDF, NWB with ndx-pose."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.formats.columns import MOST_BODIES
from pcm3.data.formats.deeplabcut import from_columns, upwards
from pcm3.data.formats.hdf5 import array, inside, numbers, opened, words
from pcm3.data.formats.motion_file import FileGroup, MotionFile
from pcm3.data.formats.sleap_labels import is_labels, read_labels
from pcm3.data.readers.safe_pickle import run
from pcm3.data.source_index import Options
from pcm3.errors import DataError

MAGIC = b"\x89HDF\r\n\x1a\n"


def read(group: FileGroup, options: Options) -> MotionFile:
    """The bodies in the file.

    Raises:
        DataError: it is none of the five, damaged, or leads to other files; h5py is not installed.
    """
    entry = group.entries[0]
    return parse(entry.name, entry.read())


def parse(name: str, data: bytes) -> MotionFile:
    """As `read`, of bytes."""
    with opened(name, data) as root:
        try:
            return _of_root(name, root)
        except DataError as error:
            message = str(error)
            raise DataError(message if message.startswith(name) else f"{name}: {message}") from None


def _of_root(name: str, root: Any) -> MotionFile:
    if is_labels(root):
        places, joints, scores = read_labels(name, root)
        return _longest(_three(places), joints, scores, None)
    if inside(root, "tracks") is not None and inside(root, "node_names") is not None:
        return _sleap(name, root)
    if inside(root, "position") is not None and inside(root, "keypoints") is not None:
        return _movement(name, root)
    if "nwb_version" in root.attrs or inside(root, "processing") is not None:
        return _nwb(name, root)
    for key in list(root)[:20]:
        if inside(root, f"{key}/table") is not None:
            return _deeplabcut(name, inside(root, f"{key}/table"))
    names = ", ".join(list(root)[:5])
    raise DataError(
        f"{name}: expected a project or an analysis file of SLEAP, a table of DeepLabCut, a file of movement or an "
        f"NWB file with poses, got {names or 'an empty file'}"
    )


def _sleap(name: str, root: Any) -> MotionFile:
    """``tracks`` (individuals, 2 or 3, nodes, frames) and ``node_names``."""
    joints = words(name, inside(root, "node_names"))
    tracks = numbers(name, inside(root, "tracks"))
    if tracks.ndim != 4 or tracks.shape[1] not in (2, 3) or tracks.shape[2] != len(joints) or 0 in tracks.shape:
        raise DataError(f"{name}: expected tracks (individuals, 2, {len(joints)}, frames), got {tracks.shape}")
    frames = tracks.transpose(3, 0, 2, 1)
    scores = None
    if inside(root, "point_scores") is not None:
        scores = numbers(name, inside(root, "point_scores"))
        if scores.shape != (tracks.shape[0], *tracks.shape[2:]):
            raise DataError(f"{name}: expected point_scores of the tracks' shape, got {scores.shape}")
        scores = scores.transpose(2, 0, 1)
    return _longest(_three(frames), joints, scores, None)


def _movement(name: str, root: Any) -> MotionFile:
    """``position`` with the dimensions time, space, keypoints, individuals, in the order that the file tells."""
    joints = words(name, inside(root, "keypoints"))
    node = inside(root, "position")
    order = _dimensions(name, root, node)
    places = numbers(name, node)
    if places.ndim != len(order) or not {"time", "space", "keypoints"} <= set(order):
        raise DataError(f"{name}: expected position with time, space and keypoints, got {', '.join(order)}")
    places = places if "individuals" in order else places[..., None]
    order = order if "individuals" in order else (*order, "individuals")
    frames = places.transpose([order.index(axis) for axis in ("time", "individuals", "keypoints", "space")])
    if frames.shape[2] != len(joints) or frames.shape[3] not in (2, 3) or 0 in frames.shape:
        raise DataError(
            f"{name}: expected position of {len(joints)} keypoints in 2 or 3 dimensions, got {frames.shape}"
        )
    rate = root.attrs.get("fps")
    fps = float(rate) if isinstance(rate, np.floating | np.integer | float | int) and 0.1 <= rate <= 10_000 else None
    scores = None
    node = inside(root, "confidence")
    if node is not None:
        axes = _dimensions(name, root, node)
        sure = numbers(name, node)
        if set(axes) == {"time", "keypoints", "individuals"} and sure.ndim == 3:
            scores = sure.transpose([axes.index(axis) for axis in ("time", "individuals", "keypoints")])
            scores = scores if scores.shape == frames.shape[:3] else None
    return _longest(_three(frames), joints, scores, fps)


def _dimensions(name: str, root: Any, node: Any) -> tuple[str, ...]:
    """The names of a data set's dimensions, as netCDF writes them."""
    scales = node.attrs.get("DIMENSION_LIST")
    if scales is None or len(scales) != node.ndim:
        raise DataError(f"{name}: expected the dimensions of '{node.name}' to be named")
    return tuple(str(root[scale[0]].name).rsplit("/", 1)[-1] for scale in scales)


def _nwb(name: str, root: Any) -> MotionFile:
    """Each ``PoseEstimation`` is a body, each ``PoseEstimationSeries`` in it a joint."""
    bodies = [inside(root, path) for path in _poses(root, "", 4)][:MOST_BODIES]
    if not bodies:
        raise DataError(f"{name}: expected a PoseEstimation (ndx-pose), found none")
    joints: tuple[str, ...] = ()
    tracks: list[NDArray[np.float64]] = []
    sure: list[NDArray[np.float64]] = []
    rates: list[float] = []
    for body in bodies:
        series = {key: inside(body, key) for key in sorted(body) if _kind(inside(body, key)) == "PoseEstimationSeries"}
        joints = joints or tuple(series)
        if tuple(series) != joints or not joints:
            raise DataError(
                f"{name}: expected the same joints of every body, got {', '.join(list(series)[:4]) or 'none'}"
            )
        places = [_three(numbers(name, inside(joint, "data"))) for joint in series.values()]
        scores = [
            numbers(name, inside(joint, "confidence")) for joint in series.values() if inside(joint, "confidence")
        ]
        if len({len(place) for place in places}) > 1 or any(place.ndim != 2 for place in places):
            raise DataError(f"{name}: expected data (frames, 2 or 3) of one length for all joints")
        tracks.append(np.stack(places, axis=1))
        if len(scores) == len(places) and all(
            score.shape == place.shape[:1] for score, place in zip(scores, places, strict=True)
        ):
            sure.append(np.stack(scores, axis=1))
        rates += _rates(name, next(iter(series.values())))
    if len({len(track) for track in tracks}) > 1:
        raise DataError(f"{name}: expected bodies of one length")
    scored = np.stack(sure, axis=1) if len(sure) == len(tracks) else None
    return _longest(np.stack(tracks, axis=1), _bare(joints), scored, rates[0] if rates else None)


def _poses(root: Any, path: str, deep: int) -> list[str]:
    """The paths of the groups that are estimated poses."""
    node = inside(root, path) if path else root
    if not hasattr(node, "keys"):
        return []
    if _kind(node) == "PoseEstimation":
        return [path]
    return [poses for key in sorted(node)[:1000] for poses in (_poses(root, f"{path}/{key}", deep - 1) if deep else [])]


def _kind(node: Any) -> str:
    kind = node.attrs.get("neurodata_type", "") if hasattr(node, "attrs") else ""
    return kind.decode("latin-1") if isinstance(kind, bytes) else str(kind)


def _rates(name: str, series: Any) -> list[float]:
    """Frames a second of a series, where it tells them."""
    start = inside(series, "starting_time")
    if start is not None and "rate" in start.attrs:
        rate = float(start.attrs["rate"])
    else:
        times = inside(series, "timestamps")
        steps = np.diff(numbers(name, times).ravel()) if times is not None else np.empty(0)
        rate = 1 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else 0.0
    return [round(rate, 3)] if 0.1 <= rate <= 10_000 else []


def _bare(joints: tuple[str, ...]) -> tuple[str, ...]:
    """The joints' names without ``PoseEstimationSeries`` before them."""
    bare = tuple(joint.replace("PoseEstimationSeries", "").strip("_") for joint in joints)
    return bare if all(bare) and len(set(bare)) == len(bare) else joints


def _deeplabcut(name: str, node: Any) -> MotionFile:
    """A table of pandas': rows of an index and one block of numbers, whose columns a pickled attribute names."""
    rows = array(name, node)
    if rows.dtype.names is None or "values_block_0" not in rows.dtype.names:
        raise DataError(f"{name}: expected a table with values_block_0, as pandas writes it")
    pickled = node.attrs.get("values_block_0_kind", b"")
    text = bytes(pickled) if isinstance(pickled, bytes) else str(pickled).encode("latin-1", "replace")
    columns = run(BytesIO(text), len(text))
    if not isinstance(columns, list) or not all(
        isinstance(column, tuple) and all(isinstance(word, str) for word in column) for column in columns
    ):
        raise DataError(f"{name}: expected the names of the columns as pandas writes them")
    return from_columns(name, columns, np.asarray(rows["values_block_0"], np.float64))


def _three(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places with a third coordinate, NaN where there is none."""
    if places.ndim < 2 or places.shape[-1] not in (2, 3):
        raise DataError(f"expected places of 2 or 3 dimensions, got {places.shape}")
    if places.shape[-1] == 3:
        return places
    return np.concatenate([places, np.full((*places.shape[:-1], 1), np.nan)], axis=-1)


def _longest(
    frames: NDArray[np.float64], joints: tuple[str, ...], scores: NDArray[np.float64] | None, fps: float | None
) -> MotionFile:
    """The bodies that are there longest."""
    there = np.isfinite(frames[..., :2]).all(axis=-1).any(axis=-1).sum(axis=0)
    kept = np.sort(np.argsort(-there, kind="stable")[:MOST_BODIES])
    return upwards(frames[:, kept], joints, None if scores is None else scores[:, kept], fps)
