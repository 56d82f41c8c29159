"""H-Transformer: from a clip of which some parts are hidden, in which direction every joint and every part moves.

Cheng et al., Hierarchical Transformer: Unsupervised Representation Learning for Skeleton-Based Human Action Recognition
(ICME 2021). There is no code, and the paper was not at hand: this is a re-implementation from a description of a few
words, and every decision in it is ours (docs/FIDELITY.md, H-Transformer).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from pcm3.augment.mask import draw_mask
from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.geometry import motion
from pcm3.losses import accurate
from pcm3.methods.gl_transformer import DIRECTIONS, NOWHERE, direction_class
from pcm3.methods.protocol import EncoderMaker, Exported, Progress, StepOutput
from pcm3.methods.views import CropMaker
from pcm3.nn.fresh_weights import fresh_weights
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.h_transformer import HTransformerSettings, MotionDirectionSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import Layout


class PartlyHiddenView(NamedTuple):
    """A view of each of B clips, which of its joints nobody sees, and in which direction joints and parts move.

    Told before a run's precision rounds the clips.
    """

    clips: Float[Tensor, "B T M V C"]
    masked: Bool[Tensor, "B T M V"]
    joints: Int[Tensor, "B T M V"]
    parts: Int[Tensor, "B T M P"]


class HTransformer(nn.Module):
    """An encoder, and a classifier for each joint and each part."""

    share_of_joint: Float[Tensor, "P V"]
    """With which each joint counts in a part's motion."""

    def __init__(self, encoder: Encoder, settings: MotionDirectionSettings, maker: CropMaker) -> None:
        """The method with fresh classifiers."""
        super().__init__()
        self.settings, self.maker = settings, maker
        self.encoder = encoder
        parts = maker.layout.filled_parts
        inside = torch.tensor([[joint in part for joint in range(encoder.joints)] for part in parts]).float()
        self.register_buffer("share_of_joint", inside / inside.sum(dim=1, keepdim=True), persistent=False)
        self.tell_joints = nn.Linear(encoder.frame_width, encoder.bodies * encoder.joints * DIRECTIONS)
        self.tell_parts = nn.Linear(encoder.frame_width, encoder.bodies * len(parts) * DIRECTIONS)

    def views(self, batch: ClipBatch, generator: torch.Generator) -> PartlyHiddenView:
        """A view of each clip, and parts that are hidden in it, other ones in each clip."""
        clips, parts = self.maker.one_view(batch, generator), self.maker.layout.parts
        size, frames, bodies, joints = clips.shape[:4]
        masked = draw_mask(
            (size, frames, bodies, joints), parts, "topology", self.settings.mask_ratio, True, "all", generator
        )
        return PartlyHiddenView(clips, masked, *self.directions(motion(clips, batch.gaps)))

    def directions(self, motion: Float[Tensor, "B T M V C"]) -> tuple[Int[Tensor, "B T M V"], Int[Tensor, "B T M P"]]:
        """Of joints, and of parts, which move as their joints in the mean."""
        of_parts = torch.einsum("pv,btmvc->btmpc", self.share_of_joint.to(motion.dtype), motion)
        return direction_class(motion, self.settings.still), direction_class(of_parts, self.settings.still)

    def forward(self, views: PartlyHiddenView, progress: Progress, generator: torch.Generator) -> StepOutput:
        """How badly the directions of joints and of parts that move are told, hidden or not."""
        (frames,) = self.encoder.encode_views(self.encoder.build_inputs(views.clips, views.masked))
        features = self.encoder.every_frame(frames, views.clips.shape[1])
        joints, parts = self.tell_joints(features), self.tell_parts(features)
        with torch.autocast(joints.device.type, enabled=False):
            terms = {"joints": direction_loss(joints, views.joints), "parts": direction_loss(parts, views.parts)}
            loss = terms["joints"] + self.settings.part_weight * terms["parts"]
        return StepOutput({"all": loss}, {name: term.detach() for name, term in terms.items()}, {})

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.encoder, "joint")}


def direction_loss(logits: Float[Tensor, "B T _"], classes: Int[Tensor, "B T M U"]) -> Float[Tensor, ""]:
    """The mean cross-entropy of the directions of what moves; 0 where nothing does.

    What is still has no direction; were it counted, half of what is told of a depth camera's clips would be that. The
    last frame, from which nothing leads on, does not count either.
    """
    each = accurate(logits).unflatten(-1, (*classes.shape[2:], DIRECTIONS))[:, :-1].flatten(0, 3)
    right = classes[:, :-1].flatten()
    errors = F.cross_entropy(each, right, ignore_index=NOWHERE, reduction="sum")
    return errors / (right != NOWHERE).sum().clamp(min=1)


def build(make_encoder: EncoderMaker, layout: Layout, settings: PretrainSettings) -> HTransformer:
    """H-Transformer with fresh weights, which follow from the seed.

    Raises:
        ConfigError: the layout does not have what the views need.
    """
    assert isinstance(settings.method, HTransformerSettings)
    maker = CropMaker(layout, settings.frames, settings.method.views)
    encoder = make_encoder(settings.seed)
    with fresh_weights(settings.seed):
        return HTransformer(encoder, settings.method.objective, maker)
