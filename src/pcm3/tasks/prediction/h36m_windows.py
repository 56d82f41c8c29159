"""The windows of Human3.6M's subject 5 on which motion prediction is published: 8 or 256 of each action.

They were first drawn by Jain et al. 2016 (S-RNN) with a fixed seed, 4 of each of an action's two recordings; Martinez
et al. 2017 and all after them take the same. Mao et al. 2020 draw 128 of each in the same way, as figures of 8 windows
vary much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from pcm3.errors import DataError

SEED = 1234567890
EARLIEST = 16
"""The first frame, at 25 a second, with which one may begin."""
PAST, FUTURE = 50, 100
"""Frames that are seen, and frames that must follow them in the recording, however many are predicted."""
RATE = 25.0


def h36m_windows(
    names: Sequence[str], frames: Int[np.ndarray, " N"], per_action: int, seed_frames: int
) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
    """Where the published windows begin.

    Args:
        names: of the recordings, as ``S5_walking_1``.
        frames: of each at 25 a second.
        per_action: 8 or 256; half of them of each recording.
        seed_frames: frames seen; they end where the published 50 end.

    Returns:
        For each window the place of its recording among the names, and its first frame. Actions in alphabetical order;
        one of which a recording is not there, or too short, has none.

    Raises:
        DataError: no action has both recordings, or more frames are seen than come before.
    """
    if seed_frames > PAST + EARLIEST:
        raise DataError(
            f"expected at most {PAST + EARLIEST} seed frames, got {seed_frames}: more are not there before every "
            "published window of Human3.6M"
        )
    place = {name: number for number, name in enumerate(names)}
    recordings, begins = [], []
    for first in sorted(name for name in names if name.endswith("_1")):
        pair = [place.get(name) for name in (first, f"{first.removesuffix('_1')}_2")]
        known = [number for number in pair if number is not None]
        ends = frames[known] - PAST - FUTURE
        if len(known) < 2 or (ends <= EARLIEST).any():
            continue
        generator = np.random.RandomState(SEED)
        for _ in range(per_action // 2):
            for number, end in zip(known, ends.tolist(), strict=True):
                recordings.append(number)
                begins.append(generator.randint(EARLIEST, end) + PAST - seed_frames)
    if not recordings:
        raise DataError(
            "expected both recordings of an action of Human3.6M (S5_walking_1 and S5_walking_2), each with more than "
            f"{(EARLIEST + PAST + FUTURE) / RATE:.0f} s, on the test side, found none: take prediction.scored=centre"
        )
    return np.array(recordings), np.array(begins)
