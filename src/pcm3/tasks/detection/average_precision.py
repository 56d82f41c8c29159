"""How good detected actions are: average precision by the two rules of the field, which differ.

A prediction belongs to the one true action of its class and video that it overlaps most, if by θ or more. ``voc`` is
the average precision of PASCAL VOC, all points. ``official`` is that of PKU-MMD's evaluation script. In both, an action
counts once however many predictions belong to it. Predictions of equal confidence come and go as one step, so that
their order means nothing; the published codes take them in the order of their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Rule = Literal["voc", "official"]

THETAS = tuple(step / 20 for step in range(1, 21))
"""Overlaps over which 2D-AP is the mean: 0.05, 0.1, … 1."""
TOUCHING = 1e-9
"""Overlaps that are θ but for the rounding of θ (as of 3 · 0.1) reach it; other fractions of frames are farther off."""
ROWS = 1024
"""Predictions that are compared with all actions of their video at a time."""


@dataclass(frozen=True, eq=False)
class Segments:
    """N actions in videos, true or predicted; frames count from 0 in each video, `stop` is the one after the last."""

    video: Indices
    label: Indices
    """Classes from 0: there is no background among segments."""
    start: Indices
    stop: Indices
    confidence: NDArray[np.float64]
    """Of predictions; of the truth it is not looked at."""

    def __len__(self) -> int:
        return len(self.video)

    def take(self, chosen: NDArray[np.bool_] | Indices) -> Segments:
        """Those segments, as a mask or by index."""
        return Segments(
            self.video[chosen], self.label[chosen], self.start[chosen], self.stop[chosen], self.confidence[chosen]
        )


def segments(rows: Iterable[tuple[int, int, int, int, float]]) -> Segments:
    """Segments of rows (video, label, start, stop, confidence)."""
    made = list(rows)
    video, label, start, stop = (np.array([row[column] for row in made], np.int64) for column in range(4))
    return Segments(video, label, start, stop, np.array([row[4] for row in made], np.float64))


def detection_metrics(predicted: Segments, true: Segments, theta: float, classes: int) -> dict[str, float]:
    """Every metric of detection by its name, per cent; the names say the rule.

    Args:
        predicted: of all test videos.
        true: of the same; at least one action.
        theta: least overlap, but for ``ap_2d_official``, which is the mean over `THETAS`.
        classes: L, over which ``map_a_official`` is the mean, as the script's over its 51, with 0 for a class that is
            not there; ``map_a_voc`` is the mean over the classes that are there, ``map_v_official`` over the videos
            in which there is an action.
    """
    truth, overlap = nearest(predicted, true)
    reached = reaching(truth, overlap, theta)

    def mean_over(rule: Rule, mine: Indices, theirs: Indices, groups: Iterable[int]) -> float:
        """Mean over groups of segments, which the two columns tell apart, of the average precision in them."""
        values = []
        for group in groups:
            chosen = mine == group
            values.append(
                RULES[rule](ranked(predicted.confidence[chosen], reached[chosen]), int((theirs == group).sum()))
            )
        return float(np.mean(values))

    def together(theta: float) -> float:
        ranking = ranked(predicted.confidence, reaching(truth, overlap, theta))
        return RULES["official"](ranking, len(true))

    metrics = {
        "map_a_voc": mean_over("voc", predicted.label, true.label, np.unique(true.label).tolist()),
        "map_v_official": mean_over("official", predicted.video, true.video, np.unique(true.video).tolist()),
        "map_a_official": mean_over("official", predicted.label, true.label, range(classes)),
        "ap_official": together(theta),
        "ap_2d_official": float(np.mean([together(least) for least in THETAS])),
        "f1_official": f1_of(reached, len(true)),
    }
    return {name: 100 * value for name, value in metrics.items()}


def nearest(predicted: Segments, true: Segments) -> tuple[Indices, NDArray[np.float64]]:
    """For each prediction (P,) the action of its class and video that it overlaps most, and by how much (P,).

    The overlap is the frames that both have over the frames from the first start to the last stop. Of equals it is the
    action that starts last, as in the script, whose files are in order (VOC's codes take the first: of use only where
    actions of one class overlap each other). Where nothing is overlapped, it is −1 and 0.
    """
    truth, overlap = np.full(len(predicted), -1), np.zeros(len(predicted))
    latest_first = np.lexsort((true.stop, true.start))[::-1]
    for video in np.intersect1d(predicted.video, true.video):
        there = latest_first[true.video[latest_first] == video]
        mine = np.flatnonzero(predicted.video == video)
        for begin in range(0, len(mine), ROWS):
            part = mine[begin : begin + ROWS]
            overlaps = _overlaps(predicted.take(part), true.take(there))
            best = overlaps.argmax(axis=1)
            overlap[part] = overlaps[np.arange(len(part)), best]
            truth[part] = np.where(overlap[part] > 0, there[best], -1)
    return truth, overlap


def _overlaps(predicted: Segments, true: Segments) -> NDArray[np.float64]:
    """How much each prediction overlaps each action of the same video (P, G); 0 in another class."""
    shared = np.minimum(predicted.stop[:, None], true.stop) - np.maximum(predicted.start[:, None], true.start)
    spanned = np.maximum(predicted.stop[:, None], true.stop) - np.minimum(predicted.start[:, None], true.start)
    meet = (predicted.label[:, None] == true.label) & (shared > 0)
    overlaps: NDArray[np.float64] = np.where(meet, shared, 0) / np.maximum(spanned, 1)
    return overlaps


def reaching(truth: Indices, overlap: NDArray[np.float64], theta: float) -> Indices:
    """The action of each prediction (P,), −1 where it does not overlap it by θ."""
    return np.where(overlap >= theta - TOUCHING, truth, -1)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Predictions, the most confident first, in S steps of equal confidence."""

    made: Indices
    """(S,) predictions made up to and with each step."""
    true_positives: Indices
    """(S,) different actions that these have found."""
    matches: NDArray[np.bool_]
    """(S,) whether a prediction of the step belongs to an action, found before or not."""


