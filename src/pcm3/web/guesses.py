"""What a linear classifier on the features says of each clip that it has not seen: other people's clips taught it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pcm3.api.expectation import FOLDS, folds_of
from pcm3.api.teaching import teach
from pcm3.data.recording import UNKNOWN
from pcm3.errors import DataError


@dataclass(frozen=True, eq=False)
class Guesses:
    """What the classifier of its fold says of each clip."""

    label: Int[np.ndarray, " N"]
    """The class; −1 where nothing is said."""
    margin: Float[np.ndarray, " N"]
    """By how much the class is ahead of the next one; small where the classifier is in doubt."""
    correct: float | None
    """Per cent of the labelled clips that are told right; None: there is nothing to learn from."""


def guess(rows: Float[np.ndarray, "N D"], label: Int[np.ndarray, " N"], subject: Int[np.ndarray, " N"]) -> Guesses:
    """Cross-validated over people, where they are known.

    Args:
        rows: of all clips, see `pcm3.api.teaching.directions`.
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
    for train, test in [*folds, (known, np.flatnonzero(label == UNKNOWN))]:
        taught = teach(rows, train, label[train])
        told[test], margin[test] = taught.label[test], taught.margin[test]
    return Guesses(told, margin, 100 * float(np.mean(told[known] == label[known])))
