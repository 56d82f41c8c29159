"""Average precision: both rules against slow references and against answers worked out by hand."""

import math
import time
from fractions import Fraction
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.tasks.detection.average_precision import (
    RULES,
    THETAS,
    Segments,
    detection_metrics,
    f1_of,
    nearest,
    ranked,
    reaching,
    segments,
)

QUICK = settings(deadline=None, max_examples=60)


def of_rule(rule, predicted, true, theta):
    """The average precision, 0 … 1, of all predictions together."""
    return RULES[rule](ranked(predicted.confidence, reaching(*nearest(predicted, true), theta)), len(true))


voc_ap, official_ap = partial(of_rule, "voc"), partial(of_rule, "official")


def f1(predicted, true, theta):
    return f1_of(reaching(*nearest(predicted, true), theta), len(true))


# Slow references, row by row in exact fractions. A row is (video, label, start, stop, confidence).


@cache
def slow_overlap(a, b):
    if a[:2] != b[:2]:
        return Fraction(0)
    return max(Fraction(min(a[3], b[3]) - max(a[2], b[2]), max(a[3], b[3]) - min(a[2], b[2])), Fraction(0))


def slow_match(row, true, theta):
    """The truth that the row belongs to, or None; of equals the one that starts (then ends) last."""
    able = [truth for truth in true if slow_overlap(row, truth) >= theta]
    return max(able, key=lambda truth: (slow_overlap(row, truth), truth[2:4])) if able else None


def slow_levels(predicted):
    """The predictions in groups of equal confidence, least first."""
    return [[row for row in predicted if row[4] == level] for level in sorted({row[4] for row in predicted})]


def slow_found(predicted, true, theta):
    return len({slow_match(row, true, theta) for row in predicted} - {None})


def slow_pr(predicted, true, theta):
    if not predicted or not true:
        return Fraction(0), Fraction(0)
    found = slow_found(predicted, true, theta)
    return Fraction(found, len(predicted)), Fraction(found, len(true))


def slow_official(predicted, true, theta):
    left = list(predicted)
    best, old_recall = slow_pr(left, true, theta)
    score = Fraction(0)
    for leaving in slow_levels(predicted):
        left = [row for row in left if row not in leaving]
        if all(slow_match(row, true, theta) is None for row in leaving):
            continue
        precision, recall = slow_pr(left, true, theta)
        best = max(best, precision)
        score += best * (old_recall - recall)
        old_recall = recall
    return score


def slow_voc(predicted, true, theta):
    """For each recall 1/G, 2/G, … the best precision of a threshold that reaches it; the mean of them."""
    if not true:
        return math.nan
    points = []
    for level in slow_levels(predicted):
        kept = [row for row in predicted if row[4] >= level[0][4]]
        points.append((slow_found(kept, true, theta), slow_pr(kept, true, theta)[0]))
    best = [max([p for found, p in points if found >= wanted], default=0) for wanted in range(1, len(true) + 1)]
    return sum(best, Fraction(0)) / len(true)


def slow_f1(predicted, true, theta):
    precision, recall = slow_pr(predicted, true, theta)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


# Rows of different identity even where they are equal: the id is in the confidence, or the rows are unlike.


def rows(count, levels=4):
    one = st.tuples(
        st.integers(0, 1), st.integers(0, 2), st.integers(0, 12), st.integers(1, 8), st.integers(0, levels - 1)
    )
    return st.lists(one.map(lambda r: (r[0], r[1], r[2], r[2] + r[3], r[4] / 8)), max_size=count, unique=True)


truths = rows(8, levels=1)
THETA = st.sampled_from([Fraction(step, 20) for step in range(1, 21)])


@QUICK
@given(rows(14), truths, THETA)
def test_both_rules_and_f1_are_those_of_the_slow_references(predicted, true, theta):
    ours, theirs = segments(predicted), segments(true)
    assert official_ap(ours, theirs, float(theta)) == pytest.approx(float(slow_official(predicted, true, theta)))
    assert voc_ap(ours, theirs, float(theta)) == pytest.approx(float(slow_voc(predicted, true, theta)), nan_ok=True)
    assert f1(ours, theirs, float(theta)) == pytest.approx(float(slow_f1(predicted, true, theta)))


