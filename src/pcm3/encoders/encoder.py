"""The encoder: input features of a frame, normalised, through the layers of its kind, then a readout of the clip."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pcm3.encoders import inputs
from pcm3.encoders.input_norm import SharedScale
from pcm3.encoders.lengths import hold_last, normalised, own_frames, strided
from pcm3.encoders.network import NetworkSize, build_network
from pcm3.encoders.readout import Readout
from pcm3.errors import ConfigError
from pcm3.nn.prompt import Prompt
from pcm3.settings.encoder import KINDS, Direction, EncoderKind, InputScale, Pooling, SequenceKind
from pcm3.skeleton import InputFeature


class StepState(NamedTuple):
    """All that a causal encoder must remember of the frames so far."""

    past: Float[Tensor, "B P M V C"]
    """Frames that motions still lead from, see `pcm3.encoders.inputs.first_past`."""
    layers: tuple[Tensor, ...]
    """The state of each layer."""


class Encoder(nn.Module):
    """Clips (B, T, M, V, C) → features of every frame (B, S, `frame_width`) and of the clip (B, `width`).

    S = ⌈T / `time_stride`⌉. Where the encoder is `causal`, a frame's feature knows only the frames up to it, and `step`
    gives the same features one frame at a time. `causal` is what the released "Bi-GRU" computes, since it is stepped
    one frame at a time (docs/FIDELITY.md 1); `bidirectional` is what the paper's text says.

    Lengths (B,) say how many frames of each clip are its own, where clips are padded to one T; features beyond them
    mean nothing.
    """

    def __init__(
        self,
        bodies: int,
        joints: int,
        coordinates: int = 3,
        hidden_size: int = 1024,
        layers: int = 3,
        direction: Direction = "causal",
        pooling: Pooling = "last",
        *,
        kind: EncoderKind = "gru",
        input_features: Sequence[InputFeature] = ("joint",),
        parents: Sequence[int] | None = None,
        parts: Sequence[Sequence[int]] = (),
        normalise_features: bool = False,
        gaps: bool = False,
        at_origin: Sequence[int] | None = None,
        channels: int = 0,
        dropout: float = 0.0,
        frames: int = 64,
        sequence: SequenceKind = "gru",
        input_scale: InputScale = "each",
    ) -> None:
        """An encoder with fresh weights; what the sizes and choices mean stands in `pcm3.settings.encoder`.

        `parents`: of every joint (V,), where bones are input features or the kind works on joints; the root is its own.
        `parts`: the joints of each, where the kind works on parts. `gaps`: joints are absent from some frames of the
        clips, as zeros: bones and motions that lead to or from there are 0. `at_origin`: joints whose zeros may be
        their place, see `pcm3.geometry.absent`. `frames`: of the clips that it will be trained on, where the kind sees
        whole movements of joints.

        Raises:
            ConfigError: the kind cannot be of this size or direction.
        """
        super().__init__()
        self.bodies, self.joints = bodies, joints
        self.inputs = bodies * joints * coordinates
        self.hidden_size, self.direction, self.pooling, self.kind = hidden_size, direction, pooling, kind
        self.input_features, self.parents, self.gaps = tuple(input_features), tuple(parents or ()), gaps
        self.at_origin = None if at_origin is None else tuple(at_origin)
        size = NetworkSize(
            bodies, joints, coordinates, len(self.input_features), hidden_size, layers, direction, self.parents,
            tuple(map(tuple, parts)), channels, dropout, frames, sequence,
        )  # fmt: skip
        self.in_features = size.in_features
        network = build_network(kind, size)
        usual = network.norm or nn.BatchNorm1d(self.in_features)
        self.norm = SharedScale(len(self.input_features)) if input_scale == "shared" else usual
        self.layers = nn.ModuleList(network.layers)
        self.frame_width, self.time_stride = network.frame_width, network.time_stride
        self._batch_norms = network.batch_norms
        self.readout = Readout(self.frame_width, pooling, network.backward_half, normalise_features)

    @property
    def causal(self) -> bool:
        """Whether no frame's feature knows a later frame."""
        return self.direction == "causal"

    @property
    def width(self) -> int:
        """D, the width of a clip's feature."""
        return self.readout.width

    def with_gaps(self) -> Encoder:
        """The same encoder, its weights shared, for clips in which joints are absent from some frames (``gaps``)."""
        encoder = copy(self)
        encoder.gaps = True
        return encoder

    def build_inputs(
        self, clips: Float[Tensor, "B T M V C"], masked: Bool[Tensor, "B T M V"] | None = None
    ) -> Float[Tensor, "B T I"]:
        """What the layers are fed with, flat, I = `in_features`: see `pcm3.encoders.inputs.build_inputs`.

        The motions of a causal encoder look back, those of any other ahead, as the `motion` stream does.
        """
        return inputs.build_inputs(
            clips, self.input_features, self.parents, masked,
            gaps=self.gaps, back=self.causal, at_origin=self.at_origin,
        )  # fmt: skip

    def encode_views(
        self,
        *views: Float[Tensor, "_ T I"],
        prompts: Sequence[Prompt | None] | None = None,
        lengths: Sequence[Int[Tensor, " _"]] | None = None,
    ) -> list[Float[Tensor, "_ S W"]]:
        """Frame features of several views, in one pass of the layers where that can be; each is normalised by itself.

        Args:
            views: see `build_inputs`; all of as many frames.
            prompts: for each view what to add to its normalised inputs, or None.
            lengths: of the clips of each view; None: all frames are theirs.
        """
        each: Sequence[Tensor | None] = lengths or [None] * len(views)
        normed = [self._normed(view, own) for view, own in zip(views, each, strict=True)]
        if prompts is not None:
            normed = [prompt(view) if prompt else view for prompt, view in zip(prompts, normed, strict=True)]
        if self._batch_norms:  # they would let one view see into another
            return [self._through_layers(view, own) for view, own in zip(normed, each, strict=True)]
        together = self._through_layers(torch.cat(normed), torch.cat(list(lengths)) if lengths else None)
        return list(together.split([view.shape[0] for view in views]))

    def frames(
        self, clips: Float[Tensor, "B T M V C"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B S W"]:
        """The feature of every frame, or of every `time_stride`-th."""
        if lengths is None:
            return self.encode_views(self.build_inputs(clips))[0]
        return self.encode_views(self.build_inputs(hold_last(clips, lengths)), lengths=[lengths])[0]

    def joint_frames(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B S M V W"]:
        """The feature of every joint of every body, whose means over these `frames` gives; of clips without padding.

        Raises:
            ConfigError: the encoder's kind has no features of joints (`settings.encoder.KINDS`).
        """
        if not KINDS[self.kind].joint_features:
            raise ConfigError(f"expected a kind of encoder that has features of every joint, got {self.kind}")
        (adapter,) = self.layers
        features: Tensor = adapter.of_joints(self._normed(self.build_inputs(clips), None))  # type: ignore[operator]
        return features

    def frames_of_joints(self, clips: Float[Tensor, "B T M V C"], joints: Int[Tensor, " J"]) -> Float[Tensor, "B S W"]:
        """Frame features of bodies that have these joints alone, of clips without padding.

        The inputs are made and normalised before the others go.

        Raises:
            ConfigError: the encoder's kind needs all joints (`settings.encoder.KINDS`).
        """
        if not KINDS[self.kind].some_joints:
            raise ConfigError(f"expected a kind of encoder that can do with some joints, got {self.kind}")
        (adapter,) = self.layers
        inputs = self._normed(self.build_inputs(clips), None)
        features: Tensor = adapter.some_joints(inputs, joints)  # type: ignore[operator]
        return features

    def every_frame(self, features: Float[Tensor, "B S W"], frames: int) -> Float[Tensor, "B T W"]:
        """Features of so many frames where a time stride has left some out: each stands for the frames it spans.

        The one place where a strided encoder is brought back to the rate of its clips, for what needs a feature a
        frame: masked prediction, detection, motion prediction.
        """
        if self.time_stride == 1:
            return features
        return features.repeat_interleave(self.time_stride, dim=1)[:, :frames]

    def pool(self, features: Float[Tensor, "B S W"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B D"]:
        """Frame features → clip features before they are normalised, as the losses see them; lengths are of clips."""
        return self.readout.pool(features, None if lengths is None else strided(lengths, self.time_stride))

    def embed(
        self, clips: Float[Tensor, "B T M V C"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B D"]:
        """The feature of each clip: frames, pooled, and normalised where that was asked for."""
        return self.readout.finish(self.pool(self.frames(clips, lengths), lengths))

    def step(
        self, frame: Float[Tensor, "B M V C"], state: StepState | None = None
    ) -> tuple[Float[Tensor, "B W"], StepState]:
        """The feature of one more frame of each clip, as `frames` gives it, and the state to pass with the next one.

        Raises:
            ConfigError: the encoder is not causal, or in training mode, where its normalisation needs whole batches.
        """
        if not self.causal or self.training:
            why = "in training mode: call eval()" if self.causal else f"a {self.direction} {self.kind}"
            raise ConfigError(f"expected a causal encoder in evaluation mode to step frame by frame, got one {why}")
        past = inputs.first_past(frame, self.input_features) if state is None else state.past
        before: Sequence[Tensor | None] = [None] * len(self.layers) if state is None else state.layers
        flat, past = inputs.build_step_inputs(frame, past, self.input_features, self.parents, self.gaps, self.at_origin)
        features, after = self.norm(flat), []
        for layer, own in zip(self.layers, before, strict=True):
            features, kept = layer.step(features, own)  # type: ignore[operator]
            after.append(kept)
        return features, StepState(past, tuple(after))

    def _normed(self, view: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None) -> Float[Tensor, "B T I"]:
        """The inputs normalised; in training by the statistics of the clips' own frames."""
        return normalised(self.norm, view, None if lengths is None else own_frames(lengths, view.shape[1]))

    def _through_layers(
        self, features: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None
    ) -> Float[Tensor, "B S W"]:
        for layer in self.layers:
            features = layer(features, lengths)
        return features
