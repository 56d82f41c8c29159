"""Skeletons as the text of a genuine NTU RGB+D ``.skeleton`` file (Shahroudy et al., CVPR 2016, MATLAB reader)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import DataError
from pcm3.simulate.body import JOINT, KINECT, Floats, unit

END = b"\r\n"
DIGITS = 8
"""Of every number of a joint but the tracking state: 1 + 7 for metres and quaternions, 4 + 4 for pixels."""
DECIMALS = (7, 7, 7, 4, 4, 4, 4, 7, 7, 7, 7)

# Pinhole models of the two cameras, nominal: focal length, middle (pixels), and for colour its offset (metres).
DEPTH_FOCAL, DEPTH_MIDDLE = 366.0, (256.2, 208.5)
COLOUR_FOCAL, COLOUR_MIDDLE, COLOUR_OFFSET = 1062.0, (959.5, 567.5), 0.055

# The Kinect's own tree, which its orientations refer to; joints without a child have none.
_ANATOMY = {"neck": "spine_shoulder", "spine_shoulder": "spine_mid", "spine_mid": "spine_base"}
_PARENT = np.array([JOINT[_ANATOMY.get(name, KINECT.joints[KINECT.parents[JOINT[name]]])] for name in JOINT])
_HAS_ORIENTATION = np.array([not name.endswith(("head", "foot", "hand_tip", "thumb", "spine_base")) for name in JOINT])


def write_skeleton(path: Path, frames: Floats, body_ids: Sequence[int], tracking: NDArray[np.int64]) -> None:
    """Writes bodies (T, M, 25, 3), metres in the frame of the camera, as a ``.skeleton`` file; see `skeleton_bytes`."""
    path.write_bytes(skeleton_bytes(frames, body_ids, tracking))


def skeleton_bytes(frames: Floats, body_ids: Sequence[int], tracking: NDArray[np.int64]) -> bytes:
    """Bodies (T, M, 25, 3), metres in the frame of the camera, as the content of a ``.skeleton`` file.

    Args:
        frames: a body that is absent from a frame is all zeros there, and not written.
        body_ids: the Kinect's number for each body (M).
        tracking: states (T, M, 25), 0 lost, 1 inferred, 2 tracked.

    Raises:
        DataError: shapes that do not fit each other, or a coordinate that is not a number below 10 m.
    """
    bodies = frames.shape[1] if frames.ndim == 4 else -1
    if frames.shape[2:] != (len(JOINT), 3) or tracking.shape != frames.shape[:3] or len(body_ids) != bodies:
        raise DataError(
            f"expected frames (T, M, 25, 3), tracking (T, M, 25) and M body ids, got {frames.shape}, "
            f"{tracking.shape} and {len(body_ids)}"
        )
    if not np.all(np.abs(frames) < 9.9999999):
        raise DataError("expected coordinates in metres, less than 10 m from the camera")
    present = np.any(frames != 0, axis=(2, 3))
    blocks = iter(_joint_blocks(frames[present], tracking[present]))
    leans = _lean(frames)
    lines = [b"%d" % len(frames), END]
    for frame, in_frame in enumerate(present):
        lines += [b"%d" % in_frame.sum(), END]
        for body in np.flatnonzero(in_frame):
            x, y = leans[frame, body]
            lines += [b"%d 0 1 1 1 1 0 %.7g %.7g 2" % (body_ids[int(body)], x, y), END, b"%d" % len(JOINT), END]
            lines.append(next(blocks))
    return b"".join(lines)


def _lean(frames: Floats) -> Floats:
    """The Kinect's measure (T, M, 2) of leaning sideways and forward, between -1 and 1."""
    spine = frames[:, :, JOINT["spine_shoulder"]] - frames[:, :, JOINT["spine_base"]]
    lean: Floats = np.clip(unit(spine)[..., [0, 2]] * np.array([1.0, -1.0]), -1.0, 1.0)
    return lean


def _joint_blocks(bodies: Floats, tracking: NDArray[np.int64]) -> list[bytes]:
    """The 25 joint lines of each body (N, 25, 3)."""
    # The Kinect maps a joint that it has lost to no pixel, and the genuine files say NaN there.
    pixels = np.where(tracking[..., None] == 0, np.nan, _pixels(bodies))
    columns = np.concatenate([bodies, pixels, _orientations(bodies)], axis=-1)
    text = np.zeros((*columns.shape[:2], 12, DIGITS + 3), dtype=np.uint8)
    for number, decimals in enumerate(DECIMALS):
        text[:, :, number] = written(columns[:, :, number], decimals)
    text[:, :, 11, 0] = ord("0") + tracking
    text[:, :, 11, 1:3] = np.frombuffer(END, dtype=np.uint8)
    flat = text.reshape(len(text), -1)
    return [row[row != 0].tobytes() for row in flat]


def written(values: Floats, decimals: int) -> NDArray[np.uint8]:
    """Numbers (...) as ASCII (..., DIGITS + 3): sign, digits, point, space; unused places are 0, NaN is written so.

    `DIGITS` must do for what is before the point and the decimals after it. Python's own formatting of the 30,000
    numbers of a file would take longer than simulating them.
    """
    nan = np.isnan(values)
    rest = np.rint(np.abs(np.where(nan, 0.0, values)) * 10**decimals).astype(np.int32)
    text = np.zeros((*values.shape, DIGITS + 3), dtype=np.uint8)
    text[..., 0] = np.where((values < 0) & (rest > 0), ord("-"), 0)
    leading = 10 ** np.arange(decimals + 1, DIGITS)
    blank = rest[..., None] < leading
    point = 1 + DIGITS - decimals
    for place in range(DIGITS, 0, -1):
        rest, digit = np.divmod(rest, 10)
        text[..., place if place < point else place + 1] = digit + ord("0")
    text[..., point] = ord(".")
    text[..., 1 : point - 1][blank[..., ::-1]] = 0
    text[nan] = np.frombuffer(b"NaN".ljust(DIGITS + 3, b"\0"), dtype=np.uint8)
    text[..., -1] = ord(" ")
    return text


def _pixels(bodies: Floats) -> Floats:
    """Depth and colour pixels (N, 25, 4) of the joints; NaN where the Kinect's mapping gives none."""
    x, y, z = np.moveaxis(bodies, -1, 0)
    in_front = z > 0.1
    z = np.where(in_front, z, 1.0)
    depth_x = DEPTH_MIDDLE[0] + DEPTH_FOCAL * x / z
    depth_y = DEPTH_MIDDLE[1] - DEPTH_FOCAL * y / z
    colour_x = COLOUR_MIDDLE[0] + COLOUR_FOCAL * (x + COLOUR_OFFSET) / z
    colour_y = COLOUR_MIDDLE[1] - COLOUR_FOCAL * y / z
    pixels = np.stack([depth_x, depth_y, colour_x, colour_y], axis=-1)
    usable = in_front & np.all(np.abs(pixels) < 5000, axis=-1)
    return np.where(usable[..., None], pixels, np.nan)


def _orientations(bodies: Floats) -> Floats:
    """Quaternions (N, 25, 4), w x y z, that turn y along the bone that ends at the joint; zeros where there is none."""
    bone = unit(bodies - bodies[:, _PARENT])
    half_way = np.stack([1 + bone[..., 1], bone[..., 2], 0 * bone[..., 0], -bone[..., 0]], axis=-1)
    length = np.linalg.norm(half_way, axis=-1, keepdims=True)
    return np.where(_HAS_ORIENTATION[:, None], half_way / np.maximum(length, 1e-9), 0.0)