def slow_figures(predicted, true, theta, classes):
    def mean(rule, column, groups):
        parts = [([r for r in predicted if r[column] == g], [r for r in true if r[column] == g]) for g in groups]
        return float(np.mean([float(rule(mine, theirs, theta)) for mine, theirs in parts]))

    return {
        "map_a_voc": mean(slow_voc, 1, {row[1] for row in true}),
        "map_v_official": mean(slow_official, 0, {row[0] for row in true}),
        "map_a_official": mean(slow_official, 1, range(classes)),
        "ap_official": float(slow_official(predicted, true, theta)),
        "ap_2d_official": float(
            np.mean([float(slow_official(predicted, true, Fraction(s, 20))) for s in range(1, 21)])
        ),
        "f1_official": float(slow_f1(predicted, true, theta)),
    }


@settings(deadline=None, max_examples=25)
@given(rows(12), truths.filter(bool), THETA, st.randoms(use_true_random=False))
def test_every_figure_is_the_slow_one_whatever_the_order(predicted, true, theta, random):
    slow = slow_figures(predicted, true, theta, 4)
    assert next(iter(slow)) == "map_a_voc"
    random.shuffle(predicted)
    random.shuffle(true)
    figures = detection_metrics(segments(predicted), segments(true), float(theta), 4)
    assert list(figures) == list(slow)
    assert figures == pytest.approx({name: 100 * value for name, value in slow.items()})


@QUICK
@given(rows(14, levels=2), truths.filter(bool), st.randoms(use_true_random=False))
def test_shuffling_changes_no_bit(predicted, true, random):
    before = detection_metrics(segments(predicted), segments(true), 0.5, 3)
    random.shuffle(predicted)
    assert detection_metrics(segments(predicted), segments(true), 0.5, 3) == before


@QUICK
@given(truths.filter(bool), st.sampled_from(THETAS))
def test_a_perfect_detector_scores_1_under_every_rule(true, theta):
    classes = sorted({row[1] for row in true})
    dense = [(video, classes.index(label), start, stop, 0.5 + start / 100) for video, label, start, stop, _ in true]
    figures = detection_metrics(segments(dense), segments(dense), theta, len(classes))
    assert figures == pytest.approx(dict.fromkeys(figures, 100.0))


# Answers worked out by hand: three actions of one class in one video.

TRUE = segments([(0, 0, 0, 10, 1.0), (0, 0, 20, 30, 1.0), (0, 0, 40, 50, 1.0)])


def hits(*marks):
    """Predictions in falling confidence: a number is the action that is found, None a wrong one."""
    starts = [100 if mark is None else 20 * mark for mark in marks]
    return segments([(0, 0, start, start + 10, 0.9 - 0.1 * rank) for rank, start in enumerate(starts)])


@pytest.mark.parametrize(
    ("marks", "voc", "official", "f"),
    [
        ((0, 1, 2), 1, 1, 1),
        ((), 0, 0, 0),
        ((None, None), 0, 0, 0),
        # Precision 1 at recall 1/3, 2/3 at 2/3. The script looks when 1 leaves (1/2 is left) and when 0 does.
        ((0, None, 1), 1 / 3 + 2 / 9, 4 / 9, 4 / 6),
        # Found twice: the second is a wrong one.
        ((0, 0, 1), 1 / 3 + 2 / 9, 2 / 3 * 1 / 3 + 1 / 3, 4 / 6),
        # The wrong one is the least confident: the script has forgotten it when 2 leaves.
        ((0, 1, 2, None), 1, 1, 6 / 7),
        # A wrong one between each two: when 1 leaves, 0 and a wrong one are left.
        ((0, None, 1, None, 2), 1 / 3 + 2 / 9 + 1 / 5, 3 / 5, 6 / 8),
        ((None, 0), 1 / 2 / 3, 1 / 2 / 3, 2 / 5),
        # Precision 1/2 at recall 1/3, but 2/3 at 2/3: both rules take the better one for the worse one, too.
        ((None, 0, 1), 4 / 9, 4 / 9, 4 / 6),
    ],
)
def test_small_cases_worked_out_by_hand(marks, voc, official, f):
    predicted = hits(*marks)
    assert voc_ap(predicted, TRUE, 0.5) == pytest.approx(voc)
    assert official_ap(predicted, TRUE, 0.5) == pytest.approx(official)
    assert f1(predicted, TRUE, 0.5) == pytest.approx(f)


