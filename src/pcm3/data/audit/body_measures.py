"""The measures of every body that show a flaw: bone lengths, size, speed, stillness, toes, up, what is absent.

An absent joint counts in none of them: where it comes back, it has moved in a straight line in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.body_pose import FRAMES_EXAMINED, copied, depth, presence, repeated, sharing, upwards, without_gaps
from pcm3.data.audit.facing import elbows_backwards, toes_forwards
from pcm3.data.store import ClipStore
from pcm3.joint_names import roles
from pcm3.skeleton import Layout

Frames = NDArray[np.float32]

QUARTILES = (0.25, 0.5, 0.75)
FRAMES = 3
"""Frames, at least, in which two bodies must have one form."""


BodyMeasures = NDArray[Any]
"""(K,) bodies of `measures_of`'s fields, those of a clip one after the other; body 0 of a clip is its main one."""


def measures_of(layout: Layout) -> np.dtype[np.void]:
    """The measures of a body with B bones and V joints."""
    return np.dtype(
        [
            ("clip", np.int64),  # index in the store
            ("body", np.int64),
            ("lengths", np.float64, (len(QUARTILES), len(bones_of(layout)))),  # metres: quartiles over the frames
            ("extent", np.float64),  # metres: the longest side of the box around the joints, median over the frames
            ("still", np.float64),  # share of the frames in which nothing has moved since the frame before
            ("leap", np.float64),  # metres a second: the fastest that the whole body is displaced between two frames
            ("spike", np.float64),  # the fastest that a joint leaves and, a frame later, comes back
            ("spiking", np.int64),  # that joint
            ("frame", np.int64, (2,)),  # the frames of the leap and of the spike, 0-based
            ("toes", np.float64),  # from −1, backwards, to 1, forwards; NaN where there are no feet
            ("elbows", np.float64),  # from −1, before the arms, to 1, behind; NaN where there are none by name
            ("missing", np.float64),  # share of its joints and frames that are absent while the body is there
            ("ever", np.bool_, (len(layout.joints),)),  # the joints that are there in any frame
            ("up", np.float64, (3,)),  # the unit direction from legs to trunk; NaN where there are none
            ("depth", np.float64),  # its least spread over its largest; 0: flat
            ("sharing", np.float64),  # share of the frames in which two joints lie at one place
            ("twin", np.int64),  # the earlier body of the clip that has the same form for most of the time; −1: none
            ("same", np.float64),  # share of the frames with both in which it has
        ]
    )


def bones_of(layout: Layout) -> NDArray[np.int64]:
    """(B,) the bones, each as the joint at its far end."""
    return np.array([joint for joint, parent in enumerate(layout.parents) if joint != parent], np.int64)


def measure(store: ClipStore, clips: Sequence[int]) -> BodyMeasures:
    """The measures of all bodies of the clips, which must be finite; each clip is read once."""
    apart, fields = places_of_their_own(store), measures_of(store.layout)
    rows: list[dict[str, Any]] = []
    for index in clips:
        frames = store.clip(index)
        present = presence(frames, store.layout, centred=store.normalised)
        first = len(rows)
        for body in np.flatnonzero(store.bodies[index]).tolist():
            at = np.flatnonzero(present[:, body].any(axis=1))
            if len(at):
                row = _of_body(frames[at, body], present[at, body], at, store, apart)
                twin, same = _twin(frames, present, body, rows[first:])
                rows.append(row | {"clip": index, "body": body, "twin": twin, "same": same})
    return np.array([tuple(row[name] for name in fields.names or ()) for row in rows], fields)


def places_of_their_own(store: ClipStore) -> NDArray[np.int64]:
    """The joints that are to lie at a place of their own: not those that retargeting made of others, and of joints that
    are one by their names (the ends of Human3.6M's limbs) the first.
    """
    known = roles(store.layout.joints, store.layout.name)
    made = (store.preparation.get("retargeted") or {}).get("joints", {})
    own = [
        joint
        for joint, (name, role) in enumerate(zip(store.layout.joints, known, strict=True))
        if str(made.get(name, "copied")).startswith("copied") and (role is None or known.index(role) == joint)
    ]
    return np.array(own, np.int64)


