"""P&C: a decoder that is kept weak rebuilds a clip from its feature, so that all the encoder saw must be in that.

Su, Liu, Shlizerman, Predict & Cluster: Unsupervised Skeleton Based Action Recognition (CVPR 2020).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import flatten
from pcm3.geometry import stream
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, OneView
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pc import PandCSettings, WeakDecoder
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout, StreamName


class FixedState(nn.Module):
    """A GRU whose state is the clip's feature in every frame, whatever it made of it in the frame before.

    It is told the first pose and adds to each what leads to the next: nothing but the last pose tells it how far the
    movement is, and nothing but the feature which one it is.
    """

    given = 1
    """Poses that it is told, and does not predict."""

    def __init__(self, width: int, pose: int) -> None:
        """For features (B, `width`) and poses (B, `pose`), with fresh weights."""
        super().__init__()
        self.cell = nn.GRUCell(pose, width)
        self.leave = nn.Linear(width, pose)

    def forward(self, feature: Float[Tensor, "B D"], poses: Float[Tensor, "B T I"]) -> Float[Tensor, "B t I"]:
        """The poses after the first, each from the one that was predicted before it."""
        cell = self.cell
        # The product with the state, by far the larger one, is the same in every frame.
        of_state = F.linear(feature, cell.weight_hh, cell.bias_hh).chunk(3, dim=-1)
        made = [poses[:, 0]]
        for _ in range(1, poses.shape[1]):
            of_pose = F.linear(made[-1], cell.weight_ih, cell.bias_ih).chunk(3, dim=-1)
            reset, update = (torch.sigmoid(own + past) for own, past in zip(of_pose[:2], of_state[:2], strict=True))
            new = torch.tanh(of_pose[2] + reset * of_state[2])
            made.append(made[-1] + self.leave(torch.lerp(new, feature, update)))
        return torch.stack(made[1:], dim=1)


class FixedWeights(nn.Module):
    """A GRU that begins with the clip's feature and runs on by itself, with the weights that it was made with.

    Neither they nor those of its output learn: it is the encoder that must find the feature from which they make the
    clip.
    """

    given = 0
    """Poses that it is told."""

    def __init__(self, width: int, pose: int) -> None:
        """For features (B, `width`) and poses (B, `pose`), with weights that stay."""
        super().__init__()
        self.gru = nn.GRU(pose, width, batch_first=True)
        self.leave = nn.Linear(width, pose)
        self.requires_grad_(False)

    def forward(self, feature: Float[Tensor, "B D"], poses: Float[Tensor, "B T I"]) -> Float[Tensor, "B T I"]:
        """All poses, whose number is all that it is told of them."""
        states, _ = self.gru(torch.zeros_like(poses), feature.unsqueeze(0).contiguous())
        rebuilt: Tensor = self.leave(states)
        return rebuilt


DECODERS: dict[WeakDecoder, Callable[[int, int], FixedState | FixedWeights]] = {
    "fixed_state": FixedState,
    "fixed_weights": FixedWeights,
}
"""By the name in the settings: (width of a feature, numbers of a pose) → the decoder."""


class PandC(nn.Module):
    """An encoder and a weak decoder on one stream (docs/FIDELITY.md, P&C)."""

    def __init__(self, encoder: Encoder, decoder: WeakDecoder, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream, with a fresh decoder, whose state is as wide as a feature."""
        super().__init__()
        self.maker, self.stream = maker, stream
        self.encoder = encoder
        self.decoder = DECODERS[decoder](encoder.width, encoder.inputs)
        for weight in self.decoder.parameters():
            if weight.dim() == 2:
                nn.init.xavier_uniform_(weight)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> OneView:
        """Each clip, whole if nothing else is asked for."""
        view = self.maker.one_view(batch, generator)
        return OneView(stream(view, self.stream, self.maker.layout, batch.gaps))

    def forward(self, views: OneView, progress: Progress, generator: torch.Generator) -> StepOutput:
        """How far the rebuilt clips are from the true ones: the sum over the numbers of a pose, mean over the poses.

        The decoder adds up its own steps, so it computes in float32 at least.
        """
        feature = self.encoder.pool(self.encoder.frames(views.clips))
        poses = flatten(views.clips)
        poses = poses.to(torch.promote_types(poses.dtype, torch.float32))
        with torch.autocast(poses.device.type, enabled=False):
            rebuilt = self.decoder(feature.to(poses.dtype), poses)
            loss = (rebuilt - poses[:, self.decoder.given :]).abs().sum(dim=-1).mean()
        return StepOutput({"all": loss}, {"rebuilding": loss.detach()}, {})

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.encoder, self.stream)}


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> PandC:
    """P&C with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, PandCSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return PandC(encoder, settings.method.objective.decoder, maker, settings.stream)
