"""PSTL: clips with frames or joints missing are to have the embeddings of whole ones, by Barlow Twins.

Zhou, Duan, Rao, Su, Wang, Self-supervised Action Representation Learning from Partial Spatio-Temporal Skeleton
Sequences (AAAI 2023).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from pcm3.augment.extreme import extreme_view
from pcm3.augment.partial import draw_joints, drop_moving_frames
from pcm3.augment.spatial import in_plane
from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.errors import ConfigError
from pcm3.geometry import stream
from pcm3.losses import barlow_twins
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker, require_mirror
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.pstl import PSTLSettings
from pcm3.skeleton import Layout, StreamName


class PartialViews(NamedTuple):
    """Three views of each of B clips."""

    whole: Float[Tensor, "B T M V C"]
    some_frames: Float[Tensor, "B S M V C"]
    of_some_joints: Float[Tensor, "B T M V C"]
    """All joints, before some go."""
    joints: Int[Tensor, "B J"]
    """Those that stay in it, the same in all clips."""


class PSTL(nn.Module):
    """An encoder on one stream, and a projector (docs/FIDELITY.md, PSTL)."""

    def __init__(self, encoder: Encoder, settings: PSTLSettings, maker: CropMaker, stream: StreamName) -> None:
        """The method on views that become this stream, with a fresh projector."""
        super().__init__()
        self.encoder, self.settings, self.maker, self.stream = encoder, settings, maker, stream
        self.projector = three_layers(encoder.width, settings.objective.embedding)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> PartialViews:
        """Three crops of each clip, each sheared, turned and perhaps with its sides exchanged."""
        maker, missing = self.maker, self.settings.partial
        crops = maker.distort(maker.crops(batch, 3, generator), batch, generator)
        crops = in_plane(extreme_view(crops, self.settings.extreme, maker.layout, generator, batch.gaps), batch.flat)
        crops = stream(crops, self.stream, maker.layout, batch.gaps)
        whole, second, third = crops.chunk(3)
        joints = draw_joints(maker.layout.parents, missing.joints, generator)
        return PartialViews(
            whole,
            drop_moving_frames(second, missing.frames, generator, batch.gaps),
            third,
            joints.expand(len(third), -1),
        )

    def forward(self, views: PartialViews, progress: Progress, generator: torch.Generator) -> StepOutput:
        """Each of the two partial views against the whole one."""
        encoder, weight = self.encoder, self.settings.objective.redundancy_weight
        frames = (
            encoder.frames(views.whole),
            encoder.frames(views.some_frames),
            encoder.frames_of_joints(views.of_some_joints, views.joints[0]),
        )
        whole, *partial = (self.projector(encoder.pool(of_view)) for of_view in frames)
        with torch.autocast(whole.device.type, enabled=False):
            terms = {
                name: barlow_twins(whole, part, weight)
                for name, part in zip(("frames", "joints"), partial, strict=True)
            }
            loss = terms["frames"] + terms["joints"]
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, {})

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.encoder, self.stream)}


def three_layers(width: int, embedding: int) -> nn.Sequential:
    """Barlow Twins' projector: three layers of one width without biases, BatchNorm and ReLU between them."""
    layers: list[nn.Module] = [nn.Linear(width, embedding, bias=False)]
    for _ in range(2):
        layers += [nn.BatchNorm1d(embedding), nn.ReLU(), nn.Linear(embedding, embedding, bias=False)]
    return nn.Sequential(*layers)


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> PSTL:
    """PSTL with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    method = settings.method
    assert isinstance(method, PSTLSettings)
    if method.partial.joints >= len(layout.joints):
        raise ConfigError(
            f"setting partial.joints: expected less than the {len(layout.joints)} joints of layout {layout.name}, got "
            f"{method.partial.joints}"
        )
    require_mirror(layout, "extreme.flip_prob", method.extreme.flip_prob)
    maker = CropMaker(layout, settings.frames, method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return PSTL(encoder, method, maker, settings.stream)
