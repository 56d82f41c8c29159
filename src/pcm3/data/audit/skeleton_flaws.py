"""Bodies that no one has: impossible bones, jumps, left and right exchanged, furniture.

All limits are in terms of what is usual in the same store. MSR-Action3D meets none of them, UTD-MHAD and the simulated
recordings, noise and all, in one clip of 861 and of 20,000, where a bone really is impossible; and the simulated ones
have their chairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.body_measures import BodyMeasures
from pcm3.data.audit.findings import Finding, of_clips
from pcm3.data.store import ClipStore
from pcm3.data.units import HUMAN

TIMES, BY = 3.0, 0.2
"""Two lengths of a bone differ grossly if one is so many times the other, and more by this share of the usual size."""
SHORT = 0.1
"""Bones shorter than this share of the usual size, and those that end a limb, are too noisy to judge."""
NOBODY = 0.3
"""A second body is nobody's if this share of its bones is more than twice, or less than half, of what is usual."""
FAST = 20.0
"""Metres a second. The fastest real hand here, a tennis serve, is tracked at 30, but no joint leaves and returns within
two frames at more than 15, and no body is displaced at more than 12."""
STILL = 0.5
"""Share of a clip's frames that repeat the one before, from which on it counts as frozen."""
OTHER_SIZE = 3.0
"""Times the usual size, or part of it, that single clips may have."""
CLEARLY = 0.5
"""Cosine from which on toes clearly point forwards, or backwards."""

Booleans = NDArray[np.bool_]


def skeleton_flaws(store: ClipStore, measures: BodyMeasures) -> Iterator[Finding]:
    """What is odd about the bodies."""
    main = measures.body == 0
    if not main.any():
        return
    size = float(np.median(measures.extent[main]))
    usual = _usual(measures.lengths[main, 1])
    nobody = ~main & _nobodys(measures.lengths[:, 1], usual)
    yield from _size(store, measures, size, main)
    yield from _frozen(store, measures, nobody)
    text = "with a second body that has nobody's bones: furniture?"
    yield from of_clips(store, measures.clip, "nobody", nobody, text, [f"body {body}" for body in measures.body])
    yield from _bones(store, measures, size, usual, ~nobody)
    if HUMAN[0] <= size <= HUMAN[1]:  # or metres a second mean nothing
        yield from _jumps(store, measures, ~nobody)
    yield from _mirrored(store, measures, main)


def _usual(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median (B,) of the lengths (K, B) of each bone, without those that are not there; 0 where none is."""
    there = ~np.isnan(lengths)
    return np.array(
        [np.median(bone[known]) if known.any() else 0.0 for bone, known in zip(lengths.T, there.T, strict=True)]
    )


def _nobodys(lengths: NDArray[np.float64], usual: NDArray[np.float64]) -> Booleans:
    """Whether `NOBODY` of the bones (K, B) are far from what is usual."""
    off = np.maximum(lengths, usual) > 2 * np.minimum(lengths, usual)
    nobodys: Booleans = off.sum(axis=1) > NOBODY * max(off.shape[1], 1)
    return nobodys


def _gross(one: NDArray[np.float64], other: NDArray[np.float64], by: float) -> Booleans:
    """Whether the lengths are more than `TIMES` and ``by`` metres apart."""
    larger, smaller = np.maximum(one, other), np.minimum(one, other)
    gross: Booleans = (larger > TIMES * smaller) & (larger - smaller > by)
    return gross


def _size(store: ClipStore, measures: BodyMeasures, size: float, main: Booleans) -> Iterator[Finding]:
    other = main & ((measures.extent > OTHER_SIZE * size) | (measures.extent < size / OTHER_SIZE))
    text = f"of another size than the usual {size:.2f} metres: other units?"
    yield from of_clips(store, measures.clip, "size", other, text, [f"{value:.3g} metres" for value in measures.extent])


def _frozen(store: ClipStore, measures: BodyMeasures, nobody: Booleans) -> Iterator[Finding]:
    frozen = ~nobody & (measures.still > STILL)
    single = store.length[measures.clip] == 1
    lines = [
        f"body {body}: the clip is a single frame" if alone else f"body {body} in {still:.0%} of it"
        for body, still, alone in zip(measures.body, measures.still, single, strict=True)
    ]
    yield from of_clips(
        store, measures.clip, "frozen", frozen, "in which a body does not move for most of the time", lines
    )


def _bones(
    store: ClipStore, measures: BodyMeasures, size: float, usual: NDArray[np.float64], people: Booleans
) -> Iterator[Finding]:
    """Bones that change within a clip, differ between left and right, or are not those of the other clips."""
    parents = np.array(store.layout.parents)
    inner = np.isin(measures.bones, parents[measures.bones]) & (usual > SHORT * size)
    judged = inner if inner.any() else usual > SHORT * size
    low, middle, high = measures.lengths.transpose(1, 0, 2)
    place = {int(joint): bone for bone, joint in enumerate(measures.bones)}
    image = np.array([place.get(store.layout.mirrored[joint], bone) for joint, bone in place.items()], np.int64)
    cases = (
        ("changes between", low, high),
        ("is long on one side, not on the other:", middle, middle[:, image]),
        ("is usually not so long:", middle, np.broadcast_to(usual, middle.shape)),
    )
    lines = [""] * len(measures.clip)
    for words, one, other in reversed(cases):
        gross = _gross(one, other, BY * size) & judged
        for row in np.flatnonzero(gross.any(axis=1)):
            bone = int(np.argmax(gross[row]))
            name = store.layout.joints[measures.bones[bone]]
            metres = f"{one[row, bone]:.2f} and {other[row, bone]:.2f} m"
            lines[row] = f"body {measures.body[row]}, bone to {name} {words} {metres}"
    odd = people & np.array([bool(line) for line in lines])
    yield from of_clips(store, measures.clip, "bones", odd, "with an impossible bone", lines)


def _jumps(store: ClipStore, measures: BodyMeasures, people: Booleans) -> Iterator[Finding]:
    lines = []
    for row, body in enumerate(measures.body):
        leap, spike = measures.frame[row]
        joint = store.layout.joints[measures.spiking[row]]
        if measures.leap[row] > FAST:
            lines.append(f"body {body} at {measures.leap[row]:.0f} m/s to frame {leap}")
        else:
            lines.append(f"body {body}, {joint} at {measures.spike[row]:.0f} m/s to frame {spike} and back")
    jumping = people & ((measures.leap > FAST) | (measures.spike > FAST))
    yield from of_clips(
        store, measures.clip, "jump", jumping, f"with a jump, faster than {FAST:g} m/s for a frame", lines
    )


def _mirrored(store: ClipStore, measures: BodyMeasures, main: Booleans) -> Iterator[Finding]:
    """Toes that point backwards where left, right and up say what is forwards: in most clips, or in single ones."""
    main = main & ~np.isnan(measures.toes)
    if not main.any():
        return
    usually = float(np.median(measures.toes[main]))
    if usually < -CLEARLY:
        text = "the toes point backwards in most clips: left and right are exchanged, or an axis is mirrored"
        yield Finding("mirrored", text)
    elif usually > CLEARLY:
        text = "in which the toes point backwards: left and right exchanged, or mirrored?"
        yield from of_clips(store, measures.clip, "mirrored", main & (measures.toes < -CLEARLY), text)
