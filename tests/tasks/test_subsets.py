import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.errors import ConfigError
from pcm3.settings.tasks import SubsetSettings
from pcm3.tasks.subsets import labelled_subset

SHARES = (0.01, 0.05, 0.1, 0.2)
quick = settings(deadline=None, max_examples=40)
labels = st.lists(st.integers(0, 5), min_size=1, max_size=300).map(lambda made: np.array(made, np.int64))
seeds = st.integers(0, 5)


def counts(label):
    return dict(zip(*(column.tolist() for column in np.unique(label, return_counts=True)), strict=True))


@quick
@given(labels, st.sampled_from([*SHARES, 0.5, 1.0]), st.sampled_from(["global", "stratified"]), seeds)
def test_a_subset_holds_places_of_the_training_clips_each_once_and_in_order(label, share, kind, seed):
    places = labelled_subset(label, share, kind, seed)
    assert places.dtype == np.int64
    assert (np.diff(places) > 0).all()
    assert 0 <= places.min() <= places.max() < len(label)


@quick
@given(st.integers(1, 500), st.sampled_from([*SHARES, 0.29, 0.58, 1.0]), seeds)
def test_a_global_subset_is_the_share_rounded_down_but_one_clip(clips, share, seed):
    percent = round(100 * share)
    assert len(labelled_subset(np.zeros(clips, np.int64), share, "global", seed)) == max(clips * percent // 100, 1)


@pytest.mark.parametrize(("clips", "share", "expected"), [(100, 0.29, 29), (40091, 0.01, 400), (37646, 0.1, 3764)])
def test_global_sizes_are_those_of_the_released_code(clips, share, expected):
    assert len(labelled_subset(np.zeros(clips, np.int64), share, "global", 0)) == expected


@quick
@given(labels, st.sampled_from(SHARES), seeds)
def test_a_stratified_subset_has_the_share_of_each_class_and_at_least_one(label, share, seed):
    taken = counts(label[labelled_subset(label, share, "stratified", seed)])
    assert taken == {one: max(round(share * count), 1) for one, count in counts(label).items()}


@quick
@given(labels, seeds, st.sampled_from(["global", "stratified"]), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_smaller_share_lies_in_a_larger_one_of_the_same_seed(label, seed, kind, one, other):
    smaller = labelled_subset(label, min(one, other), kind, seed)
    assert set(smaller) <= set(labelled_subset(label, max(one, other), kind, seed))


def test_the_whole_is_all_of_it():
    label = np.arange(50) % 7
    for kind in ("global", "stratified"):
        np.testing.assert_array_equal(labelled_subset(label, 1.0, kind, 3), np.arange(50))


def test_a_subset_follows_from_its_seed_and_every_clip_has_its_turn():
    label = np.arange(200) % 4
    for kind in ("global", "stratified"):
        drawn = [labelled_subset(label, 0.1, kind, seed) for seed in range(100)]
        np.testing.assert_array_equal(drawn[5], labelled_subset(label, 0.1, kind, 5))
        often = np.bincount(np.concatenate(drawn), minlength=200)
        assert often.mean() == 10
        # Of 100 draws with a chance of 1/10 each: variance 9.
        assert often.var() == pytest.approx(9, rel=0.4)
        assert often.min() > 0


def test_a_global_subset_may_lose_a_class_that_a_stratified_one_keeps():
    label = np.array([0] * 99 + [1])
    lost = [1 not in label[labelled_subset(label, 0.1, "global", seed)] for seed in range(20)]
    assert any(lost)
    assert all(1 in label[labelled_subset(label, 0.1, "stratified", seed)] for seed in range(20))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="more than 0 and at most 1"):
        labelled_subset(np.zeros(5, np.int64), share, "global", 0)
    with pytest.raises(ConfigError, match=r"subset\.shares"):
        SubsetSettings(shares=[0.1, share]).check()


def test_the_defaults_are_the_protocols():
    assert SubsetSettings() == SubsetSettings(shares=list(SHARES), kinds=["global", "stratified"])
    SubsetSettings().check()
