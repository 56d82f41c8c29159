"""SkeleMixCLR: a region of another clip is pasted into each, and both are found again in the features apart.

Chen, Liu, Zhang, Yang, Contrastive Learning from Spatio-Temporal Mixed Skeleton Sequences for Self-Supervised
Skeleton-Based Action Recognition (arXiv 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from pcm3.augment.mix import paste
from pcm3.clips import ClipBatch
from pcm3.errors import ConfigError
from pcm3.losses import info_nce
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.masked_mean import in_feature_frames, masked_mean
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.skelemixclr import PasteSettings, SkeleMixCLRSettings
from pcm3.skeleton import Layout, StreamName


class PastedViews(NamedTuple):
    """Two views of each of B clips, and R copies of the first into which a region of a partner's was pasted."""

    query: Float[Tensor, "B T M V C"]
    key: Float[Tensor, "B T M V C"]
    pasted: Float[Tensor, "B R T M V C"]
    partner: Int[Tensor, "B R"]
    region: Bool[Tensor, "B R T V"]


class SkeleMixCLR(nn.Module):
    """One branch on one stream (docs/FIDELITY.md, SkeleMixCLR)."""

    def __init__(self, branch: MomentumBranch, settings: PasteSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream."""
        super().__init__()
        self.branch, self.maker, self.stream = branch, maker, stream
        self.settings = settings

    def views(self, batch: ClipBatch, generator: torch.Generator) -> PastedViews:
        """Two crops of each clip; what is pasted is the query's stream."""
        layout, chosen = self.maker.layout, self.settings
        query, key = self.maker.two_views(batch, generator, self.stream)
        each = [paste(query, layout.filled_parts, chosen.per_clip, generator) for _ in range(chosen.count)]
        return PastedViews(query, key, *(torch.stack(of, dim=1) for of in zip(*each, strict=True)))

    def forward(self, views: PastedViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """Every query against its key and the queue; of every pasted clip, so both of its parts."""
        branch = self.branch
        query, key = branch.embed_queries(views.query), branch.embed_keys(views.key)
        parts = [self.embed_parts(*both) for both in zip(views.pasted.unbind(1), views.region.unbind(1), strict=True)]
        with torch.autocast(key.device.type, enabled=False):
            regions = [
                (
                    self.contrast(pasted, key[partner], context),
                    self.contrast(context, key, pasted),
                )
                for (pasted, context), partner in zip(parts, views.partner.unbind(1), strict=True)
            ]
            pasted, context = (torch.stack(of).sum() for of in zip(*regions, strict=True))
            terms = {
                "instance": branch.contrast(query, key, branch.relations(query)),
                "pasted": pasted,
                "context": context,
            }
            loss = terms["instance"] + 0.5 * (terms["pasted"] + terms["context"])
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, {"keys": key})

    def embed_parts(
        self, clips: Float[Tensor, "B T M V C"], region: Bool[Tensor, "B T V"]
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B E"]]:
        """Embeddings of what was pasted and of what is around it: of the means of the features there."""
        encoder = self.branch.encoder
        features = encoder.joint_frames(clips)
        inside = in_feature_frames(region, encoder.time_stride)
        pasted, context = (self.branch.projector(masked_mean(features, where)) for where in (inside, ~inside))
        return pasted, context

    def contrast(
        self, part: Float[Tensor, "B E"], key: Float[Tensor, "B E"], other: Float[Tensor, "B E"]
    ) -> Float[Tensor, ""]:
        """InfoNCE of parts, each against the queue and the other part of its clip, to which no gradient goes."""
        positive, beside = (part * key).sum(dim=-1), (part * other.detach()).sum(dim=-1)
        negative = torch.cat([self.branch.relations(part), beside[:, None]], dim=1)
        return info_nce(positive[None], negative[None], self.branch.temperature).squeeze()

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key network and queue follow."""
        self.branch.follow(state["keys"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.branch.exported, self.stream)}


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> SkeleMixCLR:
    """SkeleMixCLR with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need, or no feature may stand for what is pasted.
    """
    method = settings.method
    assert isinstance(method, SkeleMixCLRSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    encoder = make_encoder(settings.seed)
    # The shortest stretch that is pasted, 7/16 of the frames, and the longest that is left then hold a feature's frame.
    if settings.frames < 4 * (stride := encoder.time_stride):
        raise ConfigError(
            f"setting frames: expected at least {4 * stride} for the method skelemixclr with {settings.encoder.layers} "
            f"layers, where each feature stands for {stride} frames, got {settings.frames}"
        )
    with fresh_weights(settings.seed):
        return SkeleMixCLR(MomentumBranch(encoder, method.objective), method.paste, maker, settings.stream)