def ranked(confidence: NDArray[np.float64], truth: Indices) -> Ranking:
    """The ranking of predictions with their confidence (P,) and their action (P,), −1: none."""
    order = np.argsort(-confidence, kind="stable")
    confidence, truth = confidence[order], truth[order]
    made = np.flatnonzero(np.append(np.diff(confidence) != 0, True)[: len(order)]) + 1
    first = np.unique(truth, return_index=True)[1]
    fresh = np.zeros(len(order), bool)
    fresh[first] = truth[first] >= 0
    matched = np.cumsum(truth >= 0)[made - 1]
    return Ranking(made, np.cumsum(fresh)[made - 1], np.diff(matched, prepend=0) > 0)


def _voc(ranking: Ranking, truths: int) -> float:
    """The area under precision over recall, with each precision raised to the best at its recall or beyond."""
    if truths == 0:
        return float("nan")
    precision = np.maximum.accumulate((ranking.true_positives / ranking.made)[::-1])[::-1]
    return float(precision @ np.diff(ranking.true_positives, prepend=0)) / truths


def _official(ranking: Ranking, truths: int) -> float:
    """The sum, while predictions leave, the least confident first, of best precision so far · recall that is lost.

    Precision and recall are looked at before anything leaves, and whenever a prediction that belongs to an action has
    left; when nothing is left both are 0. So what is gained when a wrong prediction leaves is seen only when the next
    right one is gone, too, and the score is mostly below VOC's.
    """
    if truths == 0 or len(ranking.made) == 0:
        return 0.0
    precision = ranking.true_positives / ranking.made
    left = np.where(ranking.matches, np.append(0.0, precision[:-1]), 0.0)[::-1]
    best = np.maximum.accumulate(np.append(precision[-1], left))[1:]
    lost = np.diff(ranking.true_positives, prepend=0)[::-1]
    return float(best @ lost) / truths


def f1_of(reached: Indices, truths: int) -> float:
    """Of predictions (P,) with their action, −1: none; 2PR / (P + R) is 2 found / (predictions + actions)."""
    hits = len(np.unique(reached[reached >= 0]))
    return 2 * hits / max(len(reached) + truths, 1)


RULES: dict[Rule, Callable[[Ranking, int], float]] = {"voc": _voc, "official": _official}
"""The two ways from a ranking and the number of actions to an average precision."""
