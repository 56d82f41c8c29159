"""MoCo over GRUs: each clip's query among the keys of earlier clips, the baseline that CMD and PCM³ start from."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.losses import info_nce
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.heads import Projector
from pcm3.nn.momentum import key_copy, momentum_update
from pcm3.nn.optimiser import build_optimiser
from pcm3.nn.queue import KeyQueue
from pcm3.settings.moco import MoCoSettings, MomentumSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class MomentumBranch(nn.Module):
    """A query network, its slow key copy, and the queue of earlier keys (MoCo §3.2)."""

    def __init__(self, encoder: Encoder, settings: MomentumSettings) -> None:
        """A branch with fresh weights beside those of the encoder, which is the query network's."""
        super().__init__()
        self.momentum, self.temperature, self.export = settings.momentum, settings.temperature, settings.export
        self.encoder = encoder
        self.projector = Projector(encoder.width, settings.embedding, settings.projector_norm)
        self.key_encoder, self.key_projector = key_copy(self.encoder), key_copy(self.projector)
        self.queue = KeyQueue(settings.queue, settings.embedding)

    def embed_queries(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B E"]:
        """Embeddings of unit length."""
        embedding: Tensor = self.projector(self.encoder.pool(self.encoder.frames(clips)))
        return embedding

    @torch.no_grad()
    def embed_keys(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B E"]:
        """The same by the key network, whose BatchNorm normalises by the batch and keeps statistics of its own."""
        embedding: Tensor = self.key_projector(self.key_encoder.pool(self.key_encoder.frames(clips)))
        return embedding

    def relations(self, embedding: Float[Tensor, "B E"]) -> Float[Tensor, "B K"]:
        """Cosines with the earlier keys."""
        relations: Tensor = embedding @ self.queue.keys.T
        return relations

    def contrast(
        self, query: Float[Tensor, "B E"], key: Float[Tensor, "B E"], relations: Float[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """InfoNCE of the queries, each against its key and the queue, to which it has these relations."""
        positive = (query * key).sum(dim=-1)
        return info_nce(positive[None], relations[None], self.temperature).squeeze()

    def follow(self, keys: Float[Tensor, "B E"]) -> None:
        """The key network follows by momentum, the keys of the step go into the queue."""
        momentum_update(self.key_encoder, self.encoder, self.momentum)
        momentum_update(self.key_projector, self.projector, self.momentum)
        self.queue.push(keys)

    @property
    def exported(self) -> Encoder:
        """The encoder that is trained, or its moving average."""
        return self.key_encoder if self.export == "ema" else self.encoder


class MoCo(nn.Module):
    """One branch on one stream (docs/FIDELITY.md, MoCo-GRU)."""

    def __init__(self, branch: MomentumBranch, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream."""
        super().__init__()
        self.branch, self.maker, self.stream = branch, maker, stream

    def views(self, batch: ClipBatch, generator: torch.Generator) -> TwoViews:
        """Two crops of each clip, each sheared or jittered."""
        return self.maker.two_views(batch, generator, self.stream)

    def forward(self, views: TwoViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """Every query against its key and the queue."""
        query, key = self.branch.embed_queries(views.query), self.branch.embed_keys(views.key)
        with torch.autocast(key.device.type, enabled=False):
            loss = self.branch.contrast(query, key, self.branch.relations(query))
        return StepOutput({"all": loss}, {"contrast": loss.detach()}, {"keys": key})

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Key network and queue follow."""
        self.branch.follow(state["keys"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.branch.exported, self.stream)}


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> MoCo:
    """MoCo with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, MoCoSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return MoCo(MomentumBranch(encoder, settings.method.objective), maker, settings.stream)
