"""Copies of clips as they come about, to see whether the audit finds them: moved, mirrored, cut, slowed, noisy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pcm3.skeleton import Layout

Clip = NDArray[np.float32]
"""(T, M, V, 3) metres."""
Plant = Callable[[Clip, Layout, np.random.Generator], tuple[Clip, Clip]]
"""From a clip to two that are copies of each other."""


def resampled(clip: Clip, frames: int) -> Clip:
    """So many frames, the first and the last those of the clip, in between by linear interpolation."""
    at = np.linspace(0, len(clip) - 1, frames)
    whole = np.minimum(at.astype(int), max(len(clip) - 2, 0))
    share = (at - whole)[:, None, None, None]
    between = clip[whole] * (1 - share) + clip[np.minimum(whole + 1, len(clip) - 1)] * share
    return np.asarray(between, np.float32)


def moved(clip: Clip, rng: np.random.Generator) -> Clip:
    """Turned and shifted, all frames alike; absent bodies stay zeros."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    return _where_there(clip, clip @ turn.T + rng.normal(0, 1, 3))


def mirrored(clip: Clip) -> Clip:
    """Seen in a mirror, x to −x; the names of the joints stay where they are."""
    return clip * np.array([-1, 1, 1], np.float32)


def exchanged(clip: Clip, layout: Layout) -> Clip:
    """Left joints under the names of the right ones."""
    return clip[:, :, list(layout.mirrored)]


def noisy(clip: Clip, size: float, rng: np.random.Generator) -> Clip:
    """With independent noise on each coordinate, standard deviation ``size`` metres; absent bodies stay zeros."""
    return _where_there(clip, clip + rng.normal(0, size, clip.shape))


def _where_there(clip: Clip, changed: NDArray[np.float64]) -> Clip:
    there = (clip != 0).any(axis=(2, 3), keepdims=True)
    return np.asarray(np.where(there, changed, 0), np.float32)


def stretch(clip: Clip, share: float, rng: np.random.Generator) -> Clip:
    """A stretch of that share of the frames, anywhere."""
    frames = max(round(len(clip) * share), 1)
    first = int(rng.integers(len(clip) - frames + 1))
    return clip[first : first + frames]


def _overlapping(clip: Clip, _: Layout, rng: np.random.Generator) -> tuple[Clip, Clip]:
    """The first and the last three quarters or less: at least half of each is also in the other."""
    frames = round(len(clip) * rng.uniform(0.68, 0.9))
    return clip[:frames], clip[len(clip) - frames :]


def _all_at_once(clip: Clip, layout: Layout, rng: np.random.Generator) -> tuple[Clip, Clip]:
    part = stretch(clip, rng.uniform(0.6, 0.9), rng)
    part = resampled(part, round(len(part) * rng.uniform(0.6, 1.6)))
    part = exchanged(mirrored(part), layout) if rng.random() < 0.5 else part
    return clip, noisy(moved(part, rng), 0.002, rng).astype(np.float16).astype(np.float32)


PLANTS: dict[str, Plant] = {
    "equal": lambda clip, _, rng: (clip, clip),
    "cropped": lambda clip, _, rng: (clip, stretch(clip, rng.uniform(0.5, 0.95), rng)),
    "part in training": lambda clip, _, rng: (stretch(clip, rng.uniform(0.5, 0.95), rng), clip),
    "shifted": _overlapping,
    "resampled": lambda clip, _, rng: (clip, resampled(clip, round(len(clip) * 2 ** rng.uniform(-1, 1)))),
    "mirrored": lambda clip, _, rng: (clip, mirrored(clip)),
    "mirrored, sides exchanged": lambda clip, layout, rng: (clip, exchanged(mirrored(clip), layout)),
    "sides exchanged": lambda clip, layout, rng: (clip, exchanged(clip, layout)),
    "moved": lambda clip, _, rng: (clip, moved(clip, rng)),
    "bodies exchanged": lambda clip, _, rng: (clip, clip[:, ::-1]),
    "float16": lambda clip, _, rng: (clip, clip.astype(np.float16).astype(np.float32)),
    "noise of 3 mm": lambda clip, _, rng: (clip, noisy(clip, 0.003, rng)),
    "noise of 5 mm": lambda clip, _, rng: (clip, noisy(clip, 0.005, rng)),
    "all at once": _all_at_once,
}
"""What happens to the copy → the clip for training and the clip for the test. Noise is that of each coordinate."""
