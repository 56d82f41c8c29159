"""GL-Transformer: of every joint and of the body's place, where it came from and how far, over several spans of time.

Kim, Chang, Kim, Choi, Global-Local Motion Transformer for Unsupervised Skeleton-Based Action Learning (ECCV 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.gl_transformer import relative_to_root
from pcm3.encoders.lengths import own_frames
from pcm3.geometry import absent
from pcm3.losses import accurate
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.gl_transformer import DisplacementSettings, GLTransformerSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout

DIRECTIONS = 27
"""Back, not at all or ahead, on each of three axes."""
NOWHERE = 13
"""Of these the one that is not at all on every axis."""
SIZES = 16
"""Not at all; 14 steps, of which the last is open; and one for a body or joint that is not there."""


class DisplacedView(NamedTuple):
    """A view of each of B clips, how many of its frames are the clip's own, and how all joints got there, over R spans.

    Told before a run's precision rounds the clips.
    """

    clips: Float[Tensor, "B T M V C"]
    lengths: Int[Tensor, " B"]
    directions: Int[Tensor, "B T R J"]
    sizes: Int[Tensor, "B T R J"]


class GLTransformer(nn.Module):
    """An encoder, and a classifier for each joint and span of time (docs/FIDELITY.md, GL-Transformer)."""

    placewise: Bool[Tensor, "R J"]
    """Which of the classifiers tell of a body's place, and are weighted so."""

    def __init__(self, encoder: Encoder, settings: DisplacementSettings, maker: CropMaker) -> None:
        """The method with fresh classifiers."""
        super().__init__()
        self.settings, self.maker = settings, maker
        self.encoder = encoder
        joints, spans = encoder.joints * encoder.bodies, len(settings.intervals)
        self.tell_direction = nn.Linear(encoder.frame_width, spans * joints * DIRECTIONS)
        self.tell_size = nn.Linear(encoder.frame_width, spans * joints * SIZES)
        is_root = torch.arange(encoder.joints).repeat_interleave(encoder.bodies) == maker.layout.root
        counted = torch.arange(spans) < (1 if settings.global_over == "first" else spans)
        self.register_buffer("placewise", counted[:, None] & is_root, persistent=False)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> DisplacedView:
        """Each clip at its own rate and length, or resampled."""
        if self.settings.length == "own":
            return self.displaced(*self.maker.padded_view(batch, self.settings.speed, generator), batch.gaps)
        clips = self.maker.one_view(batch, generator)
        return self.displaced(clips, torch.full_like(batch.length, self.maker.frames), batch.gaps)

    def displaced(self, clips: Float[Tensor, "B T M V C"], lengths: Int[Tensor, " B"], gaps: bool) -> DisplacedView:
        """These clips, and what is to be told of them; with `gaps` a joint that is absent for a while is not there."""
        there = ((clips != 0).flatten(3).any(dim=-1) & own_frames(lengths, clips.shape[1]).unsqueeze(-1)).any(dim=1)
        shape = (*clips.shape[:2], clips.shape[3], clips.shape[2])
        gone = ~there[:, None, None].expand(shape)
        if gaps:
            root, zeros = self.maker.layout.root, absent(clips).transpose(2, 3)
            gone = gone | zeros | zeros[:, :, root : root + 1]  # from which the others are seen
        truth = [self._ways(clips, gone, interval) for interval in self.settings.intervals]
        directions, sizes = (torch.stack(of, dim=2) for of in zip(*truth, strict=True))
        return DisplacedView(clips, lengths, directions, sizes)

    def forward(self, views: DisplacedView, progress: Progress, generator: torch.Generator) -> StepOutput:
        """How badly directions and sizes are told."""
        clips, lengths, directions, sizes = views
        features = self.encoder.frames(clips, lengths if self.settings.length == "own" else None)
        features = self.encoder.every_frame(features, clips.shape[1])
        direction, size = self.tell_direction(features), self.tell_size(features)
        with torch.autocast(clips.device.type, enabled=False):
            own = own_frames(lengths, clips.shape[1])[:, :, None, None].expand_as(sizes)
            moves = own & (directions != NOWHERE) if self.settings.still else own
            terms = {
                "direction": self._class_loss(direction, directions, moves),
                "size": self._class_loss(size, sizes, own),
            }
            loss = terms["direction"] + terms["size"]
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, {})

    def _ways(
        self, clips: Float[Tensor, "B T M V C"], gone: Bool[Tensor, "B T V M"], interval: int
    ) -> tuple[Int[Tensor, "B T J"], Int[Tensor, "B T J"]]:
        """Direction and size of the way back to where each joint was so many frames ago, or in the first frame.

        There is none from or to where it is gone.
        """
        joints = relative_to_root(clips.transpose(2, 3), self.maker.layout.root)
        before = (torch.arange(clips.shape[1], device=clips.device) - interval).clamp(min=0)
        nowhere = gone | gone[:, before]
        way = (joints[:, before] - joints).masked_fill(nowhere.unsqueeze(-1), 0)
        sizes = size_class(way, self.settings.bin).masked_fill(nowhere, SIZES - 1)
        return direction_class(way, self.settings.still).flatten(2), sizes.flatten(2)

    def _class_loss(
        self, logits: Float[Tensor, "B T _"], classes: Int[Tensor, "B T R J"], counted: Bool[Tensor, "B T R J"]
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy over joints and the frames that count, and that of places with its weight."""
        each = accurate(logits).unflatten(-1, (*classes.shape[2:], -1))
        errors = F.cross_entropy(each.movedim(-1, 1), classes, reduction="none")
        over_frames = (errors * counted).sum(dim=(0, 1)) / counted.sum(dim=(0, 1)).clamp(min=1)
        place = self.placewise.to(errors.dtype)
        joints = (over_frames * (1 - place)).sum() / (1 - place).sum()
        return joints + self.settings.global_weight * (over_frames * place).sum() / place.sum()

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.encoder, "joint")}


def direction_class(way: Float[Tensor, "*lead 3"], still: float = 0.0) -> Int[Tensor, "*lead"]:
    """0 to 26: on each axis 0 for back, 1 for not at all or less than `still`, 2 for ahead; the first counts least."""
    sign = way.masked_fill(way.abs() < still, 0).sign().long() + 1
    return sign[..., 0] + 3 * sign[..., 1] + 9 * sign[..., 2]


def size_class(way: Float[Tensor, "*lead 3"], step: float) -> Int[Tensor, "*lead"]:
    """0 for no way at all, then 1 for less than a step, 2 for less than two; 14 for all from 13 steps on."""
    size = way.square().sum(dim=-1).sqrt()
    steps = size.div(step, rounding_mode="floor").clamp(max=SIZES - 3).long() + 1
    return torch.where(size == 0, 0, steps)


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> GLTransformer:
    """GL-Transformer with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, GLTransformerSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return GLTransformer(encoder, settings.method.objective, maker)
