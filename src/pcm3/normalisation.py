"""Where a skeleton stands and which way it faces: two rules that centre and turn clips.

`normalise` is that of the released PCM³ code, for data sets whose published results need it; `normalise_upright` is for
recordings in any right-handed frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.body_centre import path_of_first, reference_path
from pcm3.errors import DataError
from pcm3.skeleton import Layout

DEGENERATE = 1e-6
"""A direction whose coordinates sum to less than this (metres) points nowhere: it is not turned."""


def normalise(
    frames: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout
) -> NDArray[np.floating[Any]]:
    """One clip, standing at the origin along z and facing along y, as the released PCM³ code prepares it.

    In each frame the centre joint of body 0 is subtracted from all joints that are there. Then one rotation for the
    whole clip, taken from frame 0 of body 0: `layout.up` onto z, after that the smallest rotation of `layout.across`
    onto x. Frames in which body 0 is absent have no centre; the other body stays in the camera's frame there, as in the
    released code. Where joints of the reference are absent, it is taken from elsewhere (`reference_path`; the first
    frame in which both joints of a direction are there).

    The second rotation is singular where across points to −x, and tips the body over near it: for recordings in whose
    camera's frame a person who faces the camera has the left shoulder at +x, use `normalise_upright`.

    Args:
        frames: (T, M, V, 3) metres, camera frame.
        present: (T, M, V) True where a joint is there; absent joints come back as zeros.
        layout: says which joints are the centre, up and across.

    Returns:
        (T, M, V, 3) metres, in the precision of ``frames``.

    Raises:
        DataError: the coordinates are not three.
    """
    _three(frames)
    if not present[:, :1].any():  # nobody whom the others could be seen from
        return np.where(present[..., None], frames, 0).astype(frames.dtype)
    centre = reference_path(frames[:, 0], present[:, 0], layout)
    centre[~present[:, 0].any(axis=1)] = 0
    return moved(frames, present, centre, _smallest_rotations(frames[:, 0], present[:, 0], centre, layout))


def normalise_upright(
    frames: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    layout: Layout,
    up: Sequence[float] | None = None,
) -> NDArray[np.floating[Any]]:
    """One clip, standing at the origin along z and facing along y, in whatever frame it was recorded.

    In each frame the centre of the main body is subtracted (`main_body`); where it is away for a while, its centre goes
    straight from where it was to where it will be, so that others do not leap. Then one rotation
    for the whole clip: ``up`` onto z, and about z the horizontal part of `layout.across` onto x. No direction of the
    shoulders is singular, so people who stand in any right-handed frame come out alike, and who lies stays lying.

    Args:
        frames: (T, M, V, 3) metres, any right-handed frame.
        present: (T, M, V) True where a joint is there; absent joints come back as zeros.
        layout: says which joints are the centre and across.
        up: (3,) against gravity, in the frame of the recording; None: as the body stands in the mean over the clip.

    Returns:
        (T, M, V, 3) metres, in the precision of ``frames``.

    Raises:
        DataError: the coordinates are not three.
    """
    _three(frames)
    there = np.asarray(present.any(axis=2))  # (T, M)
    if not there.any():
        return np.zeros_like(frames)
    main = main_body(there)
    centre = reference_path(frames[:, main], present[:, main], layout)
    return moved(frames, present, centre, rotation_upright(frames, present, layout, up))


def normalise_upright_untrimmed(
    frames: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    layout: Layout,
    up: Sequence[float] | None = None,
) -> NDArray[np.floating[Any]]:
    """A long recording in which anyone may come and go, turned as `normalise_upright` does.

    In each frame the centre is that of the first body that is there, as for `normalise_untrimmed`.

    Args and returns are those of `normalise_upright`.
    """
    there = np.asarray(present.any(axis=2))
    if not there.any():
        return np.zeros_like(frames)
    centre = path_of_first(frames, present, there, layout)
    return moved(frames, present, centre, rotation_upright(frames, present, layout, up))


def main_body(there: NDArray[np.bool_]) -> int:
    """The first body that is there (T, M) in half of the frames in which anybody is; else the one that is in most."""
    frames = there.sum(axis=0)
    lasting = np.flatnonzero(2 * frames >= there.any(axis=1).sum())
    return int(lasting[0] if len(lasting) else frames.argmax())


def rotation_upright(
    frames: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    layout: Layout,
    up: Sequence[float] | None = None,
) -> NDArray[np.float64]:
    """The rotation (3, 3) of `normalise_upright` for a clip, whose arguments it takes."""
    main = main_body(np.asarray(present.any(axis=2)))
    pose, valid = frames[:, main].astype(np.float64), present[:, main]
    towards = body_direction(pose, valid, layout) if up is None else np.asarray(up, np.float64)
    return upright_rotation(towards, _facing(pose, valid, towards, layout))


def normalise_untrimmed(
    frames: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout
) -> NDArray[np.floating[Any]]:
    """A long recording, centred and turned as `normalise` does, where anyone may come and go.

    In each frame the centre is that of the first body that is there; the rotation is taken from the first frame that
    has a body.

    Args:
        frames: (T, M, V, 3) metres, camera frame.
        present: (T, M, V) True where a joint is there; absent joints come back as zeros.
        layout: says which joints are the centre, up and across.

    Returns:
        (T, M, V, 3) metres, in the precision of ``frames``.
    """
    there = np.asarray(present.any(axis=2))
    if not there.any():
        return np.zeros_like(frames)
    centre = path_of_first(frames, present, there, layout)
    centre[~there.any(axis=1)] = 0
    return moved(frames, present, centre, rotation_untrimmed(frames, present, centre, layout))


def rotation_untrimmed(
    frames: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    centre: NDArray[np.floating[Any]],
    layout: Layout,
) -> NDArray[np.float64]:
    """The rotation (3, 3) of `normalise_untrimmed` for a recording with a body in it, seen from the centre (T, 3)."""
    there = np.asarray(present.any(axis=2))
    body = int(there[there.any(axis=1)][0].argmax())
    return _smallest_rotations(frames[:, body], present[:, body], centre, layout)


def _three(frames: NDArray[Any]) -> None:
    if frames.shape[-1] != 3:
        raise DataError(f"expected 3 coordinates a joint to normalise, got {frames.shape[-1]}")


def moved(
    frames: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    centre: NDArray[np.floating[Any]],
    rotation: NDArray[np.float64],
) -> NDArray[np.floating[Any]]:
    """The clip seen from its centre (T, 3), then turned by the rotation (3, 3)."""
    matrix = rotation.T.astype(frames.dtype)
    clip = np.zeros_like(frames)
    for body in np.flatnonzero(present.any(axis=(0, 2))):  # often there is one, and room for more
        centred = np.empty((len(frames), *frames.shape[2:]), frames.dtype)
        for axis in range(3):  # NumPy's loops are as long as the last axis, and three is short
            np.subtract(frames[:, body, :, axis], centre[:, axis, None], out=centred[..., axis])
        joints = centred.reshape(-1, 3) @ matrix
        joints[~present[:, body].ravel()] = 0
        clip[:, body] = joints.reshape(centred.shape)
    return clip


def _smallest_rotations(
    body: NDArray[np.floating[Any]], present: NDArray[np.bool_], centre: NDArray[np.floating[Any]], layout: Layout
) -> NDArray[np.float64]:
    """The rotation (3, 3) that turns up onto z and then, turned so, across onto x, each by the smallest angle.

    Both are taken in the first frame of the body (T, V, 3) that has both of their joints.
    """
    up, across = (_first_direction(body, present, centre, pair) for pair in (layout.up, layout.across))
    onto_z = rotation_between(up, np.array([0.0, 0.0, 1.0]))
    return rotation_between(onto_z @ across, np.array([1.0, 0.0, 0.0])) @ onto_z


def _first_direction(
    body: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    centre: NDArray[np.floating[Any]],
    pair: tuple[int, int],
) -> NDArray[np.float64]:
    """From one joint of the pair to the other (3,), in the first frame of (T, V, 3) that has both; 0 if none has."""
    valid = np.flatnonzero(present[:, pair[0]] & present[:, pair[1]])
    if len(valid) == 0:
        return np.zeros(3)
    # As seen from the centre, in the precision of the frames, as the released code does: to the same bits.
    start, end = (body[valid[0], joint] - centre[valid[0]] for joint in pair)
    return np.asarray(end.astype(np.float64) - start.astype(np.float64))


def body_directions(body: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout) -> NDArray[np.float64]:
    """The way from the legs to the trunk of one body, of length 1, in the K frames that show it (K, 3).

    From the mean of the joints of the legs that are there to that of the trunk's: long, so that noise turns it little.
    To the arms' where no joint of the trunk is ever there; by `layout.up` where no leg is.

    Args:
        body: (T, V, 3) metres.
        present: (T, V).
        layout: says which joints are trunk, arms and legs.
    """
    trunk, arms, legs = (
        list(layout.parts[0]),
        [*layout.parts[1], *layout.parts[2]],
        [*layout.parts[3], *layout.parts[4]],
    )
    if not present[:, trunk].any():
        trunk = arms
    if not (present[:, legs].any() and present[:, trunk].any()):
        legs, trunk = [layout.up[0]], [layout.up[1]]
    valid = present[:, legs].any(axis=1) & present[:, trunk].any(axis=1)
    weights = present[valid].astype(np.float64)[..., None]
    joints = body[valid].astype(np.float64) * weights
    high, low = (joints[:, part].sum(axis=1) / weights[:, part].sum(axis=1) for part in (trunk, legs))
    way = high - low
    length = np.linalg.norm(way, axis=1, keepdims=True)
    return np.asarray((way / np.where(length > DEGENERATE, length, 1))[length[:, 0] > DEGENERATE])


def body_direction(body: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout) -> NDArray[np.float64]:
    """The mean of `body_directions` over the frames, of length 1 (3,); z where nothing shows it."""
    mean = body_directions(body, present, layout).sum(axis=0)
    length = float(np.linalg.norm(mean))
    return mean / length if length > DEGENERATE else np.array([0.0, 0.0, 1.0])


LEVEL = 0.5
"""Share of the length of across that is to be horizontal in the frame from which a clip's heading is taken."""


