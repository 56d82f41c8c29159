"""Which labelled training clips a semi-supervised run may use."""

from __future__ import annotations

from math import floor
from typing import Literal

import numpy as np
from jaxtyping import Int

from pcm3.errors import ConfigError

SubsetKind = Literal["global", "stratified"]
ROUNDING = 1e-9
"""A share of so many clips that misses a whole number by less is that number: 0.29 of 100 is 29."""


def labelled_subset(label: Int[np.ndarray, " N"], share: float, kind: SubsetKind, seed: int) -> Int[np.ndarray, " K"]:
    """Places of the K clips that keep their labels, ascending; with the same seed a smaller share lies in a larger.

    `global`: K is the share of all N clips, rounded down as in released CMD, but at least 1; classes may be missing.
    `stratified`: of each class the nearest whole number to its share, halves to even as in HiCLR. Differs: at least one
    of each class, where HiCLR loses classes with few clips.

    Raises:
        ConfigError: the share or the kind is none.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"expected a share of the training clips, more than 0 and at most 1, got {share}")
    if kind not in ("global", "stratified"):
        raise ConfigError(f"expected a kind of subset, global or stratified, got '{kind}'")
    order = np.random.default_rng([seed, len(label)]).permutation(len(label))
    if kind == "global":
        return np.sort(order[: max(floor(share * len(label) + ROUNDING), 1)])
    taken = []
    for value in np.unique(label):
        mine = order[label[order] == value]
        taken.append(mine[: max(round(share * len(mine)), 1)])
    return np.sort(np.concatenate(taken))
