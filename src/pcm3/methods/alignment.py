"""How views of a clip see the keys of other clips, and what one learns from another there (AimCLR, HiCLR)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pcm3.losses import info_nce_with_neighbours, relational_distillation
from pcm3.methods.moco import MomentumBranch
from pcm3.nn.neighbours import nearest


def with_key(
    branch: MomentumBranch, embedding: Float[Tensor, "B E"], key: Float[Tensor, "B E"]
) -> Float[Tensor, "B K1"]:
    """Cosines with the clip's own key, which comes first, and with the earlier ones."""
    return torch.cat([(embedding * key).sum(dim=-1, keepdim=True), branch.relations(embedding)], dim=1)


def contrast(seen: Sequence[Float[Tensor, "B K1"]], temperature: float, neighbours: int) -> Float[Tensor, ""]:
    """InfoNCE of the first view; so many nearest earlier keys of each of the views are positives of it, too."""
    own, others = seen[0][:, 0], seen[0][:, 1:]
    also = torch.zeros_like(others, dtype=torch.bool)
    if neighbours:
        also = torch.stack([nearest(of[:, 1:], neighbours) for of in seen]).any(dim=0)
    return info_nce_with_neighbours(own, others, also, temperature)


def aligned(student: Float[Tensor, "B K1"], teacher: Float[Tensor, "B K1"], temperature: float) -> Float[Tensor, ""]:
    """How far a view's distribution over the keys is from the teacher's, which learns nothing from it."""
    return relational_distillation(student[None], teacher[None], temperature, temperature).squeeze()
