"""MAMP: from a tenth of a clip's tokens, mostly of joints that hardly move, the motion of all others is predicted.

Mao, Deng, Zhou, Fang, Ouyang, Li, Masked Motion Predictors are Strong 3D Action Representation Learners (ICCV 2023).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.vit import PATCH, SPREAD, Blocks, Places, patches, tokens_and_blocks
from pcm3.geometry import input_feature, motion, stream
from pcm3.losses import accurate
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.mamp import MAMPSettings, MaskedMotionSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName

COORDINATES = 3


class MaskedView(NamedTuple):
    """A view of each of B clips, how its joints move, and the order in which its L tokens are hidden."""

    clips: Float[Tensor, "B T M V C"]
    motion: Float[Tensor, "B T M V C"]
    order: Int[Tensor, "B M L"]
    """The first of each body's tokens are seen, the others masked; tokens are numbered time by time, joint by joint."""


class MotionDecoder(nn.Module):
    """Features of seen tokens (N, K, W) → what is predicted of the masked ones (N, L - K, P)."""

    def __init__(self, width: int, times: int, joints: int, settings: MaskedMotionSettings) -> None:
        """With fresh weights."""
        super().__init__()
        inside = settings.decoder_hidden
        self.enter = nn.Linear(width, inside)
        self.unknown = nn.Parameter(torch.empty(inside))
        self.places = Places(times, joints, inside)
        self.blocks = Blocks(inside, settings.decoder_layers)
        self.leave = nn.Linear(inside, PATCH * COORDINATES)
        nn.init.normal_(self.unknown, std=SPREAD)
        for layer in (self.enter, self.leave):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, visible: Float[Tensor, "N K W"], order: Int[Tensor, "N L"]) -> Float[Tensor, "N _ P"]:
        """In the order of the masked tokens."""
        known = visible.shape[1]
        entered = self.enter(visible)
        unknown = self.unknown.to(entered.dtype).expand(entered.shape[0], order.shape[1] - known, -1)
        places = self.places(self.places.of_time.shape[0]).flatten(1, 3).expand(entered.shape[0], -1, -1)
        decoded = self.blocks(torch.cat([entered, unknown], dim=1) + taken(places, order))
        predicted: Tensor = self.leave(decoded[:, known:])
        return predicted


class MAMP(nn.Module):
    """An encoder that sees some tokens, and the decoder of the others' motion (docs/FIDELITY.md, MAMP)."""

    def __init__(self, encoder: Encoder, settings: MaskedMotionSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream, with a fresh decoder."""
        super().__init__()
        self.settings, self.maker, self.stream = settings, maker, stream
        self.encoder = encoder
        self.decoder = MotionDecoder(encoder.frame_width, maker.frames // PATCH, encoder.joints, settings)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> MaskedView:
        """A view of each clip; what moves much is masked more often."""
        view = self.maker.one_view(batch, generator)
        clips = stream(view, self.stream, self.maker.layout, batch.gaps)
        order = order_of_tokens(clips, self.settings.mask_temperature, generator, batch.gaps)
        return MaskedView(clips, motion(clips, batch.gaps), order)

    def forward(self, views: MaskedView, progress: Progress, generator: torch.Generator) -> StepOutput:
        """How far the predicted motion is from the true one, where it was masked."""
        order = views.order.flatten(0, 1)
        known = min(max(1, round(order.shape[1] * (1 - self.settings.mask_ratio))), order.shape[1] - 1)
        predicted = self.decoder(self.encode(views.clips, order[:, :known]), order)
        with torch.autocast(order.device.type, enabled=False):
            target = taken(flat_patches(views.motion).flatten(0, 1), order[:, known:])
            if self.settings.segment_target:
                target = normalised_rows(target)
            loss = (accurate(predicted) - accurate(target)).square().mean()
        return StepOutput({"all": loss}, {"prediction": loss.detach()}, {})

    def encode(self, clips: Float[Tensor, "B T M V C"], visible: Int[Tensor, "N K"]) -> Float[Tensor, "N K W"]:
        """The features of these tokens of each body, from no others."""
        tokens, blocks = tokens_and_blocks(self.encoder, clips)
        features: Tensor = blocks(taken(tokens.flatten(0, 1), visible))
        return features

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.encoder, self.stream)}


def flat_patches(clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B M L P"]:
    """Of each token its values, frame by frame; tokens time by time, joint by joint."""
    return patches(clips.transpose(2, 3)).flatten(2, 3)


def taken(tokens: Shaped[Tensor, "N L W"], index: Int[Tensor, "N K"]) -> Shaped[Tensor, "N K W"]:
    """These of each row's tokens."""
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def normalised_rows(values: Float[Tensor, "N K P"]) -> Float[Tensor, "N K P"]:
    """Each token's values with the mean 0 and the variance 1; those that do not differ become 0."""
    centred = values - values.mean(dim=-1, keepdim=True)
    return centred / (values.var(dim=-1, keepdim=True) + 1e-6).sqrt()


def order_of_tokens(
    clips: Float[Tensor, "B T M V C"], temperature: float, generator: torch.Generator, gaps: bool = False
) -> Int[Tensor, "B M L"]:
    """Of each body's tokens those to be seen first: at random, what moves much rather late.

    A token's motion is how far it is from its joint's token before, coordinate by coordinate; the first time's is that
    of the second. With `gaps`, nothing moves to or from where a joint is absent. Over the largest of the body and over
    the temperature it is the logit of being hidden next.
    """
    ways = flat_patches(input_feature(clips, f"motion{PATCH}", (), gaps)).abs().mean(dim=-1)
    draw = torch.rand(ways.shape, generator=generator, device=clips.device).clamp(1e-12, 1 - 1e-7)
    late = -(-draw.log()).log()
    if temperature:
        by_time = ways.unflatten(2, (clips.shape[1] // PATCH, -1))[:, :, :-1]
        ways = torch.cat([by_time[:, :, :1], by_time], dim=2).flatten(2)
        late = late + (ways / (ways.amax(dim=-1, keepdim=True) * temperature + 1e-10)).log_softmax(dim=-1)
    return late.argsort(dim=-1)


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> MAMP:
    """MAMP with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, MAMPSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return MAMP(encoder, settings.method.objective, maker, settings.stream)
