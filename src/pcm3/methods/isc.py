"""ISC: two encoders of different kinds see the same clips, and each finds them again among the keys of the other.

Thoker, Doughty, Snoek, Skeleton-Contrastive 3D Action Representation Learning (MM 2021), inter-skeleton contrast.
"""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.isc import ISCSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class ISC(nn.Module):
    """Two branches on one stream (docs/FIDELITY.md, ISC)."""

    def __init__(
        self,
        first: MomentumBranch,
        second: MomentumBranch,
        second_settings: EncoderSettings,
        maker: CropMaker,
        stream: StreamName,
    ) -> None:
        """The method on views that become this stream; the settings are of the second branch's encoder."""
        super().__init__()
        self.branches = nn.ModuleDict({branch.encoder.kind: branch for branch in (first, second)})
        self.kinds = (first.encoder.kind, second.encoder.kind)
        self.second_settings, self.maker, self.stream = second_settings, maker, stream

    def views(self, batch: ClipBatch, generator: torch.Generator) -> TwoViews:
        """Two crops of each clip, each sheared or jittered; both encoders see the same."""
        return self.maker.two_views(batch, generator, self.stream)

    def forward(self, views: TwoViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The query of each encoder against the key and the queue of the other."""
        query = {kind: self.branch(kind).embed_queries(views.query) for kind in self.kinds}
        key = {kind: self.branch(kind).embed_keys(views.key) for kind in self.kinds}
        with torch.autocast(views.query.device.type, enabled=False):
            contrast = {}
            for kind, other in zip(self.kinds, reversed(self.kinds), strict=True):
                there = self.branch(other)
                contrast[kind] = there.contrast(query[kind], key[other], there.relations(query[kind]))
            loss = torch.stack([*contrast.values()]).sum()
        terms = {f"contrast/{kind}": term.detach() for kind, term in contrast.items()}
        return StepOutput({"all": loss}, terms, {f"keys/{kind}": of for kind, of in key.items()})

    def branch(self, kind: str) -> MomentumBranch:
        """That of the encoder of this kind."""
        branch = self.branches[kind]
        assert isinstance(branch, MomentumBranch)
        return branch

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key networks and queues follow."""
        for kind in self.kinds:
            self.branch(kind).follow(state[f"keys/{kind}"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """That of the run's settings is its model; the other lies beside it."""
        first, second = (self.branch(kind).exported for kind in self.kinds)
        return {
            first.kind: Exported(first, self.stream),
            second.kind: Exported(second, self.stream, self.second_settings),
        }


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> ISC:
    """ISC with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, ISCSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    encoders = make_encoder(settings.seed), make_encoder(settings.seed + (1 << 32), method.second)
    with fresh_weights(settings.seed):
        first, second = (MomentumBranch(encoder, method.objective) for encoder in encoders)
    return ISC(first, second, method.second, maker, settings.stream)
