"""What a linear classifier on the features says of each clip that it has not seen: other people's clips taught it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression

from pcm3.api.expectation import FOLDS, folds_of
from pcm3.api.teaching import teach
from pcm3.data.recording import UNKNOWN
from pcm3.errors import DataError


@dataclass(frozen=True, eq=False)
class Guesses:
    """What the classifier of its fold says of each clip."""

    label: Int[np.ndarray, " N"]
    """The class; −1 where nothing is said."""
    confidence: Float[np.ndarray, " N"]
    """How often it is right where it is so sure, 0 to 1, see `Confidence`; 0 where nothing is said."""
    correct: float | None
    """Per cent of the labelled clips that are told right; None: there is nothing to learn from."""
    sure: Confidence
    """The same of any margin."""


@dataclass(frozen=True)
class Confidence:
    """How often a class is right that is ahead of the next one by a margin (Platt 1999, on clips of other people)."""

    slope: float = 0.0
    offset: float = 0.0

    @classmethod
    def of(cls, margin: Float[np.ndarray, " K"], right: Bool[np.ndarray, " K"]) -> Confidence:
        """That of clips by which nothing was taught: by their margins, and whether they were told right."""
        hits = int(right.sum())
        target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))
        both = np.repeat([True, False], len(right))
        fit = LogisticRegression(C=1e3).fit(np.tile(margin, 2)[:, None], both, np.concatenate([target, 1 - target]))
        return cls(float(fit.coef_[0, 0]), float(fit.intercept_[0]))

    def __call__(self, margin: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
        """0 to 1."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * margin + self.offset))))


def guess(rows: Float[np.ndarray, "N D"], label: Int[np.ndarray, " N"], subject: Int[np.ndarray, " N"]) -> Guesses:
    """Cross-validated over people, where they are known.

    Args:
        rows: of all clips, see `pcm3.api.teaching.directions`.
        label: their classes; −1: not known. Those say nothing and are told by what all others teach.
        subject: who moves; −1: not known.
    """
    predicted, margin = np.full(len(label), UNKNOWN, np.int32), np.zeros(len(label), np.float32)
    known = np.flatnonzero(label != UNKNOWN)
    nothing = Guesses(predicted, margin, None, Confidence())
    if len(np.unique(label[known])) < 2:
        return nothing
    try:
        folds = [(known[train], known[test]) for train, test in folds_of(label[known], subject[known], FOLDS)]
    except DataError:
        return nothing
    for train, test in [*folds, (known, np.flatnonzero(label == UNKNOWN))]:
        taught = teach(rows, train, label[train])
        predicted[test], margin[test] = taught.label[test], taught.margin[test]
    right = predicted[known] == label[known]
    sure = Confidence.of(margin[known], right)
    return Guesses(predicted, sure(margin).astype(np.float32), 100 * float(right.mean()), sure)
