"""AimCLR: a normal view learns by momentum contrast, extreme ones learn to see the queue as it does.

Guo et al., Contrastive Learning from Extremely Augmented Skeleton Sequences for Self-supervised Action Recognition
(AAAI 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.augment.extreme import extreme_view
from pcm3.augment.spatial import in_plane
from pcm3.clips import ClipBatch
from pcm3.geometry import stream
from pcm3.methods.alignment import Student, align
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, require_mirror
from pcm3.nn.energy_drop import drop_energetic
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.aimclr import AimCLRSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class ExtremeViews(NamedTuple):
    """Three views of each of B clips, of which one is an extreme one."""

    query: Float[Tensor, "B T M V C"]
    key: Float[Tensor, "B T M V C"]
    extreme: Float[Tensor, "B T M V C"]


class AimCLR(nn.Module):
    """One branch on one stream (docs/FIDELITY.md, AimCLR)."""

    def __init__(self, branch: MomentumBranch, settings: AimCLRSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream."""
        super().__init__()
        self.branch, self.maker, self.stream = branch, maker, stream
        self.settings = settings

    def views(self, batch: ClipBatch, generator: torch.Generator) -> ExtremeViews:
        """Three crops of each clip, each sheared, one of them extremely augmented."""
        maker = self.maker
        query, key, third = maker.distort(maker.crops(batch, 3, generator), batch, generator).chunk(3)
        extreme = in_plane(extreme_view(third, self.settings.extreme, maker.layout, generator, batch.gaps), batch.flat)
        return ExtremeViews(*(stream(view, self.stream, maker.layout, batch.gaps) for view in (query, key, extreme)))

    def forward(self, views: ExtremeViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The query's contrast, later with neighbours; how the extreme view sees the queue, with and without drop."""
        query, key = self.branch.embed_queries(views.query), self.branch.embed_keys(views.key)
        extreme, dropped = self.embed_extreme(views.extreme)
        neighbours, weight = self.settings.neighbours.at(progress.share), self.settings.alignment.weight
        students = {"extreme": Student(extreme, teacher=0), "dropped": Student(dropped, teacher=0)}
        return align(self.branch, query, students, key, neighbours, weight)

    def embed_extreme(self, clips: Float[Tensor, "B T M V C"]) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B E"]]:
        """Embeddings of the same features, as they are and without what stands out."""
        encoder, project = self.branch.encoder, self.branch.projector
        features = encoder.joint_frames(clips)
        dropped = drop_energetic(features, self.settings.alignment.drop_threshold)
        whole, rest = (project(encoder.pool(of.mean(dim=(2, 3)))) for of in (features, dropped))
        return whole, rest

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key network and queue follow."""
        self.branch.follow(state["keys"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.branch.exported, self.stream)}


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> AimCLR:
    """AimCLR with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, AimCLRSettings)
    require_mirror(layout, "extreme.flip_prob", method.extreme.flip_prob)
    maker = CropMaker(layout, settings.frames, method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return AimCLR(MomentumBranch(encoder, method.objective), method, maker, settings.stream)
