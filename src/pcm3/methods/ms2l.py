"""MS²L: an encoder that predicts what a clip hides, orders its segments, and knows it again in both.

Lin, Song, Yang, Liu, MS²L: Multi-Task Self-Supervised Learning for Skeleton Based Action Recognition (MM 2020).
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import flatten
from pcm3.geometry import stream
from pcm3.losses import accurate
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.nn.whole_gru import whole_gru
from pcm3.settings.ms2l import MS2LSettings, ThreeTaskSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class OrderedView(NamedTuple):
    """A view of each of B clips, and the order in which its segments are to be shown."""

    clips: Float[Tensor, "B T M V C"]
    order: Int[Tensor, " B"]
    """Which of `MS2L.orders`."""


class Head(nn.Sequential):
    """Features (B, D) → (B, E): Linear, BatchNorm, ReLU, Linear."""

    def __init__(self, width: int, hidden: int, outputs: int) -> None:
        """With fresh weights, Xavier normal, and biases of 0."""
        super().__init__(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)


class MotionDecoder(nn.Module):
    """Features of every frame (B, T, W) → poses (B, T, I), by a GRU of two layers that are as wide as a feature."""

    def __init__(self, width: int, pose: int) -> None:
        """With fresh weights."""
        super().__init__()
        self.gru = nn.GRU(width, width, num_layers=2, batch_first=True)
        self.leave = nn.Linear(width, pose)

    def forward(self, features: Float[Tensor, "B T W"]) -> Float[Tensor, "B T I"]:
        """The pose of every frame."""
        poses: Tensor = self.leave(whole_gru(self.gru, features))
        return poses


class MS2L(nn.Module):
    """An encoder and a head for each of three tasks, on one stream (docs/FIDELITY.md, MS²L)."""

    orders: Int[Tensor, "O S"]
    """Every order of the segments."""

    def __init__(self, encoder: Encoder, settings: ThreeTaskSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream, with fresh heads."""
        super().__init__()
        self.settings, self.maker, self.stream = settings, maker, stream
        orders = torch.tensor([*permutations(range(settings.segments))])
        self.register_buffer("orders", orders, persistent=False)
        self.encoder = encoder
        self.predict = MotionDecoder(encoder.frame_width, encoder.inputs)
        self.find_order = Head(encoder.width, settings.head_hidden, len(orders))
        self.embed = Head(encoder.width, settings.head_hidden, settings.embedding)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> OrderedView:
        """Each clip, whole if nothing else is asked for, and an order at random, perhaps its own."""
        view = self.maker.one_view(batch, generator)
        order = torch.randint(len(self.orders), (len(view),), generator=generator, device=view.device)
        return OrderedView(stream(view, self.stream, self.maker.layout, batch.gaps), order)

    def forward(self, views: OrderedView, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The three losses together: motion prediction, jigsaw, contrast."""
        clips, inputs = views.clips, self.encoder.build_inputs
        view_inputs = [
            inputs(clips),
            inputs(clips, end_hidden(clips, self.settings.hidden_share)),
            inputs(reordered(clips, self.orders[views.order])),
        ]
        frames = self.encoder.encode_views(*view_inputs)
        plain, masked, shuffled = (self.encoder.pool(of) for of in frames)
        predicted = self.predict(self.encoder.every_frame(frames[1], clips.shape[1]))
        order = self.find_order(shuffled)
        embeddings = [self.embed(feature) for feature in (plain, masked, shuffled)]
        with torch.autocast(clips.device.type, enabled=False):
            terms = {
                "prediction": F.mse_loss(accurate(predicted), accurate(flatten(clips))),
                "jigsaw": F.cross_entropy(accurate(order), views.order),
                "contrast": to_their_mean([accurate(of) for of in embeddings], self.settings.temperature),
            }
            loss = torch.stack([*terms.values()]).sum()
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, {})

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.encoder, self.stream)}


def end_hidden(clips: Float[Tensor, "B T M V C"], share: float) -> Bool[Tensor, "B T M V"]:
    """True in the last frames, so large a share of them."""
    frames = clips.shape[1]
    hidden = torch.arange(frames, device=clips.device) >= frames * (1 - share)
    return hidden[:, None, None].expand(clips.shape[:-1])


def reordered(clips: Float[Tensor, "B T M V C"], order: Int[Tensor, "B S"]) -> Float[Tensor, "B T M V C"]:
    """The clips with their segments in another order: in place i stands segment `order[i]`.

    All segments are of one length; frames at the end that are too few for it stay.
    """
    segments = order.shape[1]
    length, frames = clips.shape[1] // segments, torch.arange(clips.shape[1], device=clips.device)
    moved = (order.unsqueeze(-1) * length + frames[:length]).flatten(1)
    rest = frames[segments * length :].expand(len(clips), -1)
    source = torch.cat([moved, rest], dim=1)
    return clips.gather(1, source[:, :, None, None, None].expand_as(clips))


def to_their_mean(embeddings: list[Float[Tensor, "B E"]], temperature: float) -> Float[Tensor, ""]:
    """How badly each embedding of a clip finds the mean of all of them among those of the batch, and is found by it.

    The mean over the embeddings of SimCLR's loss between embedding and mean. An embedding counts among its own
    negatives, as if it were opposite to itself (docs/FIDELITY.md, MS²L).
    """
    mean = torch.stack(embeddings).mean(dim=0)
    losses = []
    for embedding in embeddings:
        both = F.normalize(torch.cat([embedding, mean]), dim=-1)
        cosines = (both @ both.T).fill_diagonal_(-1.0) / temperature
        partner = torch.arange(len(both), device=both.device).roll(len(embedding))
        losses.append(F.cross_entropy(cosines, partner))
    return torch.stack(losses).mean()


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> MS2L:
    """MS²L with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, MS2LSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return MS2L(encoder, settings.method.objective, maker, settings.stream)
