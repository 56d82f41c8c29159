"""Two kinds of features beside each other, against what is counted clip by clip."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pcm3.api.expectation import FOLDS, folds_of
from pcm3.api.teaching import STRENGTH, directions
from pcm3.web import comparison
from pcm3.web.comparison import compare, difference_interval, folds
from pcm3.web.guesses import guess


def made(clips=60, classes=4, people=6, seed=0):
    """Two kinds of features of the same clips: good ones, and poor ones."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, clips).astype(np.int32)
    subject = (np.arange(clips) % people).astype(np.int32)
    good = np.eye(classes, 7)[label] + 0.4 * rng.normal(size=(clips, 7))
    poor = np.eye(classes, 5)[label] + 2.0 * rng.normal(size=(clips, 5))
    return (good.astype(np.float32), poor.astype(np.float32)), label, subject


def units(features):
    return tuple(rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in features)


def compared(features, label, subject):
    linear = np.stack([guess(directions(rows), label, subject).label for rows in features])
    return compare(units(features), linear, label, subject, lambda: None)


def by_hand(features, label, subject, k=10):
    """Share of common neighbours, and what linear and 1-NN tell of each clip, one clip at a time in float64."""
    count = len(label)
    rows = [np.float64(one) / np.linalg.norm(np.float64(one), axis=1, keepdims=True) for one in features]
    near = [[set(sorted((j for j in range(count) if j != i), key=lambda j: -of[i] @ of[j])[:k]) for i in range(count)]
            for of in rows]  # fmt: skip
    kept = [len(a & b) / k for a, b in zip(*near, strict=True)]
    says = {"linear": np.full((2, count), -1), "1-NN": np.full((2, count), -1)}
    known = np.flatnonzero(label >= 0)
    for fold in folds_of(label[known], subject[known], FOLDS):
        train, test = (known[side] for side in fold)
        for side, one in enumerate(features):
            for clip in test:
                says["1-NN"][side, clip] = label[max(train, key=lambda j: rows[side][clip] @ rows[side][j])]
            of = directions(one)
            wanted = np.eye(label.max() + 1)[label[train]]
            scores = Ridge(alpha=STRENGTH, fit_intercept=False).fit(of[train], wanted).predict(of[test])
            says["linear"][side, test] = scores.argmax(axis=1)
    return np.array(kept), says


@pytest.mark.parametrize("unlabelled", [0, 15])
def test_all_figures_are_those_counted_clip_by_clip(unlabelled):
    features, label, subject = made()
    label[:unlabelled] = -1
    found = compared(features, label, subject)
    kept, says = by_hand(features, label, subject)
    np.testing.assert_allclose(found.kept, kept)
    known = label >= 0
    assert found.clips == known.sum()
    assert found.people == 6
    right = found.classifiers[1].label[:, known] == label[known]
    assert found.classifiers[1].interval == difference_interval(right, subject[known])
    for one in found.classifiers:
        np.testing.assert_array_equal(one.label[:, known], says[one.name][:, known])
        np.testing.assert_allclose(one.correct, 100 * (says[one.name][:, known] == label[known]).mean(axis=1))
    assert [one.name for one in found.classifiers] == ["linear", "1-NN"]
    assert found.classifiers[0].correct[0] > found.classifiers[0].correct[1] + 20
    assert found.most_frequent == 100 * np.bincount(label[known]).max() / known.sum()
    assert found.by_chance == 10 / 59


def test_clips_whose_neighbours_changed_most_come_first():
    features, label, subject = made()
    moved = features[0].copy()
    moved[[7, 31]] = -moved[[7, 31]]
    found = compared((features[0], moved), label, subject)
    assert set(found.changed[:2].tolist()) == {7, 31}
    assert (np.diff(found.kept[found.changed]) >= 0).all()
    same = compared((features[0], features[0].copy()), label, subject)
    assert (same.kept == 1).all()
    assert same.classifiers[1].interval == (0, 0)


def test_nobody_is_judged_by_what_the_same_person_taught():
    """Each person has a class of their own; whoever did not see them cannot tell it."""
    features, _, subject = made()
    own = np.eye(6, dtype=np.float32)[subject] * 9
    both = tuple(np.concatenate([rows, own], axis=1) for rows in features)
    found = compared(both, subject, subject)
    assert [one.correct for one in found.classifiers] == [(0, 0), (0, 0)]


def test_where_there_are_many_clips_some_are_looked_at_among_all(monkeypatch):
    features, label, subject = made()
    whole = compared(features, label, subject)
    monkeypatch.setattr(comparison, "MOST", 20)
    some = compared(features, label, subject)
    looked = np.sort(some.changed)
    assert len(looked) == some.clips == 20
    np.testing.assert_array_equal(some.kept[looked], whole.kept[looked])
    assert np.isnan(some.kept[np.setdiff1d(np.arange(60), looked)]).all()
    np.testing.assert_array_equal(some.classifiers[1].label[:, looked], whole.classifiers[1].label[:, looked])


def test_where_there_are_no_labels_nothing_is_judged_and_neighbours_are_compared_all_the_same():
    features, label, subject = made()
    for known in (np.full(60, -1), np.where(label == 0, 0, -1)):
        found = compared(features, known.astype(np.int32), subject)
        assert (found.classifiers, found.clips, found.people) == ((), 0, 0)
        assert np.isfinite(found.kept).all()
        assert (folds(known, subject) == -1).all()


def test_where_one_person_is_not_known_folds_and_intervals_are_of_clips():
    features, label, subject = made(120)
    subject[3] = -1
    found = compared(features, label, subject)
    right = found.classifiers[1].label == label
    assert (found.people, found.clips) == (0, 120)
    assert found.classifiers[1].interval == difference_interval(right, np.arange(120))
    assert len(set(folds(label, subject)[subject == 2].tolist())) > 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_few_clips_are_compared_too(count):
    features, label, subject = made(count)
    found = compared(features, label, subject)
    assert len(found.changed) == count
    assert found.k == count - 1


def test_an_interval_is_that_of_people_drawn_anew_and_not_of_clips():
    """Ten people of whom all clips change together: as uncertain as ten clips are."""
    who = np.repeat(np.arange(10), 30)
    gained = np.repeat([True, False] * 5, 30)
    right = np.stack([np.zeros(300, bool), gained])
    low, high = difference_interval(right, who)
    spread = 100 * np.sqrt(0.25 / 10)  # of a share of one half among ten
    assert low == pytest.approx(50 - 1.96 * spread, abs=6)
    assert high == pytest.approx(50 + 1.96 * spread, abs=6)
    clips = difference_interval(right, np.arange(300))
    assert clips[1] - clips[0] < (high - low) / 3
    assert difference_interval(right, np.repeat(np.arange(4), 75)) is None
