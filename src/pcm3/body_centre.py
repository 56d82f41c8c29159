"""Where the centre of a body is in each frame, also where its centre joint is absent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.skeleton import Layout


def reference_path(
    body: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout
) -> NDArray[np.floating[Any]]:
    """Where the centre of one body is in each frame (T, 3), also where its centre joint is absent.

    The middle of the centre joint and its mirror image where it is one of a pair; else the centre joint itself. If that
    is in less than a tenth of the body's frames, the joint nearest to it in the tree that is in more. Where that one is
    absent, it goes along with its neighbours in the tree, or, where those are absent too, with the mean of the joints
    that are there, between the frames around; straight where there is none.

    Args:
        body: (T, V, 3) metres.
        present: (T, V), in at least one frame of which a joint is there.
        layout: says which joint is the centre, and which is near it.
    """
    twin = layout.mirrored[layout.centre]
    if twin != layout.centre:
        body, present, layout = _with_middle(body, present, layout, twin)
    if present[:, layout.centre].all():
        return body[:, layout.centre].copy()
    joint = _reference_joint(present, layout)
    valid = np.flatnonzero(present[:, joint])
    time = np.arange(len(body))
    path = np.stack([np.interp(time, valid, body[valid, joint, axis]) for axis in range(3)], axis=1)
    gaps = np.flatnonzero(~present[:, joint] & present.any(axis=1))
    after = valid[np.minimum(np.searchsorted(valid, gaps), len(valid) - 1)]
    before = valid[np.maximum(np.searchsorted(valid, gaps) - 1, 0)]
    share = ((gaps - before) / np.maximum(after - before, 1))[:, None]
    near = np.zeros(present.shape[1], np.bool_)
    near[layout.neighbours(joint)] = True
    (start, known_before), (end, known_after) = (_way(body, present, around, gaps, near) for around in (before, after))
    along = (body[before, joint] + start) * (1 - share) + (body[after, joint] + end) * share
    path[gaps] = np.where((known_before & known_after)[:, None], along, path[gaps])
    return path.astype(body.dtype)


def _with_middle(
    body: NDArray[np.floating[Any]], present: NDArray[np.bool_], layout: Layout, twin: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_], Layout]:
    """The body with one more joint, its centre: the middle of the layout's centre and the joint that mirrors it."""
    pair = [layout.centre, twin]
    body = np.concatenate([body, body[:, pair].mean(axis=1, keepdims=True)], axis=1)
    present = np.concatenate([present, present[:, pair].all(axis=1, keepdims=True)], axis=1)
    added = len(layout.joints)
    between = replace(layout, joints=(*layout.joints, ""), parents=(*layout.parents, layout.centre), centre=added)
    return body, present, between


def _way(
    body: NDArray[np.floating[Any]],
    present: NDArray[np.bool_],
    start: NDArray[np.intp],
    stop: NDArray[np.intp],
    near: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The mean way (K, 3) of the joints that both frames have, of those that are near (V,) if any; and if any has."""
    both = present[start] & present[stop]
    close = both & near
    both = np.where(close.any(axis=1, keepdims=True), close, both)
    ways = (body[stop].astype(np.float64) - body[start]) * both[..., None]
    return ways.sum(axis=1) / np.maximum(both.sum(axis=1), 1)[:, None], np.asarray(both.any(axis=1))


MIN_PRESENT_SHARE = 0.1
"""Share of a body's frames in which the joint is seen that it is centred on."""


def _reference_joint(present: NDArray[np.bool_], layout: Layout) -> int:
    """The joint that a body is seen from: see `reference_path`."""
    count = present.sum(axis=0)
    enough = MIN_PRESENT_SHARE * present.any(axis=1).sum()
    nearest = [layout.centre]
    for joint in nearest:  # grows while it is walked: breadth first through the tree
        if count[joint] >= enough:
            return joint
        around = dict.fromkeys((layout.parents[joint], *layout.neighbours(joint)))
        nearest += [near for near in around if near not in nearest]
    return int(count.argmax())


def path_of_first(
    frames: NDArray[np.floating[Any]], present: NDArray[np.bool_], there: NDArray[np.bool_], layout: Layout
) -> NDArray[np.floating[Any]]:
    """In each frame the centre (T, 3) of the first body that is there; held where nobody is."""
    first = there.argmax(axis=1)
    paths = {body: reference_path(frames[:, body], present[:, body], layout) for body in np.unique(first[there.any(1)])}
    centre = np.zeros((len(frames), 3), frames.dtype)
    for body, path in paths.items():
        centre[first == body] = path[first == body]
    empty = ~there.any(axis=1)
    if empty.any():
        valid = np.flatnonzero(~empty)
        nearest = valid[np.clip(np.searchsorted(valid, np.flatnonzero(empty)), 0, len(valid) - 1)]
        centre[empty] = centre[nearest]
    return centre
