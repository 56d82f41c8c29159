"""What a linear classifier on the features says of each clip that it has not seen: other people's clips taught it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler

from pcm3.api.expectation import FOLDS, folds_of
from pcm3.data.recording import UNKNOWN
from pcm3.errors import DataError

STRENGTH = 30.0
"""Of the penalty on the weights, on features of mean 0 and deviation 1."""


@dataclass(frozen=True, eq=False)
class Guesses:
    """What the classifier of its fold says of each clip."""

    label: Int[np.ndarray, " N"]
    """The class; −1 where nothing is said."""
    margin: Float[np.ndarray, " N"]
    """By how much the class is ahead of the next one; small where the classifier is in doubt."""
    correct: float | None
    """Per cent of the labelled clips that are told right; None: there is nothing to learn from."""


def guess(features: Float[np.ndarray, "N D"], label: Int[np.ndarray, " N"], subject: Int[np.ndarray, " N"]) -> Guesses:
    """Cross-validated over people, where they are known.

    Args:
        features: of all clips.
        label: their classes; −1: not known. Those say nothing and are told by what all others teach.
        subject: who moves; −1: not known.
    """
    told, margin = np.full(len(label), UNKNOWN, np.int32), np.zeros(len(label), np.float32)
    known = np.flatnonzero(label != UNKNOWN)
    nothing = Guesses(told, margin, None)
    if len(np.unique(label[known])) < 2:
        return nothing
    try:
        folds = [(known[train], known[test]) for train, test in folds_of(label[known], subject[known], FOLDS)]
    except DataError:
        return nothing
    rest = np.flatnonzero(label == UNKNOWN)
    for train, test in [*folds, (known, rest)]:
        if len(test) and len(np.unique(label[train])) > 1:
            told[test], margin[test] = _taught(features[train], label[train], features[test])
    return Guesses(told, margin, 100 * float(np.mean(told[known] == label[known])))


def _taught(
    train: Float[np.ndarray, "N D"], label: Int[np.ndarray, " N"], test: Float[np.ndarray, "Q D"]
) -> tuple[Int[np.ndarray, " Q"], Float[np.ndarray, " Q"]]:
    """Class and margin of clips, by what others teach."""
    scale = StandardScaler().fit(train)
    ridge = RidgeClassifier(alpha=STRENGTH).fit(scale.transform(train), label)
    scores = ridge.decision_function(scale.transform(test))
    scores = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
    ahead = np.sort(scores, axis=1)
    return ridge.classes_[scores.argmax(axis=1)], (ahead[:, -1] - ahead[:, -2]).astype(np.float32)
