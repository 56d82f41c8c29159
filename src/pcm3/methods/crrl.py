"""CRRL: an encoder rebuilds clips forwards and backwards, and is told by another one what of them is motion.

Wang, Wen, Si, Qian, Wang, Contrast-Reconstruction Representation Learning for Self-Supervised Skeleton-Based Action
Recognition (TIP 2022). Its parts: a sequential reconstructor (SER), a contrastive motion learner (CML), and an
information fuser (INF) from the second to the first.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import flatten
from pcm3.geometry import motion
from pcm3.losses import accurate, info_nce
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.momentum import key_copy, momentum_update
from pcm3.nn.optimiser import build_optimiser
from pcm3.nn.queue import KeyQueue
from pcm3.nn.whole_gru import whole_gru
from pcm3.settings.crrl import CRRLSettings, MotionContrastSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout


class PosesAndMotion(NamedTuple):
    """A view of each of B clips, and its motion to the next frame."""

    clips: Float[Tensor, "B T M V C"]
    motion: Float[Tensor, "B T M V C"]


def two_layers(width: int, outputs: int) -> nn.Sequential:
    """Linear, ReLU, Linear, from a width over the same width."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))


class Reconstructor(nn.Module):
    """SER's decoder: one state of the encoder (B, W) → poses (B, T, I), which are the states of two layers so wide.

    It is told the state in every frame.
    """

    def __init__(self, width: int, pose: int, dropout: float) -> None:
        """With fresh weights."""
        super().__init__()
        self.gru = nn.GRU(width, pose, num_layers=2, batch_first=True, dropout=dropout)

    def forward(self, state: Float[Tensor, "B W"], frames: int) -> Float[Tensor, "B {frames} I"]:
        """So many poses."""
        return whole_gru(self.gru, state.unsqueeze(1).expand(-1, frames, -1))


class MotionLearner(nn.Module):
    """CML: each clip's poses find the key of its motion among those of earlier clips.

    The key encoder follows by momentum; what makes embeddings of its features stays as it was drawn.
    """

    def __init__(self, encoder: Encoder, settings: MotionContrastSettings) -> None:
        """With fresh weights beside those of the encoder, which is that of the queries."""
        super().__init__()
        self.momentum, self.temperature = settings.momentum, settings.temperature
        self.encoder, self.key_encoder = encoder, key_copy(encoder)
        self.projector = two_layers(encoder.width, settings.embedding)
        self.key_projector = two_layers(encoder.width, settings.embedding).requires_grad_(False)
        self.queue = KeyQueue(settings.queue, settings.embedding)

    @torch.no_grad()
    def embed_keys(self, motion: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B E"]:
        """Embeddings of unit length."""
        return unit(self.key_projector(self.key_encoder.pool(self.key_encoder.frames(motion))))

    def contrast(self, query: Float[Tensor, "B E"], key: Float[Tensor, "B E"]) -> Float[Tensor, ""]:
        """InfoNCE of queries of unit length, each against its key and the queue."""
        positive, negative = (query * key).sum(dim=-1), query @ self.queue.keys.T
        return info_nce(positive[None], negative[None], self.temperature).squeeze()

    def follow(self, keys: Float[Tensor, "B E"]) -> None:
        """The key encoder follows by momentum, the keys of the step go into the queue."""
        momentum_update(self.key_encoder, self.encoder, self.momentum)
        self.queue.push(keys)


class CRRL(nn.Module):
    """SER, CML and INF, all in every step (docs/FIDELITY.md, CRRL)."""

    def __init__(
        self, encoder: Encoder, motion_encoder: Encoder, settings: MotionContrastSettings, maker: CropMaker
    ) -> None:
        """The method with an encoder for SER and one for CML, which are of one size."""
        super().__init__()
        self.maker, self.fusion_weight = maker, settings.fusion_weight
        self.encoder = encoder
        self.decoder = Reconstructor(encoder.frame_width, encoder.inputs, settings.decoder_dropout)
        self.learner = MotionLearner(motion_encoder, settings)
        self.fuser = two_layers(encoder.width, motion_encoder.width)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> PosesAndMotion:
        """Each clip, whole if nothing else is asked for, and its motion."""
        clips = self.maker.one_view(batch, generator)
        return PosesAndMotion(clips, motion(clips, batch.gaps))

    def forward(self, views: PosesAndMotion, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The losses of the three parts together."""
        states, learner = self.encoder.frames(views.clips), self.learner
        ahead, back = (self.decoder(states[:, frame], views.clips.shape[1]) for frame in (0, -1))
        moved = learner.encoder.pool(learner.encoder.frames(views.clips))
        query, key = unit(learner.projector(moved)), learner.embed_keys(views.motion)
        fused = self.fuser(self.encoder.pool(states))
        with torch.autocast(key.device.type, enabled=False):
            poses = accurate(flatten(views.clips))
            terms = {
                "contrast": learner.contrast(query, key),
                "forwards": squared(accurate(ahead), poses).mean(),
                "backwards": squared(accurate(back), poses.flip(1)).mean(),
                "fusion": squared(accurate(fused), accurate(moved.detach())).mean(),
            }
            loss = terms["contrast"] + terms["forwards"] + terms["backwards"] + self.fusion_weight * terms["fusion"]
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, {"keys": key})

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """CML's key encoder and queue follow."""
        self.learner.follow(state["keys"])

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """SER's, into which INF fused what CML has learned; as the released code evaluates it."""
        return {"encoder": Exported(self.encoder, "joint")}


def unit(values: Float[Tensor, "B E"]) -> Float[Tensor, "B E"]:
    """Of length 1, in float32 at least."""
    return F.normalize(accurate(values), dim=-1)


def squared(first: Float[Tensor, "*lead N"], second: Float[Tensor, "*lead N"]) -> Float[Tensor, "*lead"]:
    """The squared length of their difference."""
    return (first - second).square().sum(dim=-1)


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> CRRL:
    """CRRL with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, CRRLSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder, motion_encoder = (make_encoder(settings.seed + (number << 32)) for number in (0, 1))
    with fresh_weights(settings.seed):
        return CRRL(encoder, motion_encoder, settings.method.objective, maker)
