"""HiCLR: views of a clip that grow stronger, each of which learns to see other clips as the one before does.

Zhang, Lin, Liu, Hierarchical Consistent Contrastive Learning for Skeleton-Based Action Recognition with Growing
Augmentations (AAAI 2023).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from pcm3.augment.extreme import extreme_view
from pcm3.augment.mask import mask_joints_of_frames
from pcm3.augment.spatial import in_plane
from pcm3.clips import ClipBatch
from pcm3.geometry import stream
from pcm3.methods.alignment import Student, align
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, require_mirror
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.hiclr import HiCLRSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class GrowingViews(NamedTuple):
    """Views of each of B clips, weak to strong."""

    basic: Float[Tensor, "B T M V C"]
    key: Float[Tensor, "B T M V C"]
    """As weak as the basic one."""
    normal: Float[Tensor, "B T M V C"]
    strong: Float[Tensor, "B T M V C"]
    masked: Bool[Tensor, "B T V"]
    """What the strong one hides, of all bodies."""


class HiCLR(nn.Module):
    """One branch on one stream (docs/FIDELITY.md, HiCLR)."""

    def __init__(self, branch: MomentumBranch, settings: HiCLRSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream."""
        super().__init__()
        self.branch, self.maker, self.stream = branch, maker, stream
        self.settings = settings
        self.mask_value = nn.Parameter(torch.zeros(1))

    def views(self, batch: ClipBatch, generator: torch.Generator) -> GrowingViews:
        """Four crops of each clip, each sheared, two of them extremely augmented; of one of these joints are masked."""
        maker, size = self.maker, 2 * len(batch.index)
        crops = maker.distort(maker.crops(batch, 4, generator), batch, generator)
        extreme = in_plane(
            extreme_view(crops[size:], self.settings.extreme, maker.layout, generator, batch.gaps), batch.flat
        )
        masked = mask_joints_of_frames(extreme[size // 2 :], self.settings.chain.mask_ratio, generator)
        each = (*crops[:size].chunk(2), *extreme.chunk(2))
        basic, key, normal, strong = (stream(view, self.stream, maker.layout, batch.gaps) for view in each)
        return GrowingViews(basic, key, normal, strong, masked)

    def forward(self, views: GrowingViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The basic view's contrast, later with neighbours; the normal one learns of it, the strong of the normal."""
        strong = torch.where(views.masked[:, :, None, :, None], self.mask_value, views.strong)
        basic, normal, strong = (self.branch.embed_queries(view) for view in (views.basic, views.normal, strong))
        key = self.branch.embed_keys(views.key)
        neighbours, weight = self.settings.neighbours.at(progress.share), self.settings.chain.weight
        students = {"normal": Student(normal, teacher=0), "strong": Student(strong, teacher=1)}
        return align(self.branch, basic, students, key, neighbours, weight)

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key network and queue follow."""
        self.branch.follow(state["keys"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.branch.exported, self.stream)}


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> HiCLR:
    """HiCLR with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, HiCLRSettings)
    require_mirror(layout, "extreme.flip_prob", method.extreme.flip_prob)
    maker = CropMaker(layout, settings.frames, method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return HiCLR(MomentumBranch(encoder, method.objective), method, maker, settings.stream)
