import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
from fastapi.testclient import TestClient

from pcm3.web import maps
from pcm3.web.routes import explorer_app


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
    monkeypatch.setattr(maps, "MOST_PLACED", most)
    features, number = clusters()
    places = maps.tsne_map(features)
    far = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(len(places))
    assert np.mean(number[far.argmin(axis=1)] == number) > 0.95
    assert places.dtype == np.float32
    np.testing.assert_array_equal(places, maps.tsne_map(features))


@pytest.mark.soak
def test_umap_keeps_clusters_together():
    pytest.importorskip("umap")
    features, number = clusters()
    places = maps.umap_map(features)
    far = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(len(places))
    assert np.mean(number[far.argmin(axis=1)] == number) > 0.95
    np.testing.assert_array_equal(places, maps.umap_map(features))
    for few in (np.ones((4, 3), np.float32), features[:3], features[:5]):
        assert np.isfinite(maps.umap_map(few)).all()


def test_umap_is_a_map_of_the_page_where_it_is_installed(explorer, monkeypatch):
    class Halved:
        """In the place of umap-learn, whose compiler takes a minute."""

        def __init__(self, **settings):
            self.settings = settings

        def fit_transform(self, rows):
            assert self.settings["n_neighbors"] < len(rows)
            assert self.settings["init"].shape == (len(rows), 2)
            return rows[:, :2] * [2, 1]

    stand_in = ModuleType("umap")
    stand_in.__spec__, stand_in.UMAP = ModuleSpec("umap", None), Halved
    monkeypatch.setitem(sys.modules, "umap", stand_in)
    explorer.mine.arrays["tsne"] = np.zeros((24, 2), np.float32)
    explorer.work()
    assert explorer.progress.stage == "done"
    client = TestClient(explorer_app(explorer))
    assert client.get("/api/status").json()["maps"] == [["pca", "tsne", "umap"]]
    places = np.frombuffer(client.get("/api/map/umap").content, np.float32).reshape(24, 2)
    wanted = maps.components(explorer.mine.features, 50)[:, :2] * [2, 1]
    np.testing.assert_allclose(places, wanted / np.sqrt((wanted**2).sum(axis=1).mean()), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 4), (3, 1), (5, 4)])
def test_few_clips_or_clips_that_are_all_the_same_have_a_map(shape):
    for features in (np.ones(shape, np.float32), np.arange(np.prod(shape), dtype=np.float32).reshape(shape)):
        for places in (maps.pca_map(features), maps.tsne_map(features)):
            assert places.shape == (shape[0], 2)
            assert np.isfinite(places).all()


def test_a_map_of_poses_is_that_of_all_clips_though_some_tell_the_plane(store, monkeypatch):
    whole = maps.pose_map(store)
    monkeypatch.setattr(maps, "MOST_PLACED", len(store) // 2)
    some = maps.pose_map(store)
    assert some.shape == whole.shape
    for axis in (0, 1):  # either may be mirrored
        assert abs(np.corrcoef(some[:, axis], whole[:, axis])[0, 1]) > 0.9


def test_nearest_rows_are_those_of_all_distances(monkeypatch):
    monkeypatch.setattr(maps, "BLOCK", 7)
    rng = np.random.default_rng(1)
    rows, among = rng.normal(size=(20, 4)), rng.normal(size=(15, 4))
    wanted = np.linalg.norm(rows[:, None] - among[None], axis=-1).argsort(axis=1)[:, :3]
    np.testing.assert_array_equal(np.sort(maps.nearest_rows(rows, among, 3)), np.sort(wanted))
