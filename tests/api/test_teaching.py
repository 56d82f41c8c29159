import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.api import teaching
from pcm3.api.teaching import directions, expected, next_clips, teach


def blobs(sizes=(40, 30, 5), width=6, noise=0.15, seed=0):
    """Rows of clips of as many kinds as there are sizes."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(sizes)), sizes)
    features = np.eye(width)[label] + noise * rng.normal(size=(len(label), width))
    return directions(features.astype(np.float32)), label


def test_directions_have_length_1_and_the_same_spread_whatever_the_scale_of_a_column():
    features = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    rows = directions(features)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(directions(features * [1, 10, 0.1, 5] + 3), rows, atol=1e-4)
    assert np.isfinite(directions(np.ones((3, 2), np.float32))).all()


@pytest.mark.parametrize("count", [2, 20])
def test_it_is_ridge_regression_of_the_classes(count):
    rows, label = blobs()
    labelled = np.random.default_rng(1).choice(np.flatnonzero(label < 2), count, replace=False)
    labelled[:2] = 0, 41
    x, y = rows[labelled].astype(np.float64), np.eye(2)[label[labelled]]
    weights = np.linalg.solve(x.T @ x + teaching.STRENGTH * np.eye(x.shape[1]), x.T @ y)
    scores = np.sort(rows @ weights, axis=1)
    taught = teach(rows, labelled, label[labelled] + 5)
    np.testing.assert_allclose(taught.margin, scores[:, 1] - scores[:, 0], atol=1e-5)
    np.testing.assert_array_equal(taught.label, (rows @ weights).argmax(axis=1) + 5)


def test_the_next_clip_is_the_one_of_the_largest_gain_written_down_clip_by_clip():
    rows, label = blobs((5, 4, 3), noise=0.5)
    labelled = np.array([0, 6])
    taught = teach(rows, labelled, label[labelled])

    def covered(chosen):
        total = 0.0
        for clip, row in enumerate(rows.astype(np.float64)):
            stand = max((np.exp((row @ rows[one] - 1) / teaching.WIDTH) for one in chosen), default=0.0)
            total += (1 - min(max(taught.margin[clip], 0), 1)) * stand
        return total

    chosen = list(labelled)
    for found in next_clips(rows, labelled, taught, 3):
        gains = [covered([*chosen, clip]) if clip not in chosen else -1 for clip in range(len(rows))]
        assert found == np.argmax(gains)
        chosen.append(found)


@pytest.mark.parametrize("most", [3_000, 25])
def test_every_kind_is_asked_for_before_the_second_of_a_common_one(monkeypatch, most):
    monkeypatch.setattr(teaching, "MOST", most)
    rows, label = blobs((40, 22, 22), width=3, noise=0.05)
    assert set(label[next_clips(rows, np.array([], int), None, 3)]) == {0, 1, 2}


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 20), st.integers(0, 9))
def test_clips_that_have_a_label_are_never_asked_for_and_none_twice(clips, known, count, seed):
    rng = np.random.default_rng(seed)
    rows = directions(rng.normal(size=(clips, 3)).astype(np.float32))
    labelled = rng.permutation(clips)[:known]
    taught = teach(rows, labelled, labelled % 3) if len(labelled) else None
    found = next_clips(rows, labelled, taught, count)
    assert len(set(found)) == len(found) == min(count, clips - len(labelled))
    assert not set(found) & set(labelled)


def test_what_to_expect_is_cross_validated_over_people():
    rows, label = blobs((20, 20))
    subject, everything = np.arange(40) % 4, np.arange(40)
    assert expected(rows, everything, label, subject) == (100.0, 4)
    assert expected(rows, everything, subject, subject) == (0.0, 4)
    assert expected(rows, everything, label, np.full(40, -1)) == (100.0, 0)
    for few in (everything[:0], everything[:5], np.array([0, 30])):
        assert expected(rows, few, label[few], np.full(40, -1)) is None
