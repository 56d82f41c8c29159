"""How views of a clip see the keys of other clips, and what one learns from another there (AimCLR, HiCLR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pcm3.losses import info_nce_with_neighbours, relational_distillation
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import StepOutput
from pcm3.nn.neighbours import nearest


class Student(NamedTuple):
    """A view that learns from another one."""

    embedding: Float[Tensor, "B E"]
    teacher: int
    """0 for the first view, 1 for the first student, and so on."""


def align(
    branch: MomentumBranch,
    query: Float[Tensor, "B E"],
    students: Mapping[str, Student],
    key: Float[Tensor, "B E"],
    neighbours: int,
    weight: float,
) -> StepOutput:
    """The contrast of the first view, and with a weight, how far each student is from its teacher, in float32 at least.

    Args:
        branch: has the earlier keys.
        query: embeddings of the first view.
        students: by the names of their terms.
        key: the clips' own.
        neighbours: so many nearest earlier keys of each of the views are positives of the first, too.
        weight: of each student's term.
    """
    with torch.autocast(key.device.type, enabled=False):
        embeddings = [query, *(student.embedding for student in students.values())]
        cosines = [with_key(branch, embedding, key) for embedding in embeddings]
        terms = {
            name: aligned(own, cosines[student.teacher], branch.temperature)
            for (name, student), own in zip(students.items(), cosines[1:], strict=True)
        }
        first = contrast(cosines, branch.temperature, neighbours)
        loss = first + weight * torch.stack([*terms.values()]).sum()
    terms = {"contrast": first} | terms
    return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, {"keys": key})


def with_key(
    branch: MomentumBranch, embedding: Float[Tensor, "B E"], key: Float[Tensor, "B E"]
) -> Float[Tensor, "B K1"]:
    """Cosines with the clip's own key, which comes first, and with the earlier ones."""
    return torch.cat([(embedding * key).sum(dim=-1, keepdim=True), branch.relations(embedding)], dim=1)


def contrast(cosines: Sequence[Float[Tensor, "B K1"]], temperature: float, neighbours: int) -> Float[Tensor, ""]:
    """InfoNCE of the first view; so many nearest earlier keys of each of the views are positives of it, too."""
    own, others = cosines[0][:, 0], cosines[0][:, 1:]
    also = torch.zeros_like(others, dtype=torch.bool)
    if neighbours:
        also = torch.stack([nearest(of[:, 1:], neighbours) for of in cosines]).any(dim=0)
    return info_nce_with_neighbours(own, others, also, temperature)


def aligned(student: Float[Tensor, "B K1"], teacher: Float[Tensor, "B K1"], temperature: float) -> Float[Tensor, ""]:
    """How far a view's distribution over the keys is from the teacher's, which learns nothing from it."""
    return relational_distillation(student[None], teacher[None], temperature, temperature).squeeze()
