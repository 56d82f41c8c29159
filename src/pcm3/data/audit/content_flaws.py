"""Where coordinates are not what they are taken for: other units or axes, two dimensions, one person twice, absence.

The directions of normalised stores are compared with z, which is up there; those of recordings as they are with each
other, since no one says which way is up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.body_measures import BodyMeasures
from pcm3.data.audit.findings import Finding, of_clips
from pcm3.data.store import ClipStore
from pcm3.data.units import FACTORS, HUMAN, unit_of
from pcm3.summary import counted

TILTED = float(np.cos(np.radians(45)))
"""Cosine between the way from legs to trunk and z, below which a body is tilted; below 0 it is upside down."""
MANY_UPSIDE_DOWN, MANY_TILTED = 0.1, 1 / 3
"""Shares of the clips from which on it is not people who lie down, but the axes."""
SEVERAL = 3
"""Clips at least that make such a share."""
AGREE = 0.5
"""Length of the mean of all clips' directions, below which recordings as they are do not agree on where up is."""
FLAT = 0.02
"""A body is flat if its least spread is less than this share of its largest; that of people is 0.05 and more."""
ABSENT, MUCH_ABSENT = 0.01, 0.1
"""Shares of the joint-frames that are absent: of a store, and of a clip, from which on it is reported."""
SHARED = 0.1
"""Share of the frames in which joints share a place, from which on it is reported."""
TWICE = 0.25
"""Share of the frames in which two bodies have one form, from which on they are one person."""

Booleans = NDArray[np.bool_]


def content_flaws(store: ClipStore, measures: BodyMeasures) -> Iterator[Finding]:
    """What the coordinates do not seem to be."""
    main = measures["body"] == 0
    if not main.any():
        return
    body = measures["body"]
    size = float(np.median(measures["extent"][main]))
    flat = main & (measures["depth"] < FLAT) & (store.dimensions == 3)
    yield from _units(size, mostly_flat=bool(2 * flat.sum() > main.sum()))
    text = "with flat bodies: two coordinates, and a constant or a confidence for the third?"
    yield from of_clips(store, measures, "flat", flat, text)
    yield from (_upright if store.normalised else _agreeing)(store, measures, main)
    twin, same = measures["twin"], measures["same"]
    yield from of_clips(
        store, measures, "twice", same > TWICE, "in which one person is there twice",
        lambda row: f"body {body[row]} is body {twin[row]} in {same[row]:.0%} of the frames",
    )  # fmt: skip
    yield from _absent(store, measures)
    sharing = measures["sharing"]
    text = "in which joints lie at one place: does a number such as -1 stand for absent ones? Give NaN, or zeros"
    yield from of_clips(
        store, measures, "one_place", sharing > SHARED, text,
        lambda row: f"body {body[row]} in {sharing[row]:.0%} of its frames",
    )  # fmt: skip


def _units(size: float, *, mostly_flat: bool) -> Iterator[Finding]:
    """Bodies that are not of people's size, and in which unit they would be."""
    if HUMAN[0] <= size <= HUMAN[1]:
        return
    unit = unit_of(size)
    text = f"bodies measure {size:.3g} metres in the median: is the unit the metre?"
    if mostly_flat and size > HUMAN[1]:
        text += " They look like pixels"
    elif unit is not None:
        text += f" They look like {unit}: multiply the coordinates by {FACTORS[unit]:g} and import again"
    yield Finding("units", text)


def _upright(store: ClipStore, measures: BodyMeasures, main: Booleans) -> Iterator[Finding]:
    """Bodies of a normalised store that do not stand along z."""
    cosine = measures["up"][:, 2]  # NaN compares as false
    upside_down, tilted = main & (cosine < 0), main & (cosine >= 0) & (cosine < TILTED)
    off, known = upside_down | tilted, int((main & ~np.isnan(cosine)).sum())

    def detail(row: int) -> str:
        return f"{_degrees(cosine[row]):.0f} degrees from upright"

    if _many(upside_down, known, MANY_UPSIDE_DOWN) or _many(off, known, MANY_TILTED):
        up = store.preparation.get("up")
        took = f" (up was taken to be {', '.join(f'{number:g}' for number in up)})" if up else ""
        text = (
            f"upside down ({upside_down.sum():,} of {known:,}) or tilted by more than 45 degrees ({tilted.sum():,}): "
            f"unless these people lie down, the axes were misunderstood{took}; import again with --rule upright and "
            "--up AXIS, the one that points up in the files (y, -y, z …)"
        )
        yield from of_clips(store, measures, "axes", off, text, detail)
        return
    yield from of_clips(store, measures, "upside_down", upside_down, "in which a body is upside down", detail)
    text = "in which a body is tilted by more than 45 degrees for most of the time: lying, leaning?"
    yield from of_clips(store, measures, "tilted", tilted, text, detail)


def _many(odd: Booleans, known: int, share: float) -> bool:
    return bool(odd.sum() >= SEVERAL and odd.sum() > share * known)


def _degrees(cosine: float) -> float:
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _agreeing(store: ClipStore, measures: BodyMeasures, main: Booleans) -> Iterator[Finding]:
    """Bodies of recordings as they are, of which most should stand alike."""
    up = measures["up"]
    known = main & ~np.isnan(up).any(axis=1)
    if known.sum() < SEVERAL:
        return
    mean = up[known].mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < AGREE:
        text = f"in {counted(int(known.sum()), 'clip')} bodies point every way: do the files have different axes?"
        yield Finding("axes", text, details=[_along(store, measures[row]) for row in np.flatnonzero(known)])
        return
    cosine = up @ (mean / length)
    yield from of_clips(
        store, measures, "upside_down", known & (cosine < -TILTED),
        "in which a body is upside down against the other clips",
        lambda row: f"{_degrees(cosine[row]):.0f} degrees from the usual",
    )  # fmt: skip


def _along(store: ClipStore, body: Any) -> str:
    """The clip, and along which axis its body stands."""
    axis = int(np.abs(body["up"]).argmax())
    return f"{store.ids[body['clip']]}: along {'-' if body['up'][axis] < 0 else '+'}{'xyz'[axis]}"


def _absent(store: ClipStore, measures: BodyMeasures) -> Iterator[Finding]:
    """Joints that no body ever has; how much is absent of the others, and where it is most."""
    ever = measures["ever"].any(axis=0)
    never = [store.layout.joints[joint] for joint in np.flatnonzero(~ever)]
    if never:
        yield Finding("absent_joint", f"joints absent, or the origin, in every frame of every clip: {', '.join(never)}")
    missing = 1 - (1 - measures["missing"]) / max(float(ever.mean()), 1e-12)
    share = float(missing.mean())
    if share > ABSENT:
        yield Finding("absent", f"{share:.1%} of the joints are absent (zero) in frames in which their body is there")
    yield from of_clips(
        store, measures, "much_absent", missing > MUCH_ABSENT, f"in which more than {MUCH_ABSENT:.0%} is absent",
        lambda row: f"body {measures['body'][row]}: {missing[row]:.0%}",
    )  # fmt: skip
