import numpy as np
import pytest

from pcm3.web import maps


def clusters(count=60, width=8, seed=0):
    rng = np.random.default_rng(seed)
    number = np.arange(count) % 3
    return (rng.normal(size=(count, width)) * 0.1 + 5 * np.eye(width)[number]).astype(np.float32), number


def test_pca_is_that_of_the_singular_values():
    features, _ = clusters()
    centred = (features - features.mean(axis=0)).astype(np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    wanted = u[:, :2] * s[:2] / np.sqrt((s[:2] ** 2).sum() / len(centred))
    got = maps.pca_map(features)
    signs = np.sign((got * wanted).sum(axis=0))
    np.testing.assert_allclose(got, wanted * signs, atol=1e-4)


@pytest.mark.parametrize("most", [5_000, 30])
def test_tsne_keeps_clusters_together_also_where_only_some_clips_are_placed_by_it(monkeypatch, most):
    monkeypatch.setattr(maps, "MOST_TSNE", most)
    features, number = clusters()
    places = maps.tsne_map(features)
    far = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(len(places))
    assert np.mean(number[far.argmin(axis=1)] == number) > 0.95
    assert places.dtype == np.float32
    np.testing.assert_array_equal(places, maps.tsne_map(features))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 4), (3, 1), (5, 4)])
def test_few_clips_or_clips_that_are_all_the_same_have_a_map(shape):
    for features in (np.ones(shape, np.float32), np.arange(np.prod(shape), dtype=np.float32).reshape(shape)):
        for places in (maps.pca_map(features), maps.tsne_map(features)):
            assert places.shape == (shape[0], 2)
            assert np.isfinite(places).all()


def test_nearest_rows_are_those_of_all_distances(monkeypatch):
    monkeypatch.setattr(maps, "BLOCK", 7)
    rng = np.random.default_rng(1)
    rows, among = rng.normal(size=(20, 4)), rng.normal(size=(15, 4))
    wanted = np.linalg.norm(rows[:, None] - among[None], axis=-1).argsort(axis=1)[:, :3]
    np.testing.assert_array_equal(np.sort(maps.nearest_rows(rows, among, 3)), np.sort(wanted))
