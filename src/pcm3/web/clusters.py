"""Groups of clips that lie together by their features, found without any label."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32, Int
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score

from pcm3.web.maps import components

NUMBERS = (4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 32, 40, 50)
"""Of clusters, among which one is chosen."""
ENOUGH = 0.85
"""The most clusters are taken whose silhouette is so large a share of the best one's."""
MOST = 5_000
"""Clips that clusters are found of; of more, as many are drawn, and the others belong to the nearest centre."""
SILHOUETTE_CLIPS = 2_000
"""Of these, whose silhouettes are looked at."""
KEPT = 50
"""Principal components that are looked at."""
STARTS = 5
"""Of the k-means that is kept; the least inertia counts."""


def clusters(units: Float[np.ndarray, "N D"], pause: Callable[[], None], seed: int = 0) -> Float32[np.ndarray, "N 1"]:
    """The cluster of each clip, from 0 on, the largest first.

    k-means on the first 50 principal components, with the largest number of clusters whose mean silhouette (Rousseeuw
    1987) is at least 85 % of the best number's: the silhouette alone falls for few large groups.

    Args:
        units: features as rows of length 1.
        pause: is called before every k-means; what it raises ends the work.
        seed: of the draws and the starts.
    """
    reduced, count = components(units, KEPT), len(units)
    rng = np.random.default_rng(seed)
    drawn = reduced if count <= MOST else reduced[np.sort(rng.choice(count, MOST, replace=False))]
    sampled = rng.permutation(len(drawn))[:SILHOUETTE_CLIPS]
    silhouettes: dict[int, float] = {}
    for number in NUMBERS:
        if 2 * number > len(sampled):
            break
        pause()
        label = _fitted(drawn, number, 1, seed).labels_[sampled]
        if 1 < len(np.unique(label)) < len(label):
            silhouettes[number] = float(silhouette_score(drawn[sampled], label))
    if not silhouettes:
        return np.zeros((count, 1), np.float32)
    least = ENOUGH * max(silhouettes.values())
    number = max(number for number, silhouette in silhouettes.items() if silhouette >= least)
    pause()
    return by_size(_fitted(drawn, number, STARTS, seed).predict(reduced)).astype(np.float32)[:, None]


def by_size(label: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """The same groups, numbered from the largest to the smallest."""
    _, number, count = np.unique(label, return_inverse=True, return_counts=True)
    place = np.empty(len(count), np.int64)
    place[np.argsort(-count, kind="stable")] = np.arange(len(count))
    return place[number]


def _fitted(rows: Float[np.ndarray, "G K"], number: int, starts: int, seed: int) -> KMeans:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # that fewer clips differ than there are clusters
        return KMeans(number, n_init=starts, random_state=seed).fit(rows)
