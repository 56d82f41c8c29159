import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from pcm3.web import clusters as found


def grouped(groups, each=30, width=12, noise=0.05, seed=0):
    """Rows of length 1 around so many directions, as many of each, and the direction of each."""
    rng = np.random.default_rng(seed)
    number = np.arange(groups * each) % groups
    middle = rng.normal(size=(groups, width))
    rows = middle[number] / np.linalg.norm(middle, axis=1)[number, None] + noise * rng.normal(size=(len(number), width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), number


def same_groups(one, other):
    return (
        len(set(zip(one.tolist(), other.tolist(), strict=True))) == len(set(one.tolist())) == len(set(other.tolist()))
    )


@pytest.mark.parametrize("groups", [4, 8, 12])
def test_groups_that_are_there_are_found_with_their_number(groups):
    rows, number = grouped(groups)
    got = found.clusters(rows, lambda: None)
    assert (got.shape, got.dtype) == ((len(rows), 1), np.float32)
    assert same_groups(got[:, 0], number)


def test_of_many_clips_some_are_looked_at_and_the_others_belong_to_the_nearest(monkeypatch):
    rows, number = grouped(6, each=50)
    monkeypatch.setattr(found, "MOST", 90)
    monkeypatch.setattr(found, "SILHOUETTE_CLIPS", 60)
    assert same_groups(found.clusters(rows, lambda: None)[:, 0], number)


def test_the_most_clusters_with_a_silhouette_near_the_best_are_taken(monkeypatch):
    rows, _ = grouped(9, noise=0.5)
    number = int(found.clusters(rows, lambda: None).max()) + 1
    silhouettes = {}
    for count in found.NUMBERS:
        silhouettes[count] = silhouette_score(rows, found._fitted(found.components(rows, 50), count, 1, 0).labels_)
    near = [count for count, value in silhouettes.items() if value >= 0.85 * max(silhouettes.values())]
    assert number == max(near)
    assert len(near) > 1


@pytest.mark.parametrize("rows", [np.ones((1, 3)), np.ones((60, 3)), np.eye(5)])
def test_few_clips_or_clips_that_are_all_the_same_are_one_cluster(rows):
    assert (found.clusters(rows.astype(np.float32), lambda: None) == 0).all()


def test_clusters_are_numbered_by_their_size():
    assert found.by_size(np.array([5, 2, 2, 9, 9, 9])).tolist() == [2, 1, 1, 0, 0, 0]
