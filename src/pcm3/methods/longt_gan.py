"""LongT GAN: a clip of which half is hidden is rebuilt from one code, so well that a discriminator takes it for real.

Zheng et al., Unsupervised Representation Learning with Long-Term Dynamics for Skeleton Based Action Recognition (AAAI
2018). Its authors published no code, and the paper was not at hand: this is a re-implementation from a description of
some lines, and every decision in it is ours (docs/FIDELITY.md, LongT GAN).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
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
from pcm3.settings.longt_gan import InpaintingSettings, LongTGANSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class HiddenView(NamedTuple):
    """A view of each of B clips, and which of its frames nobody sees."""

    clips: Float[Tensor, "B T M V C"]
    hidden: Bool[Tensor, "B T"]


class CodeDecoder(nn.Module):
    """A code (B, D) → poses (B, T, I), by a GRU that is told the code in every frame, and nothing else."""

    def __init__(self, width: int, hidden: int, pose: int) -> None:
        """With fresh weights."""
        super().__init__()
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.leave = nn.Linear(hidden, pose)

    def forward(self, code: Float[Tensor, "B D"], frames: int) -> Float[Tensor, "B {frames} I"]:
        """So many poses."""
        poses: Tensor = self.leave(whole_gru(self.gru, code.unsqueeze(1).expand(-1, frames, -1)))
        return poses


class Discriminator(nn.Module):
    """Poses of whole clips (B, T, I) → how real each looks (B,), from −∞ to ∞: a bidirectional GRU and its mean."""

    def __init__(self, pose: int, hidden: int) -> None:
        """With fresh weights."""
        super().__init__()
        self.gru = nn.GRU(pose, hidden, batch_first=True, bidirectional=True)
        self.judge = nn.Linear(2 * hidden, 1)

    def forward(self, poses: Float[Tensor, "B T I"]) -> Float[Tensor, " B"]:
        """The odds that a clip is real, as a logarithm."""
        odds: Tensor = self.judge(whole_gru(self.gru, poses).mean(dim=1)).squeeze(-1)
        return odds


class LongTGAN(nn.Module):
    """An encoder and a decoder on one stream, and their discriminator (docs/FIDELITY.md, LongT GAN)."""

    def __init__(self, encoder: Encoder, settings: InpaintingSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream, with a fresh decoder and discriminator."""
        super().__init__()
        self.settings, self.maker, self.stream = settings, maker, stream
        self.encoder = encoder
        self.decoder = CodeDecoder(encoder.width, settings.decoder_hidden, encoder.inputs)
        self.discriminator = Discriminator(encoder.inputs, settings.discriminator_hidden)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> HiddenView:
        """Each clip, whole if nothing else is asked for, and frames at random that are hidden, as many of each."""
        view = self.maker.one_view(batch, generator)
        size, frames = view.shape[:2]
        place = torch.rand(size, frames, generator=generator, device=view.device).argsort(dim=1)
        hidden = place < round(frames * self.settings.hidden_share)
        return HiddenView(stream(view, self.stream, self.maker.layout, batch.gaps), hidden)

    def forward(self, views: HiddenView, progress: Progress, generator: torch.Generator) -> StepOutput:
        """What the rebuilt clips are short of, and how badly the discriminator tells them from the true ones.

        Both losses are of one look at the clips: each moves the weights of its own optimiser alone.
        """
        poses = flatten(views.clips)
        code = self.encode(views)
        rebuilt = self.decoder(code, poses.shape[1])
        true, made = self.discriminator(torch.cat([poses.to(rebuilt.dtype), rebuilt])).chunk(2)
        with torch.autocast(poses.device.type, enabled=False):
            true, made = accurate(true), accurate(made)
            inpainting = (accurate(rebuilt) - accurate(poses)).square().sum(dim=-1).mean()
            deception = F.softplus(-made).mean()
            discrimination = F.softplus(-true).mean() + F.softplus(made).mean()
            losses = {
                "autoencoder": inpainting + self.settings.adversarial_weight * deception,
                "discriminator": discrimination,
            }
        terms = {"inpainting": inpainting, "deception": deception, "discrimination": discrimination}
        return StepOutput(losses, {name: term.detach() for name, term in terms.items()}, {})

    def encode(self, views: HiddenView) -> Float[Tensor, "B D"]:
        """The code of each clip, from the frames that are not hidden; these are zeros."""
        masked = views.hidden[:, :, None, None].expand(views.clips.shape[:-1])
        (features,) = self.encoder.encode_views(self.encoder.build_inputs(views.clips, masked))
        return self.encoder.pool(features)

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One of what rebuilds clips, and one of what judges them."""
        autoencoder = nn.ModuleList([self.encoder, self.decoder])
        return {
            "autoencoder": build_optimiser(autoencoder, settings),
            "discriminator": build_optimiser(self.discriminator, settings),
        }

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.encoder, self.stream)}


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> LongTGAN:
    """LongT GAN with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, LongTGANSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return LongTGAN(encoder, settings.method.objective, maker, settings.stream)
