"""Bodies that no one has: impossible bones, jumps, left and right exchanged, furniture.

All limits are in terms of what is usual in the same store. MSR-Action3D meets none of them, UTD-MHAD and the simulated
recordings, noise and all, in one clip of 861 and of 20,000, where a bone really is impossible; and the simulated ones
have their chairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.body_measures import BodyMeasures, bones_of
from pcm3.data.audit.findings import Finding, of_clips
from pcm3.data.store import ClipStore
from pcm3.data.units import HUMAN

TIMES, BY = 3.0, 0.2
"""Two lengths of a bone differ grossly if one is so many times the other, and more by this share of the usual size."""
SHORT = 0.1
"""Bones shorter than this share of the usual size, and those that end a limb, are too noisy to compare."""
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
BENT, ENOUGH = 0.3, 20
"""Elbows before the arms in the median, in at least so many clips, are those of people whose sides are exchanged: in
UTD-MHAD, MSR-Action3D, UTKinect-Action3D and simulated recordings they lie 0.45 to 0.58 behind."""

Booleans = NDArray[np.bool_]
Lengths = NDArray[np.float64]


def skeleton_flaws(store: ClipStore, measures: BodyMeasures) -> Iterator[Finding]:
    """What is odd about the bodies."""
    main = measures["body"] == 0
    if not main.any():
        return
    body, extent = measures["body"], measures["extent"]
    size = float(np.median(extent[main]))
    usual = _usual(measures["lengths"][main, 1])
    nobody = ~main & _nobodys(measures["lengths"][:, 1], usual)
    yield from of_clips(
        store, measures, "size", main & ((extent > OTHER_SIZE * size) | (extent < size / OTHER_SIZE)),
        f"of another size than the usual {size:.2f} metres: other units?", lambda row: f"{extent[row]:.3g} metres",
    )  # fmt: skip
    yield from _frozen(store, measures, nobody)
    text = "with a second body that has nobody's bones: furniture?"
    yield from of_clips(store, measures, "nobody", nobody, text, lambda row: f"body {body[row]}")
    yield from _bones(store, measures, size, usual, ~nobody)
    if HUMAN[0] <= size <= HUMAN[1]:  # or metres a second mean nothing
        yield from _jumps(store, measures, ~nobody)
    yield from _mirrored(store, measures, main)


def _usual(lengths: Lengths) -> Lengths:
    """The median (B,) of the lengths (K, B) of each bone, without those that are not there; 0 where none is."""
    there = ~np.isnan(lengths)
    return np.array(
        [np.median(bone[known]) if known.any() else 0.0 for bone, known in zip(lengths.T, there.T, strict=True)]
    )


def _nobodys(lengths: Lengths, usual: Lengths) -> Booleans:
    """Whether `NOBODY` of the bones (K, B) are far from what is usual."""
    off = np.maximum(lengths, usual) > 2 * np.minimum(lengths, usual)
    return np.asarray(off.sum(axis=1) > NOBODY * max(off.shape[1], 1))


def _gross(lengths: Lengths, others: Lengths, by: float) -> Booleans:
    """Whether the lengths are more than `TIMES` and ``by`` metres apart."""
    larger, smaller = np.maximum(lengths, others), np.minimum(lengths, others)
    return np.asarray((larger > TIMES * smaller) & (larger - smaller > by))


def _frozen(store: ClipStore, measures: BodyMeasures, nobody: Booleans) -> Iterator[Finding]:
    def detail(row: int) -> str:
        body, still = measures["body"][row], measures["still"][row]
        alone = store.length[measures["clip"][row]] == 1
        return f"body {body}: the clip is a single frame" if alone else f"body {body} in {still:.0%} of it"

    text = "in which a body does not move for most of the time"
    yield from of_clips(store, measures, "frozen", ~nobody & (measures["still"] > STILL), text, detail)


def _bones(
    store: ClipStore, measures: BodyMeasures, size: float, usual: Lengths, people: Booleans
) -> Iterator[Finding]:
    """Bones that change within a clip, differ between left and right, or are not those of the other clips."""
    bones, parents = bones_of(store.layout), np.array(store.layout.parents)
    inner = np.isin(bones, parents[bones]) & (usual > SHORT * size)
    compared = inner if inner.any() else usual > SHORT * size
    low, middle, high = measures["lengths"].transpose(1, 0, 2)
    place = {int(joint): bone for bone, joint in enumerate(bones)}
    image = np.array([place.get(store.layout.mirrored[joint], bone) for joint, bone in place.items()], np.int64)
    pairs = (
        ("changes between", low, high),
        ("is long on one side, not on the other:", middle, middle[:, image]),
        ("is usually not so long:", middle, np.broadcast_to(usual, middle.shape)),
    )
    gross = [_gross(lengths, others, BY * size) & compared for _, lengths, others in pairs]

    def detail(row: int) -> str:
        (words, lengths, others), odd = next(
            (pair, odd[row]) for pair, odd in zip(pairs, gross, strict=True) if odd[row].any()
        )
        bone = int(np.argmax(odd))
        metres = f"{lengths[row, bone]:.2f} and {others[row, bone]:.2f} m"
        return f"body {measures['body'][row]}, bone to {store.layout.joints[bones[bone]]} {words} {metres}"

    odd = people & np.any(gross, axis=(0, 2))
    yield from of_clips(store, measures, "bones", odd, "with an impossible bone", detail)


def _jumps(store: ClipStore, measures: BodyMeasures, people: Booleans) -> Iterator[Finding]:
    def detail(row: int) -> str:
        body = measures[row]
        leap, spike = body["frame"]
        if body["leap"] > FAST:
            return f"body {body['body']} at {body['leap']:.0f} m/s to frame {leap}"
        joint = store.layout.joints[body["spiking"]]
        return f"body {body['body']}, {joint} at {body['spike']:.0f} m/s to frame {spike} and back"

    jumping = people & ((measures["leap"] > FAST) | (measures["spike"] > FAST))
    text = f"with a jump, faster than {FAST:g} m/s for a frame"
    yield from of_clips(store, measures, "jump", jumping, text, detail)


def _mirrored(store: ClipStore, measures: BodyMeasures, main: Booleans) -> Iterator[Finding]:
    """Toes that point backwards where left, right and up say what is forwards: in most clips, or in single ones.

    Where toes are not clear in most clips, or are not there: elbows that bend forwards in most.
    """
    toes, elbows = measures["toes"], measures["elbows"]
    bent = elbows[main & ~np.isnan(elbows)]
    main = main & ~np.isnan(toes)
    usually = float(np.median(toes[main])) if main.any() else 0.0
    if usually < -CLEARLY:
        text = "the toes point backwards in most clips: left and right are exchanged, or an axis is mirrored"
        yield Finding("mirrored", text)
    elif usually <= CLEARLY and len(bent) >= ENOUGH and np.median(bent) < -BENT:
        text = "the elbows bend forwards in most clips: left and right are exchanged, or an axis is mirrored"
        yield Finding("mirrored", text)
    elif usually > CLEARLY:
        text = "in which the toes point backwards: left and right exchanged, or mirrored?"
        yield from of_clips(store, measures, "mirrored", main & (toes < -CLEARLY), text)
