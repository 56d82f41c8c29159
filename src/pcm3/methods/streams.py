"""The three streams of a skeleton beside each other, as CMD and CrosSCLR train them: a momentum branch for each."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.geometry import stream
from pcm3.methods.moco import MomentumBranch
from pcm3.methods.protocol import EncoderMaker, Exported
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.settings.moco import MomentumSettings
from pcm3.skeleton import StreamName

STREAMS: tuple[StreamName, ...] = ("joint", "motion", "bone")
StreamViews = dict[StreamName, TwoViews]


class StreamBranches(nn.ModuleDict):
    """A branch for each of `STREAMS`, by its name. A row of the queues is the same earlier clip in every stream."""

    def of(self, name: StreamName) -> MomentumBranch:
        """That of a stream."""
        branch = self[name]
        assert isinstance(branch, MomentumBranch)
        return branch

    def embed_queries(self, views: StreamViews) -> dict[StreamName, Float[Tensor, "B E"]]:
        """Of every stream's query, by its query network."""
        return {name: self.of(name).embed_queries(views[name].query) for name in STREAMS}

    def embed_keys(self, views: StreamViews) -> dict[StreamName, Float[Tensor, "B E"]]:
        """Of every stream's key, by its key network."""
        return {name: self.of(name).embed_keys(views[name].key) for name in STREAMS}

    def relations(self, embeddings: dict[StreamName, Float[Tensor, "B E"]]) -> dict[StreamName, Float[Tensor, "B K"]]:
        """Of every stream to its own earlier keys."""
        return {name: self.of(name).relations(of) for name, of in embeddings.items()}

    def follow(self, state: dict[str, Shaped[Tensor, "B ..."]]) -> None:
        """Key networks and queues follow, all queues by the same rows; the state has ``keys/`` of every stream."""
        for name in STREAMS:
            self.of(name).follow(state[f"keys/{name}"])

    def exported(self) -> dict[str, Exported]:
        """The encoder of the joint stream is the run's model; those of motion and bone lie beside it."""
        return {name: Exported(self.of(name).exported, name) for name in STREAMS}


def stream_views(maker: CropMaker, batch: ClipBatch, generator: torch.Generator) -> StreamViews:
    """Two crops of each clip, each distorted; motion and bone are taken of these."""
    views = maker.two_views(batch, generator)
    return {name: TwoViews(*(stream(view, name, maker.layout, batch.gaps) for view in views)) for name in STREAMS}


def build_branches(make_encoder: EncoderMaker, seed: int, objective: MomentumSettings) -> StreamBranches:
    """Branches with fresh weights, which follow from the seed."""
    encoders = {name: make_encoder(seed + (number << 32)) for number, name in enumerate(STREAMS)}
    with fresh_weights(seed):
        return StreamBranches({str(name): MomentumBranch(encoder, objective) for name, encoder in encoders.items()})
