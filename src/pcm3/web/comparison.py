"""Two kinds of features of the same clips: whose neighbours changed, and which tell classes better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from pcm3.api.expectation import FOLDS, folds_of, people_of
from pcm3.data.recording import UNKNOWN
from pcm3.errors import DataError

NEIGHBOURS = 10
"""Nearest clips in which the two are compared."""
WIDER = 5
"""Times as many are looked at to put clips in order that have equally many in common."""
MOST = 10_000
"""Clips whose neighbours are looked for among all; of more, as many are drawn, always the same ones."""
BLOCK = 256
"""Clips whose cosines are taken at a time."""
DRAWS = 2_000
"""Times that people are drawn anew for an interval."""
FEWEST = 5
"""People from which on an interval is told."""

Pair = tuple[Float32[np.ndarray, "N D"], Float32[np.ndarray, "N E"]]
"""The same clips by two kinds of features."""


@dataclass(frozen=True, eq=False)
class ClassifierResult:
    """What one simple classifier makes of both kinds of features, taught and asked by the same folds."""

    name: str
    label: Int[np.ndarray, "2 N"]
    """The class that it says of each clip; −1: of those it says nothing."""
    correct: tuple[float, float]
    """Per cent of the labelled clips that are told right."""
    interval: tuple[float, float] | None
    """Points between which the second is over the first, with a confidence of 95 % (`difference_interval`)."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two kinds of features of N clips."""

    kept: Float[np.ndarray, " N"]
    """Of the `k` nearest clips of each by one kind of features, the share that is among the k nearest by the other, too
    (mutual k-nearest-neighbour overlap, Huh et al. 2024); not a number where it was not looked at."""
    k: int
    changed: Int[np.ndarray, " Q"]
    """The clips that were looked at, those whose neighbours changed most first."""
    classifiers: tuple[ClassifierResult, ...]
    """Linear and 1-NN; none where there is nothing to judge by."""
    clips: int
    """Labelled clips that were judged."""
    people: int
    """By whom the folds are; 0: people are not told apart, and folds are of clips."""
    most_frequent: float
    """Per cent of those clips that are of the most frequent class."""

    @property
    def by_chance(self) -> float:
        """The share that would be kept if neighbours were drawn at random."""
        return self.k / max(len(self.kept) - 1, 1)


def compare(
    units: Pair,
    linear: Int[np.ndarray, "2 N"],
    label: Int[np.ndarray, " N"],
    subject: Int[np.ndarray, " N"],
    pause: Callable[[], None],
) -> Comparison:
    """What two kinds of features make of the same clips.

    Args:
        units: features of all clips, as rows of length 1.
        linear: the class that a linear classifier on each says of each clip, see `pcm3.web.guesses.guess`.
        label: classes; −1: not known.
        subject: who moves; −1: not known.
        pause: is called now and then; what it raises ends the work.
    """
    count = len(label)
    compared = np.arange(count)
    if count > MOST:
        compared = np.sort(np.random.default_rng(0).choice(count, MOST, replace=False))
    fold = folds(label, subject)
    k = min(NEIGHBOURS, count - 1)
    wide = min(WIDER * NEIGHBOURS, count - 1)
    near, nearest_labelled = zip(*(nearest(rows, compared, fold, wide, pause) for rows in units), strict=True)
    common = in_common(near[0][:, :k], near[1][:, :k])
    kept = np.full(count, np.nan)
    kept[compared] = common / max(k, 1)
    order = np.lexsort((in_common(*near), common))
    asked = compared[fold[compared] != UNKNOWN]
    people = people_of(subject[fold != UNKNOWN]) if len(asked) else 0
    who = subject[asked] if people else np.arange(len(asked))
    classifiers: list[ClassifierResult] = []
    if len(asked):
        one_nn = np.full((2, count), UNKNOWN)
        for predicted, of in zip(one_nn, nearest_labelled, strict=True):
            predicted[compared] = np.where(of >= 0, label[of], UNKNOWN)
        classifiers = [
            classifier_result("linear", linear, label, asked, who),
            classifier_result("1-NN", one_nn, label, asked, who),
        ]
    most = 100 * float(np.bincount(label[asked]).max()) / len(asked) if len(asked) else 0.0
    return Comparison(kept, k, compared[order], tuple(classifiers), len(asked), people, most)


