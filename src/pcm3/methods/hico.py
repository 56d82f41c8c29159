"""HiCo: momentum contrast of a clip's parts in time and in space, at several granularities, up to the whole.

Dong et al., Hierarchical Contrast for Unsupervised Skeleton-based Action Representation Learning (AAAI 2023).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.hico import GRANULARITIES, maxima
from pcm3.losses import info_nce
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.heads import Projector
from pcm3.nn.momentum import key_copy, momentum_update
from pcm3.nn.optimiser import build_optimiser
from pcm3.nn.queue import KeyQueue
from pcm3.settings.hico import HiCoSettings
from pcm3.settings.moco import MomentumSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class Levels(NamedTuple):
    """Embeddings of clips, of unit length, at each level of the hierarchy."""

    clip: Float[Tensor, "B G E"]
    """Of the temporal domain at each granularity, the finest first."""
    part: Float[Tensor, "B G E"]
    """Of the spatial domain, likewise."""
    temporal: Float[Tensor, "B E"]
    """Of all granularities of a domain together."""
    spatial: Float[Tensor, "B E"]
    instance: Float[Tensor, "B E"]
    """Of everything."""


class HierarchicalNetwork(nn.Module):
    """HiCo's encoder and a projector for each level."""

    def __init__(self, encoder: Encoder, settings: MomentumSettings) -> None:
        """With fresh projectors."""
        super().__init__()
        self.encoder = encoder
        width = encoder.width // (2 * GRANULARITIES)
        parts = {
            "clip": 1,
            "part": 1,
            "temporal": GRANULARITIES,
            "spatial": GRANULARITIES,
            "instance": 2 * GRANULARITIES,
        }
        self.projectors = nn.ModuleDict(
            {
                level: Projector(count * width, settings.embedding, settings.projector_norm, hidden_size=width)
                for level, count in parts.items()
            }
        )
        for weight in self.projectors.parameters():
            if weight.dim() == 2:
                nn.init.xavier_uniform_(weight)

    def forward(self, clips: Float[Tensor, "B T M V C"]) -> Levels:
        """The embeddings."""
        domains = maxima(self.encoder, clips)
        project = self.projectors
        clip, part = (
            project[level](domains[:, number].flatten(0, 1)).unflatten(0, (-1, GRANULARITIES))
            for number, level in enumerate(("clip", "part"))
        )
        temporal, spatial = (
            project[level](domains[:, number].flatten(1)) for number, level in enumerate(("temporal", "spatial"))
        )
        return Levels(clip, part, temporal, spatial, project["instance"](domains.flatten(1)))


class HiCo(nn.Module):
    """A query network, its slow key copy, and a queue for each level (docs/FIDELITY.md, HiCo)."""

    def __init__(
        self, network: HierarchicalNetwork, settings: HiCoSettings, maker: CropMaker, stream: StreamName
    ) -> None:
        """The method on views that become this stream."""
        super().__init__()
        objective = settings.objective
        self.momentum, self.temperature, self.export = objective.momentum, objective.temperature, objective.export
        self.maker, self.stream = maker, stream
        self.network, self.key_network = network, key_copy(network)
        every, fixed = GRANULARITIES * objective.queue, 0
        if settings.hierarchy.fixed_negatives:
            every, fixed = objective.queue, every - objective.queue
        self.queues = nn.ModuleDict(
            {
                level: KeyQueue(every, objective.embedding, fixed)
                if level in ("clip", "part")
                else KeyQueue(objective.queue, objective.embedding)
                for level in Levels._fields
            }
        )

    def views(self, batch: ClipBatch, generator: torch.Generator) -> TwoViews:
        """Two crops of each clip, each sheared or jittered."""
        return self.maker.two_views(batch, generator, self.stream)

    def forward(self, views: TwoViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """Each level by itself, all with the same weight."""
        query: Levels = self.network(views.query)
        with torch.no_grad():
            key: Levels = self.key_network(views.key)
        with torch.autocast(key.instance.device.type, enabled=False):
            terms = self.contrast(query, key)
            loss = torch.stack([*terms.values()]).sum()
        state = key._asdict()
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, state)

    def contrast(self, query: Levels, key: Levels) -> dict[str, Float[Tensor, ""]]:
        """The terms: clip and part level, each domain against the other, and the whole."""
        terms = {}
        for level in ("clip", "part"):
            finest, keys = getattr(query, level)[:, 0], getattr(key, level)
            positive = torch.einsum("be,bge->bg", finest, keys)
            terms[level] = any_of_several(positive, finest @ self.keys(level).T, self.temperature)
        for level, other in (("temporal", "spatial"), ("spatial", "temporal"), ("instance", "instance")):
            own, its_key = getattr(query, level), getattr(key, other)
            positive, negative = (own * its_key).sum(dim=-1), own @ self.keys(other).T
            terms[level] = info_nce(positive[None], negative[None], self.temperature).squeeze()
        return terms

    def keys(self, level: str) -> Float[Tensor, "K E"]:
        """Earlier ones of a level."""
        queue = self.queues[level]
        assert isinstance(queue, KeyQueue)
        return queue.keys

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """The key network follows, and the keys of all levels go into their queues."""
        momentum_update(self.key_network, self.network, self.momentum)
        for level, queue in self.queues.items():
            assert isinstance(queue, KeyQueue)
            queue.push(state[level].flatten(0, -2))

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The encoder that is trained, or its moving average."""
        encoder = (self.key_network if self.export == "ema" else self.network).encoder
        return {"encoder": Exported(encoder, self.stream)}


def any_of_several(
    positive: Float[Tensor, "B P"], negative: Float[Tensor, "B K"], temperature: float
) -> Float[Tensor, ""]:
    """How badly a query finds its P keys among the queue's, where any of them will do; the mean over the batch."""
    positive, negative = positive / temperature, negative / temperature
    positives = positive.logsumexp(dim=-1)
    return (torch.logaddexp(positives, negative.logsumexp(dim=-1)) - positives).mean()


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> HiCo:
    """HiCo with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, HiCoSettings)
    maker = CropMaker(layout, settings.frames, method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return HiCo(HierarchicalNetwork(encoder, method.objective), method, maker, settings.stream)