def test_without_any_truth_there_is_no_recall():
    nothing = segments([])
    assert math.isnan(voc_ap(hits(0), nothing, 0.5))
    assert official_ap(hits(0), nothing, 0.5) == f1(hits(0), nothing, 0.5) == f1(nothing, nothing, 0.5) == 0


def test_a_class_without_truth_counts_as_0_in_the_official_mean_and_not_at_all_in_vocs():
    figures = detection_metrics(TRUE, TRUE, 0.5, 4)
    assert (figures["map_a_voc"], figures["map_a_official"]) == (100, 25)
    assert figures["map_v_official"] == figures["ap_official"] == 100


def test_equal_confidences_are_one_step():
    right = segments([(0, 0, 0, 10, 0.5), (0, 0, 20, 30, 0.5)])
    mixed = segments([(0, 0, 0, 10, 0.5), (0, 0, 70, 80, 0.5)])
    one = segments([(0, 0, 0, 10, 1.0)])
    assert voc_ap(mixed, one, 0.5) == official_ap(mixed, one, 0.5) == 0.5, "not 1, nor 1/2 by their order"
    assert voc_ap(right, TRUE, 0.5) == official_ap(right, TRUE, 0.5) == pytest.approx(2 / 3)


@pytest.mark.parametrize("theta", [*THETAS, 0.1 * 3, 3 * 0.05, 0.7, 1 - 0.7])
def test_an_overlap_of_exactly_theta_is_enough(theta):
    # A prediction of n frames inside an action of 1,000 overlaps it by n / 1,000.
    frames = round(theta * 1000)
    action = segments([(0, 0, 5, 1005, 1.0)])
    assert voc_ap(segments([(0, 0, 5, 5 + frames, 0.5)]), action, theta) == 1
    assert voc_ap(segments([(0, 0, 5, 4 + frames, 0.5)]), action, theta) == 0


def test_stop_is_the_frame_after_the_last():
    ten = segments([(0, 0, 0, 10, 1.0)])
    assert nearest(segments([(0, 0, 0, 5, 1.0)]), ten)[1].tolist() == [0.5]
    assert nearest(segments([(0, 0, 10, 20, 1.0)]), ten)[0].tolist() == [-1], "next to each other is not shared"
    assert nearest(segments([(0, 0, 9, 19, 1.0)]), ten)[1].tolist() == [1 / 19]


def test_only_actions_of_the_same_class_and_video_match():
    for other in ((1, 0, 0, 10, 0.5), (0, 1, 0, 10, 0.5)):
        assert voc_ap(segments([other]), TRUE, 0.05) == official_ap(segments([other]), TRUE, 0.05) == 0


def test_a_prediction_belongs_to_the_action_that_it_overlaps_most_even_if_that_one_is_found():
    true = segments([(0, 0, 0, 100, 1.0), (0, 0, 0, 60, 1.0)])
    twice = segments([(0, 0, 0, 90, 0.9), (0, 0, 0, 85, 0.8)])
    assert nearest(twice, true)[0].tolist() == [0, 0]
    assert voc_ap(twice, true, 0.5) == 0.5


def test_half_overlaps_of_two_neighbours_go_to_the_later_one():
    halves = segments([(0, 0, 10, 20, 1.0), (0, 0, 0, 10, 1.0)])
    both = segments([(0, 0, 0, 20, 1.0)])
    assert nearest(both, halves)[0].tolist() == [0]
    assert nearest(both, halves.take(np.array([1, 0])))[0].tolist() == [1]


def test_an_action_that_stands_there_twice_can_be_found_once():
    twice = segments([(0, 0, 0, 10, 1.0), (0, 0, 0, 10, 1.0)])
    assert voc_ap(twice, twice, 0.5) == official_ap(twice, twice, 0.5) == 0.25, "one of two, by one of two"


@pytest.mark.parametrize("videos", [1, 100])
def test_ten_thousand_predictions_of_three_thousand_actions_take_a_second_or_two(videos):
    rng = np.random.default_rng(0)

    def many(count):
        start = rng.integers(0, 100_000, count)
        length = rng.integers(10, 200, count)
        return Segments(
            rng.integers(0, videos, count), rng.integers(0, 51, count), start, start + length, rng.random(count)
        )

    predicted, true = many(10_000), many(3_000)
    began = time.process_time()
    figures = detection_metrics(predicted, true, 0.5, 51)
    assert time.process_time() - began < 5
    assert all(0 <= value < 50 for value in figures.values())