def _facing(
    body: NDArray[np.float64], present: NDArray[np.bool_], up: NDArray[np.float64], layout: Layout
) -> NDArray[np.float64]:
    """From left to right (3,) in the first frame of the body (T, V, 3) that shows it well.

    By `layout.across`, in a frame in which it is mostly level; else by other mirrored joints, the innermost first; else
    by whatever of across is level.
    """
    inner = sorted(layout.mirror, key=lambda pair: _depth(pair[0], layout))
    level = np.eye(3) - np.outer(up, up) / (up @ up)
    best, most = np.zeros(3), 0.0
    for left, right in (layout.across, *inner):
        ways = body[:, right] - body[:, left]
        lengths = np.linalg.norm(ways, axis=1)
        valid = present[:, left] & present[:, right] & (lengths > DEGENERATE)
        share = np.where(valid, np.linalg.norm(ways @ level, axis=1) / np.maximum(lengths, DEGENERATE), 0)
        good = np.flatnonzero(share >= LEVEL)
        if len(good):
            return np.asarray(ways[good[0]])
        if share.max(initial=0) > most:
            best, most = ways[share.argmax()], float(share.max())
    return best


def _depth(joint: int, layout: Layout) -> int:
    """Bones between the joint and the root."""
    depth = 0
    while layout.parents[joint] != joint:
        joint, depth = layout.parents[joint], depth + 1
    return depth


