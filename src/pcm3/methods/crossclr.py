"""CrosSCLR: three streams learn by momentum contrast, and what is near in one becomes a positive in the others.

Li et al., 3D Human Action Representation Learning via Cross-View Consistency Pursuit (CVPR 2021).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.losses import info_nce_with_neighbours
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.streams import STREAMS, StreamBranches, StreamViews, build_branches, stream_views
from pcm3.methods.views import CropMaker
from pcm3.nn.neighbours import nearest
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.crossclr import CrosSCLRSettings
from pcm3.settings.neighbours import NeighbourSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class CrosSCLR(nn.Module):
    """A branch for each stream; later in the run each takes positives from the others (docs/FIDELITY.md, CrosSCLR)."""

    def __init__(self, branches: StreamBranches, settings: NeighbourSettings, context: bool, maker: CropMaker) -> None:
        """The method: the branches, what they take from each other, and what makes the views."""
        super().__init__()
        self.branches, self.settings, self.context, self.maker = branches, settings, context, maker

    def views(self, batch: ClipBatch, generator: torch.Generator) -> StreamViews:
        """Two crops of each clip, each sheared; motion and bone are taken of these."""
        return stream_views(self.maker, batch, generator)

    def forward(self, views: StreamViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The contrast of every stream by itself, later with the neighbours that the two others see."""
        query, key = self.branches.embed_queries(views), self.branches.embed_keys(views)
        with torch.autocast(key["joint"].device.type, enabled=False):
            relations = self.branches.relations(query)
            if progress.share < self.settings.begin:
                contrast = {name: self.branches.of(name).contrast(query[name], key[name], relations[name])
                            for name in STREAMS}  # fmt: skip
            else:
                contrast = {name: self.across(name, query[name], key[name], relations) for name in STREAMS}
            loss = torch.stack([*contrast.values()]).sum()
        terms = {f"contrast/{name}": term.detach() for name, term in contrast.items()}
        return StepOutput({"all": loss}, terms, {f"keys/{name}": of for name, of in key.items()})

    def across(
        self,
        name: StreamName,
        query: Float[Tensor, "B E"],
        key: Float[Tensor, "B E"],
        relations: dict[StreamName, Float[Tensor, "B K"]],
    ) -> Float[Tensor, ""]:
        """A stream's contrast with each of the others, of which it takes the neighbours as positives; their mean.

        A row of the queue is the same earlier clip in every stream, so a neighbour is found by its row.
        """
        positive, own, terms = (query * key).sum(dim=-1), relations[name], []
        for other in STREAMS:
            if other == name:
                continue
            also, similarities = nearest(relations[other], self.settings.nearest), own
            if self.context:
                also, similarities = also.repeat(1, 2), torch.cat([own, own * relations[other]], dim=1)
            terms.append(info_nce_with_neighbours(positive, similarities, also, self.branches.of(name).temperature))
        return torch.stack(terms).mean()

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key networks and queues follow."""
        self.branches.follow(state)

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """That of the joint stream is the run's model; those of motion and bone lie beside it."""
        return self.branches.exported()


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> CrosSCLR:
    """CrosSCLR with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, CrosSCLRSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    branches = build_branches(make_encoder, settings.seed, method.objective)
    return CrosSCLR(branches, method.neighbours, method.context, maker)
