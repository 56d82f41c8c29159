"""Learning from labels as they are given: a classifier on frozen features in a moment, and which clip to label next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from sklearn.linear_model import Ridge

from pcm3.api.expectation import FOLDS, folds_of, people_of
from pcm3.errors import DataError

STRENGTH = 0.3
"""Of the penalty on the weights of the classifier, whose inputs are of length 1."""
WIDTH = 0.3
"""Of the kernel by which a clip stands for others: cosines from 1 down to 1 − `WIDTH` count, more or less."""
MOST = 3_000
"""Clips that are looked at when the next one is chosen; of more, as many are drawn."""
BLOCK = 4_096
"""Labelled clips whose cosines are taken at a time."""


@dataclass(frozen=True, eq=False)
class Taught:
    """What labelled clips teach about all clips."""

    label: Int[np.ndarray, " N"]
    """The class that is likeliest."""
    margin: Float[np.ndarray, " N"]
    """By how much it is ahead of the next one: about 1 where there is no doubt, 0 where nothing is known."""


class Space(NamedTuple):
    """Where features are compared: all columns with the same spread, rows of length 1. All of this file goes by it."""

    mean: Float[np.ndarray, " D"]
    spread: Float[np.ndarray, " D"]

    @classmethod
    def of(cls, features: Float[np.ndarray, "N D"]) -> Space:
        """That in which the columns of these features have mean 0 and deviation 1."""
        spread = features.std(axis=0)
        return cls(features.mean(axis=0), np.where(spread > 0, spread, 1).astype(features.dtype))

    def rows(self, features: Float[np.ndarray, "N D"]) -> Float32[np.ndarray, "N D"]:
        """Features as rows of length 1."""
        rows = (features - self.mean) / self.spread
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def directions(features: Float[np.ndarray, "N D"]) -> Float32[np.ndarray, "N D"]:
    """Features as rows of their own `Space`."""
    return Space.of(features).rows(features)


def teach(rows: Float[np.ndarray, "N D"], labelled: Int[np.ndarray, " K"], label: Int[np.ndarray, " K"]) -> Taught:
    """What these clips teach about all: ridge regression of the classes, which needs no steps and no seed.

    Args:
        rows: of all clips, see `directions`.
        labelled: the clips that have a label, at least one.
        label: their classes.
    """
    classes, number = np.unique(label, return_inverse=True)
    ridge = Ridge(alpha=STRENGTH, fit_intercept=False).fit(rows[labelled], np.eye(len(classes))[number])
    scores = (rows @ np.asarray(ridge.coef_, rows.dtype).reshape(len(classes), -1).T).astype(np.float64)
    if len(classes) == 1:
        return Taught(np.full(len(rows), classes[0]), scores[:, 0])
    ahead = np.partition(scores, len(classes) - 2, axis=1)
    return Taught(classes[scores.argmax(axis=1)], ahead[:, -1] - ahead[:, -2])


def expected(
    rows: Float[np.ndarray, "N D"],
    labelled: Int[np.ndarray, " K"],
    label: Int[np.ndarray, " K"],
    subject: Int[np.ndarray, " N"],
) -> tuple[float, int] | None:
    """Per cent of the labelled clips that are right by what other people's teach, and how many people there are.

    Args:
        rows: of all clips, see `directions`.
        labelled: the clips that have a label.
        label: their classes.
        subject: who moves in each clip; −1: not known, then the folds are of clips, and the people 0.

    Returns:
        None where there are too few labels to say.
    """
    number = np.unique(label, return_inverse=True)[1]
    if len(labelled) == 0 or number.max() == 0:
        return None
    try:
        folds = folds_of(number, subject[labelled], FOLDS)
    except DataError:
        return None
    mine, predicted = rows[labelled], np.zeros(len(labelled), np.int64)
    for train, test in folds:
        predicted[test] = teach(mine, train, number[train]).label[test]
    return 100 * float(np.mean(predicted == number)), people_of(subject[labelled])


def next_clips(
    rows: Float[np.ndarray, "N D"],
    labelled: Int[np.ndarray, " K"],
    taught: Taught | None,
    count: int,
    seed: int = 0,
) -> Int[np.ndarray, " n"]:
    """The clips of which a label would teach most, the best first: those that stand for most clips that are in doubt
    and for which no labelled clip stands yet.

    A clip stands for another by exp((cosine − 1) / `WIDTH`), a number up to 1; each clip counts by its doubt,
    1 − margin. The gain is submodular, so that a greedy choice comes to 1 − 1/e of the best one at least (Nemhauser et
    al. 1978). Doubt alone asks for odd clips first, and a cover alone for clips that are known long since.

    Args:
        rows: of all clips, see `directions`.
        labelled: the clips that have a label; they are not chosen.
        taught: what they teach; None: nothing yet.
        count: how many clips; fewer come where there are no more.
        seed: which clips are looked at where there are more than `MOST`.
    """
    drawn = np.arange(len(rows))
    if len(rows) > MOST:
        drawn = np.sort(np.random.default_rng(seed + len(labelled)).choice(len(rows), MOST, replace=False))
    mine = rows[drawn]
    stands = np.exp((mine @ mine.T - 1) / WIDTH)
    doubt = np.ones(len(drawn)) if taught is None else 1 - np.clip(taught.margin[drawn], 0, 1)
    nearest = np.full(len(drawn), -np.inf)
    for start in range(0, len(labelled), BLOCK):
        nearest = np.maximum(nearest, (mine @ rows[labelled[start : start + BLOCK]].T).max(axis=1))
    cover = np.exp((nearest - 1) / WIDTH)
    free = ~np.isin(drawn, labelled)
    chosen: list[int] = []
    for _ in range(min(count, int(free.sum()))):
        gain = np.maximum(stands - cover[:, None], 0).T @ doubt
        best = int(np.where(free, gain, -1.0).argmax())
        chosen.append(int(drawn[best]))
        free[best] = False
        cover = np.maximum(cover, stands[:, best])
    return np.array(chosen, np.int64)