def upright_rotation(up: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation (3, 3) that turns ``up`` onto z, and the part of ``across`` that is at right angles to it onto x.

    Where no such part is left, any direction at right angles to up goes onto x.
    """
    z = up / np.linalg.norm(up)
    level = across - (across @ z) * z
    if np.linalg.norm(level) < DEGENERATE:
        level = np.eye(3)[np.abs(z).argmin()]
        level = level - (level @ z) * z
    x = level / np.linalg.norm(level)
    return np.stack([x, np.cross(z, x), z])


def rotation_between(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest rotation (3, 3) that makes ``source`` parallel to the unit vector ``target`` (Rodrigues).

    The identity where no single smallest one exists: a source of no length, or one that already lies along the
    target, forwards or backwards. The released code does the same.
    """
    # In plain numbers: NumPy's functions for a vector of three take ten times as long.
    (a, b, c), (d, e, f) = source.tolist(), target.tolist()
    axis = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
    if abs(a) + abs(b) + abs(c) < DEGENERATE or np.abs(axis).sum() < DEGENERATE:
        return np.eye(3)
    sine, cosine = np.sqrt(axis @ axis), source @ target
    x, y, z = (axis / sine).tolist()
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    length = np.hypot(sine, cosine)
    rotation: NDArray[np.float64] = np.eye(3) + sine / length * cross + (1 - cosine / length) * cross @ cross
    return rotation
