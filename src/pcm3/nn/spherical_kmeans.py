"""k-means of unit vectors by their cosines."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def spherical_kmeans(points: Float[Tensor, "N E"], clusters: int, rounds: int = 10) -> Float[Tensor, "P E"]:
    """Centres of P clusters of unit vectors, which have unit length themselves.

    Draws nothing and asks the device for nothing: it begins with the first point and, again and again, the one that is
    farthest from all that were taken, and goes so many rounds. A centre without points stays where it was.
    """
    centres = _far_from_each_other(points, clusters)
    indices = torch.arange(clusters, device=points.device)
    for _ in range(rounds):
        belongs = (points @ centres.T).argmax(dim=1, keepdim=True) == indices
        sums = belongs.to(points.dtype).T @ points
        centres = torch.where(belongs.any(dim=0)[:, None], F.normalize(sums, dim=-1), centres)
    return centres


def _far_from_each_other(points: Float[Tensor, "N E"], count: int) -> Float[Tensor, "P E"]:
    chosen = [points[0]]
    nearest = points @ points[0]
    for _ in range(count - 1):
        farthest = points.index_select(0, nearest.argmin(dim=0, keepdim=True))[0]
        chosen.append(farthest)
        nearest = torch.maximum(nearest, points @ farthest)
    return torch.stack(chosen)
