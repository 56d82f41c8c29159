"""What the coordinates of a sample look like: metres, or pixels, centimetres, marks for what is absent.

Arrays do not say what their numbers are. Only what cannot be metres in three dimensions is refused; what is odd but
possible is told in a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcm3.data.units import FACTORS, unit_of
from pcm3.errors import DataError
from pcm3.skeleton import Layout

FRAMES = 64
"""Frames of a clip that are looked at."""

TALL, SMALL = 5.0, 0.1
"""Metres between which the larger side of a body lies, also with arms raised, also a hand's."""
PIXELS = 30.0
"""Size from which on a body may be one of pixels."""
FLAT = 0.02
"""Depth of a body against its height below which the two are not in one unit."""
SURE = 1.1
"""The highest score of a detector, with what some put on top."""
RIGID = 0.15
"""Variation of bone lengths in time above which the three numbers are no place in space."""
CERTAIN = 0.55
"""Median score from which on a detector is rather sure."""
OFTEN = 1e-3
"""Share of the joints from which on such a number is a mark."""
SMOOTH = 0.2
"""Step from frame to frame against the body's size below which somebody moves, and it is no noise."""

Frames = NDArray[np.floating[Any]]
CURE = "pcm3 needs three dimensions in metres (docs/DATA.md)"


@dataclass(frozen=True)
class Sample:
    """Measures of the joints that are there in some clips."""

    joints: Frames
    """(P, 3) every joint that is there."""
    extent: NDArray[np.float64]
    """(3,) along each axis, the median over frames of a body's size."""
    marks: dict[float, float]
    """Number that stands in all three coordinates of joints → share of the joints; they are not among the others."""
    wobble: float
    """Median over bones of how much their length varies in time, relative."""
    step: float
    """Median way of a joint in the first two coordinates to the next frame, relative to the body's size."""


def check_units(where: str, clips: Iterable[Frames], layout: Layout) -> list[str]:
    """What to tell a user about the coordinates, in whole lines.

    Args:
        where: the file, for the error.
        clips: some clips (T, M, V, 3), absent joints all zeros.
        layout: says which joints have a bone between them.

    Raises:
        DataError: they are no places in space: (pixel, pixel, confidence) or the like.
    """
    sample = measure(list(clips), layout)
    if sample is None:
        return []
    refused = _not_space(sample)
    if refused is not None:
        raise DataError(f"{where}: {refused}; {CURE}")
    return _odd(sample)


def check_metres(where: str, clips: Iterable[Frames], layout: Layout) -> None:
    """Raises DataError unless bodies are of a size that people have in metres: for what is used at once, where no note
    would be read. The arguments are those of `check_units`.
    """
    sample = measure(list(clips), layout)
    size = 1.0 if sample is None else float(sample.extent.max())
    unit = unit_of(size)
    if unit not in (None, "metres"):
        reason = f"which looks like {unit}: divide by {1 / FACTORS[str(unit)]:.0f}"
    elif not SMALL <= size <= TALL:
        reason = "which no person is: give metres"
    else:
        return
    raise DataError(f"{where}: expected metres, got bodies that are {size:,.3g} tall or wide in the median, {reason}")


def measure(clips: Sequence[Frames], layout: Layout) -> Sample | None:
    """The sample's measures; None where hardly any joint is there."""
    bodies = [body for clip in clips if clip.ndim == 4 and clip.shape[-1] == 3 for body in _bodies(clip)]
    marks = _marks(bodies)
    there = [
        (body != 0).any(axis=-1)
        & np.isfinite(body).all(axis=-1)
        & ~(_thrice(body) & np.isin(body[..., 0], list(marks)))
        for body in bodies
    ]
    bodies = [np.where(present[..., None], body, np.nan) for body, present in zip(bodies, there, strict=True)]
    total = sum(int(present.sum()) for present in there)
    if total < 2:
        return None
    extents = [
        size for body, present in zip(bodies, there, strict=True) for size in _extents(body[present.sum(axis=1) > 1])
    ]
    if not extents:
        return None
    size = np.median(extents, axis=0)
    joints = np.concatenate([body[present] for body, present in zip(bodies, there, strict=True)])
    ways = np.concatenate([np.hypot(*np.diff(body[..., :2], axis=0).reshape(-1, 2).T) for body in bodies])
    return Sample(
        joints,
        size,
        marks,
        _median([_wobble(body, layout) for body in bodies]),
        _median(ways) / max(float(size[:2].max()), 1e-9),
    )


