import numpy as np

from pcm3.api.teaching import directions
from pcm3.web.guesses import Confidence, guess


def people(clips=80, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    label, subject = np.arange(clips) % classes, np.arange(clips) // 8 % 5
    features = np.eye(classes)[label] + 0.05 * rng.normal(size=(clips, classes))
    return features.astype(np.float32), label.astype(np.int32), subject.astype(np.int32)


def test_clips_that_are_told_apart_are_told_right_and_a_wrong_label_is_seen():
    features, label, subject = people()
    wrong = label.copy()
    wrong[5] = (label[5] + 1) % 4
    found = guess(directions(features), wrong, subject)
    np.testing.assert_array_equal(found.label, label)
    assert found.correct == 100 * 79 / 80


def test_nobody_is_told_by_what_the_same_person_teaches():
    """Each person has a class of their own; whoever did not see them cannot tell it."""
    features, _, subject = people()
    own = np.eye(5)[subject].astype(np.float32)
    found = guess(directions(np.concatenate([features, own], axis=1)), subject, subject)
    assert found.correct == 0


def test_clips_without_a_label_are_told_by_all_others():
    features, label, _subject = people()
    some = np.where(np.arange(80) % 3 == 0, -1, label).astype(np.int32)
    found = guess(directions(features), some, np.full(80, -1, np.int32))
    np.testing.assert_array_equal(found.label, label)
    assert (found.confidence > 0.9).all()


def test_where_there_is_nothing_to_learn_nothing_is_said():
    features, label, subject = people()
    for known in (np.full(80, -1), np.where(label == 0, 0, -1), np.where(np.arange(80) < 2, label, -1)):
        found = guess(directions(features), known.astype(np.int32), subject)
        assert found.correct is None
        assert (found.label == -1).all()


def test_confidence_is_how_often_such_margins_were_right():
    rng = np.random.default_rng(0)
    margin = rng.uniform(0, 0.5, 4_000)
    right = rng.random(4_000) < 1 / (1 + np.exp(-(8 * margin - 1)))
    sure = Confidence.of(margin, right)
    asked = np.array([0.0, 0.1, 0.3, 0.5])
    np.testing.assert_allclose(sure(asked), 1 / (1 + np.exp(-(8 * asked - 1))), atol=0.04)
    few = Confidence.of(margin[:6], np.ones(6, bool))
    assert (few(asked) < 1).all()  # six of six do not prove that it is never wrong
    np.testing.assert_allclose(few(asked), 7 / 8, atol=0.01)
