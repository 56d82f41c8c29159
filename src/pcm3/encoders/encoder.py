"""The encoder: BatchNorm over the inputs of a frame, then a stack of layers, then a readout of the whole clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from pcm3.encoders.flatten import flatten, unflatten
from pcm3.encoders.graph import GraphLayers
from pcm3.encoders.readout import Pooling, Readout
from pcm3.encoders.transformer import AttentionLayers
from pcm3.geometry import away
from pcm3.nn.gru_cpu import applies_to, cells_of, gru_layer
from pcm3.nn.prompt import Prompt

Direction = Literal["causal", "bidirectional"]
Kind = Literal["gru", "transformer", "graph"]
InputFeature = Literal["joint", "bone", "motion", "motion4", "motion8"]


class Encoder(nn.Module):
    """Clips (B, T, M, V, C) → features of every frame (B, T, 2H) and of the clip (B, D).

    `causal`: both halves of a recurrent layer run forward, so a frame's feature knows only the frames up to it, and
    those that a motion among its inputs leads to. This is what the released "Bi-GRU" computes, since it is stepped one
    frame at a time (docs/FIDELITY.md 1).
    `bidirectional`: the second half runs backward, as the paper's text says.
    """

    parent: Tensor
    """(V,) int64 of every joint; empty where it is not needed."""

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
        kind: Kind = "gru",
        input_features: Sequence[InputFeature] = ("joint",),
        parents: Sequence[int] | None = None,
        normalise_features: bool = False,
        gaps: bool = False,
    ) -> None:
        """An encoder with fresh weights.

        Args:
            bodies: M.
            joints: V.
            coordinates: C.
            hidden_size: H, half the width of a frame's feature.
            layers: how many.
            direction: of recurrent layers.
            pooling: see `Readout`.
            kind: of the layers.
            input_features: what is made of a clip and fed to the layers, side by side.
            parents: of every joint (V,), where bones are input features or the kind is a graph; the root is its own.
            normalise_features: the clip feature has a centre and a scale, see `Readout`.
            gaps: single joints are absent from some frames of the clips, as zeros: bones and motions that lead to or
                from there are 0.
        """
        super().__init__()
        self.bodies, self.joints = bodies, joints
        self.inputs = bodies * joints * coordinates
        self.hidden_size, self.direction, self.pooling, self.kind = hidden_size, direction, pooling, kind
        self.input_features, self.parents, self.gaps = tuple(input_features), tuple(parents or ()), gaps
        self.register_buffer("parent", torch.tensor(self.parents, dtype=torch.int64), persistent=False)
        self.in_features = self.inputs * len(self.input_features)
        self.norm = nn.BatchNorm1d(self.in_features)
        self.layers = nn.ModuleList(LAYERS[kind](self, layers))
        self.readout = Readout(self.frame_width, pooling, direction == "bidirectional", normalise_features)

    @property
    def frame_width(self) -> int:
        """2H, the width of a frame's feature."""
        return 2 * self.hidden_size

    @property
    def width(self) -> int:
        """D, the width of a clip's feature."""
        return self.readout.width

    def build_inputs(self, clips: Tensor, masked: Tensor | None = None) -> Tensor:
        """Clips (B, T, M, V, C) → what the layers are fed with, flat: (B, T, `in_features`).

        Where joints are `masked` (B, T, M, V), there are zeros: for a bone if either end is masked, for a motion if
        the joint is in this frame or in the one that it moves to.
        """
        inputs = []
        for name in self.input_features:
            values, away = INPUT_FEATURES[name](self, clips), masked
            if masked is not None and name == "bone":
                away = masked | masked[..., self.parent]
            elif masked is not None and name in STRIDES:
                away = masked | _ahead(masked, STRIDES[name])
            inputs.append(flatten(values if away is None else values.masked_fill(away.unsqueeze(-1), 0)))
        return inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=-1)

    def encode_views(self, *views: Tensor, prompts: Sequence[Prompt | None] | None = None) -> list[Tensor]:
        """Frame features of several views, in one pass of the layers where that can be; each is normalised by itself.

        Args:
            views: (B, T, `in_features`) each, see `build_inputs`.
            prompts: for each view what to add to its normalised inputs, or None.

        Returns:
            (B, T, 2H) for each view.
        """
        normed = [self.norm(view.flatten(0, 1)).view_as(view) for view in views]
        if prompts is not None:
            normed = [prompt(view) if prompt else view for prompt, view in zip(prompts, normed, strict=True)]
        if self.kind == "graph":  # its layers have BatchNorms too, which would let one view see into another
            return [self._through_layers(view) for view in normed]
        return list(self._through_layers(torch.cat(normed)).split([len(view) for view in views]))

    def _through_layers(self, features: Tensor) -> Tensor:
        """Normalised inputs (B, T, `in_features`) → (B, T, 2H)."""
        for layer in self.layers:
            features = layer(features)
        return features

    def frames(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → the feature of every frame, (B, T, 2H)."""
        return self.encode_views(self.build_inputs(clips))[0]

    def embed(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → the feature of each clip, (B, D)."""
        feature: Tensor = self.readout(self.frames(clips))
        return feature

    def pool(self, features: Tensor) -> Tensor:
        """Frame features (B, T, 2H) → clip features (B, D) before they are normalised, as the losses see them."""
        return self.readout.pool(features)


STRIDES = {"motion": 1, "motion4": 4, "motion8": 8}
"""Frames over which a motion is seen; over several, noise counts less and slow movements count more."""


def _ahead(clips: Tensor, frames: int) -> Tensor:
    """What (B, T, ...) holds so many frames later; at the end its last frame."""
    last = clips[:, -1:].expand(-1, min(frames, clips.shape[1]), *clips.shape[2:])
    return torch.cat([clips[:, frames:], last], dim=1)


def _moved(frames: int, encoder: Encoder, clips: Tensor) -> Tensor:
    moved = _ahead(clips, frames) - clips
    if not encoder.gaps:
        return moved
    gone: Tensor = away(clips)
    return moved * ~(gone | _ahead(gone, frames)).unsqueeze(-1)


def _bones(encoder: Encoder, clips: Tensor) -> Tensor:
    bones = clips - clips[..., encoder.parent, :]
    if not encoder.gaps:
        return bones
    gone: Tensor = away(clips)
    return bones * ~(gone | gone[..., encoder.parent]).unsqueeze(-1)


INPUT_FEATURES: dict[str, Callable[[Encoder, Tensor], Tensor]] = {
    "joint": lambda _, clips: clips,
    "bone": _bones,
    **{name: partial(_moved, frames) for name, frames in STRIDES.items()},
}
"""What an encoder can make of a clip; the motions to the end of a clip are those to its last frame."""


def _recurrent(encoder: Encoder, count: int) -> list[nn.Module]:
    backward = encoder.direction == "bidirectional"
    layers: list[nn.Module] = [
        DualGRULayer(encoder.in_features if layer == 0 else encoder.frame_width, encoder.hidden_size, backward)
        for layer in range(count)
    ]
    for layer in layers:
        for parameter in layer.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
    return layers


def _graph(encoder: Encoder, count: int) -> list[nn.Module]:
    each = encoder.in_features // (encoder.joints * encoder.bodies)
    return [PerJointAdapter(encoder, GraphLayers(encoder.parents, encoder.bodies, each, encoder.frame_width, count))]


LAYERS: dict[str, Callable[[Encoder, int], list[nn.Module]]] = {
    "gru": _recurrent,
    "transformer": lambda encoder, count: [AttentionLayers(encoder.in_features, encoder.frame_width, count)],
    "graph": _graph,
}
"""The kinds of layers."""


class PerJointAdapter(nn.Module):
    """Layers that take an encoder's inputs joint by joint, not flat."""

    def __init__(self, encoder: Encoder, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.features, self.bodies, self.joints = len(encoder.input_features), encoder.bodies, encoder.joints

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, `in_features`) → (B, T, 2H)."""
        each = [unflatten(part, self.bodies, self.joints) for part in inputs.chunk(self.features, dim=-1)]
        features: Tensor = self.layers(torch.cat(each, dim=-1).transpose(2, 3))
        return features


class DualGRULayer(nn.Module):
    """One layer: two GRUs over the same inputs, outputs side by side, (B, T, I) → (B, T, 2H)."""

    def __init__(self, inputs: int, hidden_size: int, backward: bool) -> None:
        super().__init__()
        self.backward = backward
        # In the backward case the two are one bidirectional GRU of torch's, which fuses them in one call.
        self.halves = nn.ModuleList(
            [nn.GRU(inputs, hidden_size, batch_first=True, bidirectional=True)]
            if backward
            else [nn.GRU(inputs, hidden_size, batch_first=True), nn.GRU(inputs, hidden_size, batch_first=True)]
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, I) → (B, T, 2H)."""
        if applies_to(features):
            return gru_layer(features, [cell for half in self.halves for cell in cells_of(half)])  # type: ignore[arg-type]
        if features.is_cuda and not self.backward:
            return torch.cat(self._on_two_streams(features), dim=-1)
        return torch.cat([half(features)[0] for half in self.halves], dim=-1)

    def _on_two_streams(self, features: Tensor) -> list[Tensor]:
        """Both halves at once on a GPU: neither alone fills it. The backward pass follows on the same streams."""
        here, beside = torch.cuda.current_stream(features.device), torch.cuda.Stream(features.device)
        beside.wait_stream(here)
        with torch.cuda.stream(beside):
            second = self.halves[1](features)[0]
        first = self.halves[0](features)[0]
        here.wait_stream(beside)
        features.record_stream(beside)
        second.record_stream(here)
        return [first, second]