def _thrice(body: Frames) -> NDArray[np.bool_]:
    """Where a joint has one and the same number for all coordinates (T, V); 0 is nothing odd."""
    return np.asarray((body == body[..., :1]).all(axis=-1) & (body[..., 0] != 0))


def _marks(bodies: Sequence[Frames]) -> dict[float, float]:
    """Number → share of the joints that have it for all coordinates, if that is no accident."""
    if not bodies:
        return {}
    values, counts = np.unique(np.concatenate([body[_thrice(body)][:, 0] for body in bodies]), return_counts=True)
    total = sum(int((body != 0).any(axis=-1).sum()) for body in bodies)
    often = counts >= max(3, OFTEN * total)
    return {float(value): int(count) / total for value, count in zip(values[often], counts[often], strict=True)}


def _bodies(clip: Frames) -> list[Frames]:
    """The bodies (T, V, 3) of a clip that are there, in some of its frames, one after the other."""
    stretch = clip[:FRAMES].astype(np.float64)
    return [stretch[:, body] for body in range(clip.shape[1]) if stretch[:, body].any()]


def _extents(body: Frames) -> Frames:
    """(T, 3) the size of a body along each axis, in each frame; absent joints are NaN."""
    return np.asarray(np.nanmax(body, axis=1) - np.nanmin(body, axis=1)) if len(body) else body[:, 0]


def _wobble(body: Frames, layout: Layout) -> float:
    """The median over the bones of a body of how much its length varies in time, relative; NaN for a single frame."""
    bones = [(joint, parent) for joint, parent in enumerate(layout.parents) if joint != parent]
    if len(body) < 2 or body.shape[1] != len(layout.parents):
        return float("nan")
    child, parent = np.array(bones).T
    length = np.linalg.norm(body[:, child] - body[:, parent], axis=-1)
    enough = np.isfinite(length).sum(axis=0) > 1
    length = length[:, enough]
    return _median(np.nanstd(length, axis=0) / np.maximum(np.nanmean(length, axis=0), 1e-9)) if enough.any() else np.nan


def _median(values: Any) -> float:
    """The median of those that are numbers; NaN of none."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _not_space(sample: Sample) -> str | None:
    """What the coordinates look like when they are no places in space; None if they may be."""
    x, y, third = sample.joints.T
    size = float(sample.extent[:2].max())
    ranges = f"x from {x.min():.4g} to {x.max():.4g}, y from {y.min():.4g} to {y.max():.4g}, the third number"
    score = bool(third.min() >= 0 and third.max() <= SURE)
    if size > TALL and score and third.any():
        return f"looks like (pixel, pixel, confidence): {ranges} from {third.min():.3g} to {third.max():.3g}"
    if size > TALL and not third.any():
        return f"looks like pixels in two dimensions: {ranges} always 0"
    if size > PIXELS and sample.extent[2] < FLAT * size:
        return f"looks like pixels beside a depth in another unit: {ranges} from {third.min():.3g} to {third.max():.3g}"
    unit = bool(np.abs(sample.joints[:, :2]).max() <= SURE)
    if score and unit and third.any() and _is_score(sample, third):
        return (
            f"looks like positions in a picture, from 0 to 1 or centred, with a confidence: {ranges} from "
            f"{third.min():.3g} to {third.max():.3g}"
        )
    return None


def _is_score(sample: Sample, third: Frames) -> bool:
    """Whether numbers between 0 and 1 are a detector's scores and no depths: bones keep their length in space."""
    if third.min() == third.max():
        return True
    return sample.wobble > RIGID and (sample.step < SMOOTH or float(np.median(third)) >= CERTAIN)


def _odd(sample: Sample) -> list[str]:
    """Notes on what is odd but possible."""
    notes = []
    size = float(sample.extent.max())
    unit = unit_of(size)
    if unit not in (None, "metres"):
        notes.append(
            f"Bodies are {size:,.0f} tall or wide in the median: these look like {unit}, and are taken for metres. "
            f"Divide them by {1 / FACTORS[str(unit)]:.0f} and import again."
        )
    elif not SMALL <= size <= TALL:
        notes.append(f"Bodies are {size:.3g} m tall or wide in the median: are the coordinates metres?")
    for value, share in sample.marks.items():
        notes.append(
            f"{share:.1%} of the joints are at ({value:g}, {value:g}, {value:g}), which looks like a mark for absent "
            "joints, and is taken for a place. An absent joint is NaN or all zeros (docs/DATA.md)."
        )
    third = sample.joints[:, 2]
    if len(third) > 2 and third.min() == third.max():
        notes.append(f"The third coordinate is always {third[0]:.3g}: these are skeletons in two dimensions.")
    return notes
