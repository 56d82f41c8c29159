"""Few labels on frozen features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pcm3.errors import ConfigError
from pcm3.tasks.few_labels import DRAWS, few_label_accuracy
from pcm3.tasks.subsets import labelled_subset


@pytest.fixture(scope="module")
def features():
    """60 training and 40 test features of 3 classes that overlap, in dimensions of very different size."""
    rng = np.random.default_rng(3)
    label = np.arange(100) % 3
    centres = rng.normal(size=(3, 6))
    of = (centres[label] + 0.8 * rng.normal(size=(100, 6))) * np.array([1, 1, 100, 0.01, 1, 1])
    return of[:60], label[:60], of[60:], label[60:]


def test_it_is_the_mean_over_draws_of_logistic_regression_on_standardised_features(features):
    train, label, test, truth = features
    mean, spread = train.mean(axis=0), train.std(axis=0)
    right = []
    for seed in range(2 * DRAWS, 3 * DRAWS):
        known = labelled_subset(label, 0.2, "stratified", seed)
        head = LogisticRegression(C=0.01, class_weight="balanced").fit((train[known] - mean) / spread, label[known])
        right += (head.predict((test - mean) / spread) == truth).tolist()
    found = few_label_accuracy(train, label, test, truth, 0.2, "stratified", 2)
    assert found == pytest.approx(100 * np.mean(right))
    assert 40 < found < 100
    assert few_label_accuracy(train, label, test, truth, 0.2, "stratified", 3) != found, "another seed, other clips"


def test_labels_that_are_not_known_change_nothing(features):
    train, label, test, truth = features
    others = label.copy()
    known = np.unique(np.concatenate([labelled_subset(label, 0.2, "global", draw) for draw in range(DRAWS)]))
    unknown = np.setdiff1d(np.arange(60), known)
    assert len(unknown)
    others[unknown] = 0
    args = test, truth, 0.2, "global", 0
    assert few_label_accuracy(train, others, *args) == few_label_accuracy(train, label, *args)


def test_one_clip_of_many_classes_is_no_matter_to_speak_of():
    rng = np.random.default_rng(0)
    label = np.tile(np.arange(30), 2)
    centres = rng.normal(size=(30, 40))
    of = centres[label] + 0.05 * rng.normal(size=(60, 40))
    assert few_label_accuracy(of, label, of, label, 0.1, "stratified", 0) > 95  # a warning would be an error


def test_of_fewer_clips_than_coordinates_it_is_the_same_head():
    rng = np.random.default_rng(1)
    label = np.arange(200) % 4
    of = 0.3 * rng.normal(size=(4, 300))[label] + rng.normal(size=(200, 300))
    train, test = of[:100], of[100:]
    scaled = (train - train.mean(axis=0)) / train.std(axis=0), (test - train.mean(axis=0)) / train.std(axis=0)
    right = []
    for seed in range(DRAWS):
        known = labelled_subset(label[:100], 0.2, "stratified", seed)
        head = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300, tol=1e-8).fit(
            scaled[0][known], label[:100][known]
        )
        right += (head.predict(scaled[1]) == label[100:]).tolist()
    found = few_label_accuracy(train, label[:100], test, label[100:], 0.2, "stratified", 0)
    assert found == pytest.approx(100 * np.mean(right), abs=0.5)  # of 500, two that lie between classes
    assert 30 < found < 100


def test_where_one_clip_is_known_its_class_is_told_of_all(features):
    train, label, test, truth = features
    told = [np.mean(truth == label[labelled_subset(label, 0.01, "global", draw)[0]]) for draw in range(DRAWS)]
    assert few_label_accuracy(train, label, test, truth, 0.01, "global", 0) == pytest.approx(100 * np.mean(told))


def test_a_share_that_is_none_is_refused(features):
    with pytest.raises(ConfigError, match="share"):
        few_label_accuracy(*features, 1.5, "stratified", 0)


def test_a_second_clip_of_some_classes_does_not_take_the_others_from_theirs():
    """10 % of 14 clips is one, of 16 two: where all have one (1 %) fewer labels are known, and no more may be right."""
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(20), np.where(np.arange(20) % 2, 14, 16))
    centres = rng.normal(size=(20, 50))
    train, test = (0.6 * centres[label] + rng.normal(size=(len(label), 50)) for _ in range(2))
    one, some = (few_label_accuracy(train, label, test, label, share, "stratified", 0) for share in (0.01, 0.1))
    assert 20 < one < 60
    assert some > one
