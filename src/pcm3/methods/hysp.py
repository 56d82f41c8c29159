"""HYSP: a network predicts what its moving average makes of another view, measured more and more in hyperbolic space.

Franco, Mandica, Munjal, Galasso, Hyperbolic Self-paced Learning for Self-supervised Skeleton-based Action
Representations (ICLR 2023). Embeddings that are near the centre of the ball, of which the network is not sure, have
smaller gradients there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, TwoViews
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.momentum import key_copy, momentum_update
from pcm3.nn.optimiser import build_optimiser
from pcm3.nn.poincare import hyperbolic_distance, to_ball
from pcm3.settings.hysp import HYSPSettings, SelfPacedSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class HYSP(nn.Module):
    """An online and a target network on one stream (docs/FIDELITY.md, HYSP)."""

    def __init__(self, encoder: Encoder, settings: SelfPacedSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream, with a fresh projector and predictor."""
        super().__init__()
        self.settings, self.maker, self.stream = settings, maker, stream
        hidden, embedding = settings.head_hidden, settings.embedding
        self.encoder = encoder
        self.projector = two_layers(encoder.width, hidden, embedding)
        self.predictor = two_layers(embedding, hidden, embedding)
        self.target_encoder, self.target_projector = key_copy(self.encoder), key_copy(self.projector)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> TwoViews:
        """Two crops of each clip, each sheared."""
        return self.maker.two_views(batch, generator, self.stream)

    def forward(self, views: TwoViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """Of either view, what the online network predicts of the target network's embedding of the other one."""
        predicted = [self.predict(view) for view in views]
        wanted = [self.embed_targets(view) for view in views]
        with torch.autocast(predicted[0].device.type, enabled=False):
            each = [apart(*pair) for pair in zip(predicted, reversed(wanted), strict=True)]
            cosine, distance = (torch.stack(of).mean() for of in zip(*each, strict=True))
            weight = hyperbolic_weight(progress.share, self.settings.curriculum)
            loss = (1 - weight) * cosine + weight * distance
        terms = {"cosine": cosine.detach(), "distance": distance.detach()}
        return StepOutput({"all": loss}, terms, {})

    def predict(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B E"]:
        """What the online network expects the target network's embeddings to be."""
        embedding: Tensor = self.predictor(self.projector(self.encoder.pool(self.encoder.frames(clips))))
        return embedding

    @torch.no_grad()
    def embed_targets(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B E"]:
        """Embeddings by the target network, whose BatchNorm normalises by the batch and keeps statistics of its own."""
        embedding: Tensor = self.target_projector(self.target_encoder.pool(self.target_encoder.frames(clips)))
        return embedding

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """The target network follows."""
        momentum_update(self.target_encoder, self.encoder, self.settings.momentum)
        momentum_update(self.target_projector, self.projector, self.settings.momentum)

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The encoder that is trained, or its moving average."""
        encoder = self.target_encoder if self.settings.export == "ema" else self.encoder
        return {"encoder": Exported(encoder, self.stream)}


def apart(predicted: Float[Tensor, "B E"], wanted: Float[Tensor, "B E"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """How far predictions are from what was wanted, by cosine (0 to 4) and in the ball; means over the batch."""
    cosine = F.cosine_similarity(predicted.double(), wanted.double(), dim=-1)
    return (2 - 2 * cosine).mean(), hyperbolic_distance(to_ball(predicted), to_ball(wanted)).mean()


def hyperbolic_weight(share: float, curriculum: tuple[float, float]) -> float:
    """How much the distance in hyperbolic space counts at this share of the run, 0 to 1."""
    first, second = curriculum
    return min(max((share - first) / (second - first), 0.0), 1.0)


def two_layers(width: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, Linear."""
    return nn.Sequential(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> HYSP:
    """HYSP with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, HYSPSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return HYSP(encoder, settings.method.objective, maker, settings.stream)