def _twin(frames: Frames, present: NDArray[np.bool_], body: int, before: list[dict[str, Any]]) -> tuple[int, float]:
    """The body of the clip (T, M, V, 3) among those before that has this one's form for longest, and the share."""
    best = (-1, 0.0)
    for row in before:
        other, extent = row["body"], row["extent"]
        both = present[:, body] & present[:, other]
        shares = [copied(frames[:, body], frames[:, other], both, extent)]
        there = [np.flatnonzero(present[:, number].any(axis=1)) for number in (body, other)]
        joints = present[there[0], body].all(axis=0) & present[there[1], other].all(axis=0)
        if 2 * joints.sum() >= len(joints):
            mine, others = frames[there[0], body][:, joints], frames[there[1], other][:, joints]
            shares += [repeated(mine[:: _step(mine)], others, extent), repeated(others[:: _step(others)], mine, extent)]
        share, count = max(shares)
        if share > best[1] and count >= min(FRAMES, len(frames)):
            best = (other, share)
    return best


def _step(frames: Frames) -> int:
    """Every so many frames are looked at."""
    return -(-len(frames) // FRAMES_EXAMINED)


def _of_body(
    body: Frames,
    present: NDArray[np.bool_],
    at: NDArray[np.int64],
    store: ClipStore,
    apart: NDArray[np.int64],
) -> dict[str, Any]:
    """The measures of one body (T, V, 3), ``present`` (T, V), that is there in the frames ``at`` (T,)."""
    layout, bones = store.layout, bones_of(store.layout)
    ever: NDArray[np.bool_] = np.asarray(present.any(axis=0))
    joints = np.flatnonzero(ever)
    filled: Frames = without_gaps(body, present, at)
    # (3, T, V): several times faster to reduce than (T, V, 3)
    planes: Frames = np.ascontiguousarray(filled.transpose(2, 0, 1))
    parents = np.array(layout.parents)[bones]
    spans = _size(planes[:, :, bones] - planes[:, :, parents])
    lengths = np.sort(spans, axis=0)[[int(share * (len(body) - 1)) for share in QUARTILES]].astype(np.float64)
    lengths[:, ~(ever[bones] & ever[parents])] = np.nan
    observed = planes if ever.all() else planes[:, :, joints]
    extent = float(np.median((observed.max(axis=2) - observed.min(axis=2)).max(axis=0)))
    leap, spike, spiking, leaps, spikes = _jumps(observed, at, store.fps)
    return {
        "lengths": lengths,
        "extent": extent,
        "still": _still(observed, float(np.finfo(store.frames.dtype).eps)),
        "leap": leap,
        "spike": spike,
        "spiking": joints[spiking],
        "frame": (leaps, spikes),
        "toes": toes_forwards(filled, layout, ever),
        "elbows": elbows_backwards(filled, layout, ever),
        "missing": float(1 - present.mean()),
        "ever": ever,
        "up": upwards(filled, ever, layout),
        "depth": depth(filled[:, joints]),
        "sharing": sharing(body[:, apart], present[:, apart], extent),
    }


def _size(planes: Frames) -> Frames:
    """The lengths (T, ·) of vectors (3, T, ·)."""
    size: Frames = np.sqrt((planes**2).sum(axis=0))
    return size


def _still(planes: Frames, eps: float) -> float:
    """The share of steps in which the body (3, T, V) keeps its form to the last digit of its numbers."""
    if planes.shape[1] == 1:
        return 1.0
    form = planes - planes[:, :, :1]  # where another body is the centre, this one shifts though it does not move
    step = np.abs(np.diff(form, axis=1)).max(axis=2).max(axis=0)
    return float((step <= 4 * eps * np.abs(planes).max()).mean())


def _jumps(planes: Frames, at: NDArray[np.int64], fps: float) -> tuple[float, float, int, int, int]:
    """Speed of the largest leap of the body and of the largest spike of a joint, the joint, and the two frames."""
    if len(at) < 3:
        return 0.0, 0.0, 0, 0, 0
    steps = np.diff(planes, axis=1)
    # The end of a body that was looped to fill the clip is followed by its first frame: that is no leap.
    counts = (np.diff(at) == 1) & ~(planes[:, 1:] == planes[:, :1]).all(axis=2).all(axis=0)
    speed = _size(steps) * np.float32(fps) * counts[:, None]
    body_speed = np.median(speed, axis=1)
    net = _size(steps[:, :-1] + steps[:, 1:]) * np.float32(fps)
    there_and_back = np.minimum(speed[:-1], speed[1:])
    there_and_back = np.where(net < there_and_back / 1.5, there_and_back, 0)
    frame, joint = np.unravel_index(int(np.argmax(there_and_back)), there_and_back.shape)
    leap = int(np.argmax(body_speed))
    return (
        float(body_speed[leap]),
        float(there_and_back[frame, joint]),
        int(joint),
        int(at[leap + 1]),
        int(at[frame + 1]),
    )
