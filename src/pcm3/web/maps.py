"""Maps: features of clips as points in a plane, so that clips that the model finds alike lie near each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from jaxtyping import Float, Float32, Int
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from pcm3.data.store import ClipStore

MAPS = ("pca", "tsne", "umap")
"""Their names, in the order in which they come."""
MOST_PLACED = 5_000
"""Clips that t-SNE and UMAP place; of more, as many are drawn, and the others lie among their nearest of these."""
POSES = "poses"
"""What the page calls the map that is there before the model has encoded the clips."""
NEAREST = 3
"""Placed clips among which another one lies."""
KEPT = 50
"""Principal components that t-SNE sees."""
BLOCK = 2_000
"""Rows whose distances are taken at a time."""


def pca_map(features: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N 2"]:
    """The first two principal components, scaled to a spread of 1 together."""
    return _scaled(components(features, 2))


def pose_map(store: ClipStore) -> Float32[np.ndarray, "N 2"]:
    """The same of how people stand at the beginning, in the middle and at the end of each clip: no model is asked. The
    components are those of at most some `MOST_PLACED` clips, since somebody waits for it.
    """
    length = store.length.astype(np.int64)
    places = store.start.astype(np.int64)[:, None] + np.stack([0 * length, length // 2, length - 1], axis=1)
    poses = np.asarray(store.frames[places], np.float32).reshape(len(length), -1)
    return _scaled(components(poses, 2, taught_by=poses[:: -(-len(poses) // MOST_PLACED)])).astype(np.float32)


def tsne_map(features: Float[np.ndarray, "N D"], seed: int = 0) -> Float[np.ndarray, "N 2"]:
    """t-SNE of the first 50 principal components, scaled likewise.

    Args:
        features: of the clips.
        seed: which clips are drawn where there are more than `MOST_PLACED`, and where t-SNE begins.
    """

    def place(drawn: Float[np.ndarray, "G K"]) -> Float[np.ndarray, "G 2"]:
        perplexity = min(30.0, (len(drawn) - 1) / 3)
        placed = TSNE(perplexity=perplexity, init=_begin(drawn, seed), random_state=seed).fit_transform(drawn)
        return np.asarray(placed)

    return _placed(features, place, seed)


def has_umap() -> bool:
    """Whether umap-learn is installed."""
    return find_spec("umap") is not None


def umap_map(features: Float[np.ndarray, "N D"], seed: int = 0) -> Float[np.ndarray, "N 2"]:
    """UMAP (McInnes et al. 2018) of the same, with its usual settings; needs umap-learn. See `tsne_map`."""
    from umap import UMAP  # takes seconds

    def place(drawn: Float[np.ndarray, "G K"]) -> Float[np.ndarray, "G 2"]:
        near = min(15, len(drawn) - 1)
        return np.asarray(
            UMAP(n_neighbors=near, init=_begin(drawn, seed), random_state=seed, n_jobs=1).fit_transform(drawn)
        )

    return _placed(features, place, seed)


def _placed(
    features: Float[np.ndarray, "N D"], place: Callable[[Float[np.ndarray, "G K"]], Float[np.ndarray, "G 2"]], seed: int
) -> Float[np.ndarray, "N 2"]:
    """A map that a function makes of principal components, of as many clips as it can be given."""
    reduced = components(features, KEPT)
    count = len(reduced)
    if count < 4:
        return pca_map(features)
    drawn = np.arange(count)
    if count > MOST_PLACED:
        drawn = np.sort(np.random.default_rng(seed).choice(count, MOST_PLACED, replace=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of clips that are all the same
        places = place(reduced[drawn])
    if count == len(drawn):
        return _scaled(places)
    return _scaled(_among(reduced, reduced[drawn], places))


def turned_like(places: Float32[np.ndarray, "N 2"], wanted: Float32[np.ndarray, "N 2"]) -> Float32[np.ndarray, "N 2"]:
    """A map, turned and perhaps mirrored so that its clips lie as near as can be to where they lie on another one
    (orthogonal Procrustes); distances stay.
    """
    u, _, v = np.linalg.svd(places.astype(np.float64).T @ wanted.astype(np.float64))
    return np.asarray(places @ (u @ v), np.float32)


def _begin(reduced: Float[np.ndarray, "G K"], seed: int) -> Float[np.ndarray, "G 2"]:
    """Where they begin: a small PCA map in which no two clips lie at one place, which t-SNE's tree of places
    would not survive (scikit-learn's own start is not a number where all clips are the same, and the process dies).
    """
    noise = np.random.default_rng(seed).normal(size=(len(reduced), 2))
    return np.asarray(1e-4 * (_scaled(reduced[:, :2]) + 1e-2 * noise), np.float32)


def nearest_rows(rows: Float[np.ndarray, "Q D"], among: Float[np.ndarray, "G D"], k: int) -> Int[np.ndarray, "Q k"]:
    """Of each row the k nearest of others by Euclidean distance, in no order."""
    squares = (among**2).sum(axis=1)
    neighbours = []
    for block in np.array_split(rows, max(1, -(-len(rows) // BLOCK))):
        neighbours.append(np.argpartition(squares - 2 * block @ among.T, k - 1, axis=1)[:, :k])
    return np.concatenate(neighbours)


def _among(
    rows: Float[np.ndarray, "N K"], drawn: Float[np.ndarray, "G K"], placed: Float[np.ndarray, "G 2"]
) -> Float[np.ndarray, "N 2"]:
    """Places of rows: the mean of those of their nearest; a drawn one is the nearest of itself alone."""
    near = nearest_rows(rows, drawn, NEAREST)
    far = np.stack([np.linalg.norm(rows - drawn[near[:, place]], axis=1) for place in range(NEAREST)], axis=1)
    weight = 1 / np.maximum(far, 1e-6)
    return np.asarray((placed[near] * (weight / weight.sum(axis=1, keepdims=True))[..., None]).sum(axis=1))


def components(
    features: Float[np.ndarray, "N D"], most: int, taught_by: Float[np.ndarray, "G D"] | None = None
) -> Float[np.ndarray, "N K"]:
    """Principal components, of all rows or of some; at least two columns, zeros where there is no more to tell."""
    rows = features if taught_by is None else taught_by
    count = min(most, *rows.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of clips that are all the same: no variance to explain
        plane = PCA(count, svd_solver="randomized", random_state=0).fit(rows.astype(np.float32))
        blocks = np.array_split(features, max(1, -(-len(features) // BLOCK)))  # a copy of all takes ten times as long
        projected = np.concatenate([plane.transform(block.astype(np.float32)) for block in blocks])
    return np.pad(projected, ((0, 0), (0, max(0, 2 - count))))


def _scaled(places: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
    centred = places - places.mean(axis=0)
    spread = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return np.asarray(centred / (spread if spread > 0 else 1.0), np.float32)
