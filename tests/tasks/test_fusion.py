import math

import numpy as np
import pytest

from pcm3.errors import DataError
from pcm3.tasks.fusion import fusion

FIGURES = [
    "top1",
    "top1_logits_664",
    "top1_scores_equal",
    "top1_scores_664",
    "top1_joint",
    "top1_bone",
    "top1_motion",
]


def array(rows):
    return np.array(rows, np.float32)


def softmax(row):
    raised = [math.exp(value - max(row)) for value in row]
    return [value / sum(raised) for value in raised]


def slow_top1(logits, label, weights, rule):
    right = 0
    for clip, true in enumerate(label):
        total = [0.0] * len(logits["joint"][clip])
        for name, weight in weights.items():
            row = [float(value) for value in logits[name][clip]]
            for place, value in enumerate(softmax(row) if rule == "scores" else row):
                total[place] += weight * value
        right += total.index(max(total)) == true
    return 100 * right / len(label)


def test_fusion_is_the_weighted_sum_by_hand():
    rng = np.random.default_rng(0)
    logits = {name: rng.normal(scale=3, size=(60, 5)).astype(np.float32) for name in ("joint", "bone", "motion")}
    label = rng.integers(0, 5, 60)
    for rows in logits.values():
        rows[np.arange(60), label] += 2
    found = fusion(logits, label)
    assert list(found.metrics) == FIGURES
    equal, weighted = dict.fromkeys(logits, 1.0), {"joint": 0.6, "bone": 0.6, "motion": 0.4}
    for rule in ("logits", "scores"):
        name = "top1" if rule == "logits" else "top1_scores_equal"
        assert found.metrics[name] == pytest.approx(slow_top1(logits, label, equal, rule))
        assert found.metrics[f"top1_{rule}_664"] == pytest.approx(slow_top1(logits, label, weighted, rule))
    for name, rows in logits.items():
        assert found.metrics[f"top1_{name}"] == pytest.approx(100 * np.mean(rows.argmax(axis=1) == label))
    assert found.top1 == found.best_top1 > found.metrics["top1_joint"]
    np.testing.assert_allclose(found.logits, sum(logits.values()), rtol=1e-5)
    np.testing.assert_array_equal(found.predicted, found.logits.argmax(axis=1))


def test_one_loud_stream_wins_among_logits_and_not_among_scores():
    logits = {"joint": array([[90, 0]]), "bone": array([[0, 5]]), "motion": array([[0, 5]])}
    figures = fusion(logits, np.array([1])).metrics
    assert (figures["top1"], figures["top1_scores_equal"]) == (0, 100)


def test_the_weights_decide_where_motion_disagrees():
    logits = {"joint": array([[1, 0]]), "bone": array([[0, 0]]), "motion": array([[0, 1.2]])}
    figures = fusion(logits, np.array([0])).metrics
    assert (figures["top1"], figures["top1_logits_664"]) == (0, 100)


def test_large_logits_harm_no_softmax():
    logits = {name: array([[1e38, -1e38]]) for name in ("joint", "bone", "motion")}
    assert fusion(logits, np.array([0])).metrics["top1_scores_664"] == 100


def test_two_streams_are_summed_as_three():
    logits = {"joint": array([[0, 1]]), "bone": array([[0.5, 0]])}
    figures = fusion(logits, np.array([1])).metrics
    assert figures["top1"] == 100
    assert "top1_motion" not in figures


def test_streams_that_do_not_belong_together_are_refused():
    rows = np.zeros((3, 2), np.float32)
    with pytest.raises(DataError, match="same 3 test clips"):
        fusion({"joint": rows, "bone": np.zeros((4, 2), np.float32)}, np.zeros(3, np.int64))
    with pytest.raises(DataError, match="same 4 test clips"):
        fusion({"joint": rows}, np.zeros(4, np.int64))
    with pytest.raises(DataError, match=r"joint, bone, motion.*got none"):
        fusion({}, np.zeros(3, np.int64))
    with pytest.raises(DataError, match="got depth"):
        fusion({"depth": rows}, np.zeros(3, np.int64))
