"""What to expect of a head on people that it has not seen: cross-validation over people."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from pcm3.data.recording import UNKNOWN
from pcm3.errors import DataError
from pcm3.summary import mean_of, spread_of

FOLDS = 5
"""Parts that labelled clips are cut into, where there are so many people."""
FEW = 5
"""Clips of a class below which a word is said about it."""
IN_MM = "_mm"
"""How the names of metrics end that are errors: less is better."""
NORMAL = 1.96
"""Standard deviations within which 95 % of a normal distribution lie."""
SAME_PEOPLE = (
    "people are not told apart: the same person may be on both sides, so that on others it will do less well than this "
    "says"
)
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Expected:
    """What to expect of a classifier: heads of the same kind, each tested on people that it did not see."""

    accuracies: tuple[float, ...]
    """Of each fold, per cent."""
    predicted: Int[np.ndarray, " N"]
    """The class of each labelled clip, told by the head of its fold."""
    label: Int[np.ndarray, " N"]
    """The true ones."""
    classes: tuple[str, ...]
    people: int
    """How many people are told apart; 0: they are not, so that the same one may be on both sides."""
    unseen: int = 0
    """Clips of a class that nobody shows whom the head of their fold learned from: always wrong."""

    def __str__(self) -> str:
        """What to expect, in a sentence."""
        count = len(self.label)
        whom = f"people not seen ({self.people} people" if self.people else f"clips not seen ({count:,} clips"
        low, high = self.interval
        return (
            f"to expect on {whom}, {len(self.accuracies)} folds): {self.accuracy:.1f} % of the clips, with so many "
            f"clips likely {low:.0f} to {high:.0f} %; always predicting the most frequent class: "
            f"{self.most_frequent:.1f} %"
        )

    @property
    def most_frequent(self) -> float:
        """Per cent of all clips that always predicting the most frequent class gets right."""
        return 100 * float(np.bincount(self.label).max()) / len(self.label)

    @property
    def accuracy(self) -> float:
        """Per cent of all clips."""
        return 100 * float(np.mean(self.predicted == self.label))

    @property
    def spread(self) -> float:
        """Standard deviation over the folds, percentage points."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Between these per cent the accuracy on many such clips lies, with a confidence of 95 % (Wilson 1927)."""
        count, share = len(self.label), float(np.mean(self.predicted == self.label))
        middle = (share + NORMAL**2 / (2 * count)) / (1 + NORMAL**2 / count)
        reach = NORMAL * sqrt(share * (1 - share) / count + NORMAL**2 / (4 * count**2)) / (1 + NORMAL**2 / count)
        return 100 * max(middle - reach, 0.0), 100 * min(middle + reach, 1.0)

    @property
    def by_class(self) -> dict[str, tuple[int, float]]:
        """Class → its clips, and per cent of them that are classified correctly."""
        rows = {}
        for number, name in enumerate(self.classes):
            mine = self.label == number
            right = 100 * float(np.mean(self.predicted[mine] == number)) if mine.any() else float("nan")
            rows[name] = (int(mine.sum()), right)
        return rows

    @property
    def warnings(self) -> list[str]:
        """What a user must know of these figures, in whole sentences."""
        words = []
        if self.people == 0:
            words.append(SAME_PEOPLE)
        few = [name for name, (count, _) in self.by_class.items() if count < FEW]
        if few:
            words.append(f"fewer than {FEW} clips: {', '.join(few[:8])}{' …' if len(few) > 8 else ''}")
        if self.accuracy <= self.most_frequent:
            words.append("it does no better than always predicting the most frequent class")
        if self.unseen:
            whose = "nobody else shows" if self.people else "no other clip shows"
            words.append(
                f"{self.unseen:,} of {len(self.label):,} clips are of a class that {whose}: they are counted as wrong, "
                f"whatever the head is worth (at most {100 - 100 * self.unseen / len(self.label):.1f} % can be right)"
            )
        return words


@dataclass(frozen=True)
class ExpectedScores:
    """What to expect of a detector or a predictor."""

    metrics: dict[str, tuple[float, float]]
    """Name, as `pcm3 evaluate` has it → mean and standard deviation over the folds."""
    beside: dict[str, tuple[str, float]]
    """Name → what needs no model at all, and what it comes to."""
    folds: int
    people: int
    """How many people are told apart; 0: they are not."""

    @property
    def warnings(self) -> list[str]:
        """What a user must know of these figures."""
        words = [] if self.people else [SAME_PEOPLE]
        worse = [
            f"{what} ({name}: {value:.1f}, it {self.metrics[name][0]:.1f})"
            for name, (what, value) in self.beside.items()
            if (self.metrics[name][0] - value) * (1 if name.endswith(IN_MM) else -1) >= 0
        ]
        if worse:
            words.append(f"it does no better than {worse[0]}: it needs more to learn from, or another model")
        return words


def mean_over_folds(
    results: Sequence[Mapping[str, float]], names: Sequence[str], beside: dict[str, tuple[str, float]], people: int
) -> ExpectedScores:
    """Mean and spread of the folds' metrics of these names."""
    values = {name: [result[name] for result in results] for name in names}
    metrics = {name: (mean_of(several), spread_of(several) or 0.0) for name, several in values.items()}
    return ExpectedScores(metrics, beside, len(results), people)


def people_of(subject: Int[np.ndarray, " N"]) -> int:
    """How many people are told apart; 0: not all are known, or it is one alone."""
    known = np.unique(subject)
    return 0 if UNKNOWN in known or len(known) < 2 else len(known)


def folds_of(label: Int[np.ndarray, " N"], subject: Int[np.ndarray, " N"], most: int) -> list[tuple[Places, Places]]:
    """Training and test side of each fold: of other people where these are known, else of other clips.

    Args:
        label: classes, which are spread evenly over the folds where people are not known.
        subject: who moves; −1: not known.
        most: folds at most.

    Raises:
        DataError: there are not two parts to make.
    """
    people = people_of(subject)
    if people:
        return list(GroupKFold(min(most, people)).split(label, label, subject))
    if len(label) < 2:
        raise DataError(f"expected two clips or recordings at least, to say what to expect, got {len(label)}")
    largest = int(np.bincount(label).max())
    if largest < 2:
        raise DataError("expected two clips of a class at least, to say what to expect, got one of each")
    if largest == len(label):
        return list(KFold(min(most, largest), shuffle=True, random_state=0).split(label))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a class has fewer clips than there are folds
        return list(StratifiedKFold(min(most, largest), shuffle=True, random_state=0).split(label, label))