def folds(label: Int[np.ndarray, " N"], subject: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """The fold in which each labelled clip is asked: that of its person, where people are known; −1: it has no label,
    or there is nothing to judge by.
    """
    fold = np.full(len(label), UNKNOWN)
    known = np.flatnonzero(label != UNKNOWN)
    if len(np.unique(label[known])) < 2:
        return fold
    try:
        for number, (_, test) in enumerate(folds_of(label[known], subject[known], FOLDS)):
            fold[known[test]] = number
    except DataError:
        return fold
    return fold


def nearest(
    rows: Float[np.ndarray, "N D"],
    queries: Int[np.ndarray, " Q"],
    fold: Int[np.ndarray, " N"],
    k: int,
    pause: Callable[[], None],
) -> tuple[Int[np.ndarray, "Q k"], Int[np.ndarray, " Q"]]:
    """The k nearest clips of some, the nearest first; and the nearest labelled clip of another fold, −1: none.

    Args:
        rows: of all clips, of length 1.
        queries: the clips whose neighbours are looked for.
        fold: see `folds`.
        k: less than N.
        pause: is called before every block.
    """
    near, nearest_labelled = [], []
    for start in range(0, len(queries), BLOCK):
        pause()
        mine = queries[start : start + BLOCK]
        cosine = rows[mine] @ rows.T
        cosine[np.arange(len(mine)), mine] = -np.inf
        best = np.argpartition(-cosine, k - 1, axis=1)[:, :k] if k else np.zeros((len(mine), 0), np.int64)
        order = np.argsort(-np.take_along_axis(cosine, best, axis=1), axis=1, kind="stable")
        near.append(np.take_along_axis(best, order, axis=1))
        teaches = (fold != UNKNOWN) & (fold != fold[mine, None])
        cosine[~teaches] = -np.inf
        best_teacher = cosine.argmax(axis=1)
        nearest_labelled.append(np.where(teaches.any(axis=1) & (fold[mine] != UNKNOWN), best_teacher, UNKNOWN))
    return np.concatenate(near), np.concatenate(nearest_labelled)


def in_common(first: Int[np.ndarray, "Q k"], second: Int[np.ndarray, "Q k"]) -> Int[np.ndarray, " Q"]:
    """How many numbers of each row are in that of the other; none stands twice in a row."""
    both = np.sort(np.concatenate([first, second], axis=1), axis=1)
    return np.asarray((both[:, 1:] == both[:, :-1]).sum(axis=1))


def classifier_result(
    name: str,
    predicted: Int[np.ndarray, "2 N"],
    label: Int[np.ndarray, " N"],
    asked: Int[np.ndarray, " K"],
    who: Int[np.ndarray, " K"],
) -> ClassifierResult:
    """What a classifier comes to on the clips that were asked, and whose they are."""
    right = predicted[:, asked] == label[asked]
    first, second = 100 * right.mean(axis=1)
    return ClassifierResult(name, predicted, (float(first), float(second)), difference_interval(right, who))


def difference_interval(right: Bool[np.ndarray, "2 K"], who: Int[np.ndarray, " K"]) -> tuple[float, float] | None:
    """Points between which the second is over the first with a confidence of 95 %: percentiles over samples of people,
    drawn with replacement, each with all of their clips (cluster bootstrap); None of fewer than `FEWEST` people.

    Args:
        right: which clips each of the two tells right.
        who: whose clips they are; where people are not known, each clip is drawn by itself.
    """
    person = np.unique(who, return_inverse=True)[1]
    people = int(person.max()) + 1
    if people < FEWEST:
        return None
    clips = np.bincount(person)
    gain = np.bincount(person, weights=right[1].astype(float) - right[0])
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, people, people)
        gains.append(100 * gain[drawn].sum() / clips[drawn].sum())
    low, high = np.percentile(gains, [2.5, 97.5])
    return float(low), float(high)
