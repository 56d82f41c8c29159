"""CPM: a clip's likeness to earlier clips is to be the same in two views; later, what is likest counts as the same.

Zhang, Hou, Zhang, Li, Contrastive Positive Mining for Unsupervised 3D Action Representation Learning (ECCV 2022):
re-implemented from its abstract, since there is no code; every decision is in docs/FIDELITY.md, CPM.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.losses import relational_distillation
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.neighbours import nearest
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.cpm import CPMSettings, MatchingSettings
from pcm3.settings.neighbours import NeighbourSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class CPM(nn.Module):
    """An online network, its moving average, and a queue of the latter's embeddings, on one stream."""

    def __init__(
        self,
        branch: MomentumBranch,
        matching: MatchingSettings,
        neighbours: NeighbourSettings,
        maker: CropMaker,
        stream: StreamName,
    ) -> None:
        """The method on views that become this stream."""
        super().__init__()
        self.branch, self.maker, self.stream = branch, maker, stream
        self.matching, self.neighbours = matching, neighbours

    def views(self, batch: ClipBatch, generator: torch.Generator) -> TwoViews:
        """Two crops of each clip, each sheared."""
        return self.maker.two_views(batch, generator, self.stream)

    def forward(self, views: TwoViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The likeness of every query to the queue against that of its key; later, with mined positives, too."""
        query, key = self.branch.embed_queries(views.query), self.branch.embed_keys(views.key)
        with torch.autocast(key.device.type, enabled=False):
            online, target = self.branch.relations(query), self.branch.relations(key)
            similarity = self.match(online, target)
            positives = torch.zeros_like(similarity)
            if progress.share >= self.neighbours.begin:
                positives = self.match(online, enhanced(target, self.neighbours.nearest))
            loss = similarity + self.matching.positive_weight * positives
        terms = {"similarity": similarity.detach(), "positives": positives.detach()}
        return StepOutput({"all": loss}, terms, {"keys": key})

    def match(self, online: Float[Tensor, "B K"], target: Float[Tensor, "B K"]) -> Float[Tensor, ""]:
        """KL of the target network's distribution over the queue from the online network's, the mean over the batch."""
        temperatures = self.branch.temperature, self.matching.target_temperature
        return relational_distillation(online[None], target[None], *temperatures).squeeze()

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Target network and queue follow."""
        self.branch.follow(state["keys"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.branch.exported, self.stream)}


def enhanced(relations: Float[Tensor, "B K"], count: int) -> Float[Tensor, "B K"]:
    """Cosines with the queue, 1 for so many that are nearest: mined positives count as the clip itself."""
    return relations.masked_fill(nearest(relations, count), 1.0)


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> CPM:
    """CPM with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, CPMSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        branch = MomentumBranch(encoder, method.objective)
        return CPM(branch, method.matching, method.neighbours, maker, settings.stream)
