"""Retrieval: each test clip gets the label of the nearest training clip, and k nearest ones (PCM³ Table 3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pcm3.clips import ClipBank, ClipEncoder, extract
from pcm3.errors import ConfigError
from pcm3.settings.tasks import RetrievalSettings
from pcm3.tasks.linear import HeadResult
from pcm3.tasks.nearest import Neighbours, nearest, ranked

How = Literal["exact", "ann"]

LINKS, EFFORT = 32, 128
"""Of the approximate index (HNSW): links of each row, and rows looked at while one is found."""


def retrieval(
    encoder: ClipEncoder,
    bank: ClipBank,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    settings: RetrievalSettings | None = None,
) -> HeadResult:
    """1-nearest neighbour by cosine on centre-crop features; gallery `train`, queries `test`.

    The encoder stays as it is. Nothing is chosen on the test clips, so the best figure is the figure. Beside ``top1``
    there is ``precision_5`` and so on, as far as there are so many training clips.
    """
    settings = settings or RetrievalSettings()
    gallery, queries = extract(encoder, bank, train), extract(encoder, bank, test)
    wanted = [k for k in settings.precision_at if k <= len(train)]
    found = find_neighbours(queries, gallery, max([1, *wanted]), settings.how).row.cpu().numpy()
    label = bank.store.label.astype(np.int64)
    near = label[train][found]
    figures = {"top1": precision_at(1, near, label[test])}
    figures |= {f"precision_{k}": precision_at(k, near, label[test]) for k in wanted}
    return HeadResult(figures, near[:, 0])


def precision_at(k: int, near: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Which share of the `k` nearest has the query's label, per cent; mean over the queries.

    Args:
        k: at least 1.
        near: (Q, K) labels of the K ≥ k nearest, the nearest first.
        label: (Q,) of the queries.
    """
    return 100 * float(np.mean(near[:, :k] == label[:, None]))


def find_neighbours(queries: Tensor, gallery: Tensor, k: int, how: How = "exact") -> Neighbours:
    """For each query (Q, D) the `k` rows of the gallery (G, D) with the largest cosine, the largest first.

    Of equal cosines, which are rounded to float32, the first row comes first. A feature of zeros has cosine 0.

    Args:
        queries: float, on the device on which to compute.
        gallery: float, on the same device.
        k: at least 1, at most G.
        how: `exact` compares all with all, and its result is proved; `ann` may miss neighbours, its cosines are true.

    Raises:
        ConfigError: `k` is out of range, there is no such way, or faiss is not installed.
    """
    if not 1 <= k <= len(gallery):
        raise ConfigError(f"expected 1 to {len(gallery)} neighbours, as many as there are clips to find, got {k}")
    if how not in FIND:
        raise ConfigError(f"expected a way to find neighbours ({', '.join(FIND)}), got '{how}'")
    return FIND[how](F.normalize(queries.float(), dim=1), F.normalize(gallery.float(), dim=1), k)


def nearest_neighbours(queries: Tensor, gallery: Tensor) -> Tensor:
    """For each query (Q, D) the row of the gallery (G, D) with the largest cosine, (Q,); the first of equals."""
    return find_neighbours(queries, gallery, 1).row[:, 0]


def _approximate(queries: Tensor, gallery: Tensor, k: int) -> Neighbours:
    """Neighbours of unit rows that an index finds; a query for which it finds fewer than `k` is compared with all."""
    try:
        import faiss  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ConfigError("expected faiss for --how ann, which is not installed: pip install 'pcm3[ann]'") from error
    index = faiss.IndexHNSWFlat(gallery.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = index.hnsw.efSearch = max(EFFORT, 2 * k)
    index.add(gallery.cpu().numpy())
    rows = torch.from_numpy(index.search(queries.cpu().numpy(), k)[1]).to(queries.device)
    found = ranked(queries, gallery, rows.clamp(min=0), k)
    few = (rows < 0).any(dim=1)
    if few.any():
        missed = nearest(queries[few], gallery, k)
        found.row[few], found.cosine[few] = missed.row, missed.cosine
    return found


FIND = {"exact": nearest, "ann": _approximate}
"""The ways to find neighbours."""
