"""How alike two motions are: aligned in time, compared joint by joint.

The alignment is dynamic time warping (Sakoe and Chiba 1978): of all ways through both clips that begin and end together
and never go back, the one with the smallest mean distance between their poses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from torch import Tensor

from pcm3.api.contract import FedModel
from pcm3.api.given import AS_THE_MODEL, Clips, Recorded
from pcm3.api.index import facing_forward
from pcm3.clips import extract
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.skeleton import Layout

MOST_FRAMES = 6000
"""Frames of a clip: the alignment looks at every pair of frames of both."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two clips, aligned: P steps, in each a frame of either."""

    cosine: float
    """Of their features: how alike the model finds them, −1 to 1."""
    path: Int[np.ndarray, "P 2"]
    """The frame of the first and of the second clip at each step."""
    distance: Float64[np.ndarray, "P V"]
    """Metres between each joint of the first body, about its centre; NaN where one of the two is absent."""
    first: Float[np.ndarray, "S V C"]
    """The first clip's first body, centred, standing along z and facing along y."""
    second: Float[np.ndarray, "T V C"]
    """The second's."""
    fps: float
    layout: Layout

    @property
    def mean_mm(self) -> float:
        """Mean distance over joints and steps, millimetres."""
        return 1000 * float(np.nanmean(self.distance))

    @property
    def by_joint_mm(self) -> dict[str, float]:
        """The same of each joint; NaN where it is never there in both."""
        present = ~np.isnan(self.distance)
        sums, counts = np.nansum(self.distance, axis=0), present.sum(axis=0)
        means = np.where(counts > 0, 1000 * sums / np.maximum(counts, 1), np.nan)
        return dict(zip(self.layout.joints, means.tolist(), strict=True))

    @property
    def by_step_mm(self) -> Float64[np.ndarray, " P"]:
        """The same of each step."""
        counts = (~np.isnan(self.distance)).sum(axis=1)
        return np.where(counts > 0, 1000 * np.nansum(self.distance, axis=1) / np.maximum(counts, 1), np.nan)

    @property
    def parting(self) -> int:
        """The step at which they are farthest apart."""
        return int(np.nanargmax(self.by_step_mm))

    @property
    def tempo(self) -> float:
        """How many times as long the second takes as the first."""
        return len(self.second) / len(self.first)


def compare(
    model: FedModel,
    first: Clips,
    second: Clips,
    recorded_first: Recorded = AS_THE_MODEL,
    recorded_second: Recorded = AS_THE_MODEL,
) -> Comparison:
    """Two clips, each of one motion.

    Args:
        model: that prepares both, and says how alike it finds them.
        first: one clip, see `Model.embed`.
        second: another.
        recorded_first: what arrays and files do not tell of the first.
        recorded_second: the same of the second.

    Raises:
        DataError: as `Model.embed`; more than one clip on a side; bodies that have no joint in common.
    """
    stores = [model.given(first, recorded_first).store, model.given(second, recorded_second).store]
    for store, name in zip(stores, ("first", "second"), strict=True):
        if len(store) != 1 or store.length[0] > MOST_FRAMES:
            got = f"{len(store)} clips" if len(store) != 1 else f"{store.length[0]:,} frames"
            raise DataError(f"the {name}: expected one clip of at most {MOST_FRAMES:,} frames, got {got}")
    mine, theirs = (extract(model.encoder, model.bank(store), np.zeros(1, np.int64)) for store in stores)
    cosine = float(F.cosine_similarity(mine, theirs)[0])
    first_body, second_body = (_first_body(store) for store in stores)
    cost = _mean_distances(first_body, second_body)
    if np.isnan(cost).all():
        raise DataError("expected two bodies with joints in common, got none")
    path = align(np.where(np.isnan(cost), np.nanmax(cost), cost))
    apart = np.linalg.norm(first_body[path[:, 0]].astype(np.float64) - second_body[path[:, 1]], axis=-1)
    return Comparison(cosine, path, apart, first_body, second_body, stores[0].fps, stores[0].layout)


def align(cost: Float64[np.ndarray, "S T"]) -> Int[np.ndarray, "P 2"]:
    """The cheapest way from (0, 0) to (S − 1, T − 1) by steps of one in either or both, as pairs of frames.

    Args:
        cost: of each pair of frames.
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(rows + columns - 1):  # all pairs of one sum depend only on the two diagonals before
        i = np.arange(max(0, diagonal - columns + 1), min(diagonal, rows - 1) + 1)
        j = diagonal - i
        before = np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
        total[i + 1, j + 1] = cost[i, j] + before
    path = [(rows - 1, columns - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        ways = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        path.append(min(ways, key=lambda way: total[way[0] + 1, way[1] + 1]))
    return np.array(path[::-1], np.int64)


def _first_body(store: ClipStore) -> Float[np.ndarray, "T V C"]:
    """The first body of a store's one clip, about its centre and facing forward; absent joints are NaN."""
    clip = torch.from_numpy(store.clip(0))[None]
    frames: Tensor = facing_forward(clip, store.layout) if store.normalised else clip
    body = frames[0, :, 0].numpy().copy()
    absent = (body == 0).all(axis=-1)
    centre = store.layout.centre
    if store.normalised:  # where the body is, its centre lies at the origin
        absent[:, centre] = absent.all(axis=1)
    body[absent] = np.nan
    return body if store.normalised else body - body[:, centre : centre + 1]


def _mean_distances(
    first: Float[np.ndarray, "S V C"], second: Float[np.ndarray, "T V C"]
) -> Float64[np.ndarray, "S T"]:
    """Metres between the poses of each pair of frames: the mean over the joints that both have; NaN where none is."""
    rows = []
    for pose in first.astype(np.float64):  # one by one: all pairs of joints at once would not fit into memory
        distance = np.linalg.norm(pose - second, axis=-1)
        present = ~np.isnan(distance)
        count = present.sum(axis=1)
        rows.append(np.where(count > 0, np.nansum(distance, axis=1) / np.maximum(count, 1), np.nan))
    return np.stack(rows)
