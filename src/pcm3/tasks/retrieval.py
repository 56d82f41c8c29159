"""Retrieval: each test clip gets the label of the nearest training clip (PCM³ Table 3)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pcm3.tasks.features import ClipBank, ClipEncoder, extract
from pcm3.tasks.linear import HeadResult

CHUNK = 4096
"""Queries compared at a time."""


def retrieval(encoder: ClipEncoder, bank: ClipBank, train: NDArray[np.int64], test: NDArray[np.int64]) -> HeadResult:
    """1-nearest neighbour by cosine on centre-crop features; gallery `train`, queries `test`.

    The encoder stays as it is. Nothing is chosen on the test clips, so the best figure is the figure.
    """
    gallery, queries = extract(encoder, bank, train), extract(encoder, bank, test)
    nearest = nearest_neighbours(queries, gallery).cpu().numpy()
    label = bank.store.label.astype(np.int64)
    predicted = label[train][nearest]
    top1 = 100 * float(np.mean(predicted == label[test]))
    return HeadResult(top1, top1, predicted)


def nearest_neighbours(queries: Tensor, gallery: Tensor) -> Tensor:
    """For each query (Q, D) the row of the gallery (G, D) with the largest cosine, (Q,); the first of equals."""
    gallery = F.normalize(gallery, dim=1)
    found = [(F.normalize(part, dim=1) @ gallery.T).argmax(dim=1) for part in queries.split(CHUNK)]
    return torch.cat(found)
