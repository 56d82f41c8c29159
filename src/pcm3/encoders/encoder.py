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
Network = Literal["gru", "transformer", "graph"]
Sight = Literal["itself", "bone", "motion", "motion4", "motion8"]


class Encoder(nn.Module):
    """Clips (B, T, M, V, C) → features of every frame (B, T, 2H) and of the clip (B, D).

    `causal`: both halves of a recurrent layer run forward, so a frame's feature knows only the frames up to it, and
    those that a seen motion leads to. This is what the released "Bi-GRU" computes, since it is stepped one frame at a
    time (docs/FIDELITY.md 1).
    `bidirectional`: the second half runs backward, as the paper's text says.
    """

    parent: Tensor
    """(V,) int64 of every joint; empty where it is not needed."""

    def __init__(
        self,
        bodies: int,
        joints: int,
        coordinates: int = 3,
        hidden: int = 1024,
        layers: int = 3,
        direction: Direction = "causal",
        pooling: Pooling = "last",
        *,
        network: Network = "gru",
        sees: Sequence[Sight] = ("itself",),
        parents: Sequence[int] | None = None,
        standardise: bool = False,
        gaps: bool = False,
    ) -> None:
        """An encoder with fresh weights.

        Args:
            bodies: M.
            joints: V.
            coordinates: C.
            hidden: H, half the width of a frame's feature.
            layers: how many.
            direction: of recurrent layers.
            pooling: see `Readout`.
            network: the kind of the layers.
            sees: what is made of a clip and looked at, side by side.
            parents: of every joint (V,), where bones are seen or the network is a graph; the root is its own.
            standardise: the clip feature has a centre and a scale, see `Readout`.
            gaps: single joints are absent from some frames of the clips, as zeros: bones and motions that lead to or
                from there are 0.
        """
        super().__init__()
        self.bodies, self.joints = bodies, joints
        self.inputs = bodies * joints * coordinates
        self.hidden, self.direction, self.pooling, self.network = hidden, direction, pooling, network
        self.sees, self.parents, self.gaps = tuple(sees), tuple(parents or ()), gaps
        self.register_buffer("parent", torch.tensor(self.parents, dtype=torch.int64), persistent=False)
        self.seen = self.inputs * len(self.sees)
        self.norm = nn.BatchNorm1d(self.seen)
        self.layers = nn.ModuleList(LAYERS[network](self, layers))
        self.readout = Readout(self.frame_width, pooling, direction == "bidirectional", standardise)

    @property
    def frame_width(self) -> int:
        """2H, the width of a frame's feature."""
        return 2 * self.hidden

    @property
    def width(self) -> int:
        """D, the width of a clip's feature."""
        return self.readout.width

    def see(self, clips: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Clips (B, T, M, V, C) → what the layers look at, flat: (B, T, `seen`).

        Where joints are `hidden` (B, T, M, V), there are zeros: for a bone if either end is hidden, for a motion if
        the joint is in this frame or in the one that it moves to.
        """
        seen = []
        for sight in self.sees:
            values, away = SIGHTS[sight](self, clips), hidden
            if hidden is not None and sight == "bone":
                away = hidden | hidden[..., self.parent]
            elif hidden is not None and sight in STRIDES:
                away = hidden | _ahead(hidden, STRIDES[sight])
            seen.append(flatten(values if away is None else values.masked_fill(away.unsqueeze(-1), 0)))
        return seen[0] if len(seen) == 1 else torch.cat(seen, dim=-1)

    def frames_of_views(self, *views: Tensor, prompts: Sequence[Prompt | None] | None = None) -> list[Tensor]:
        """Frame features of several views, in one pass of the layers where that can be; each is normalised by itself.

        Args:
            views: (B, T, `seen`) each, see `see`.
            prompts: for each view what to add to its normalised inputs, or None.

        Returns:
            (B, T, 2H) for each view.
        """
        normed = [self.norm(view.flatten(0, 1)).view_as(view) for view in views]
        if prompts is not None:
            normed = [prompt(view) if prompt else view for prompt, view in zip(prompts, normed, strict=True)]
        if self.network == "graph":  # its layers have BatchNorms too, which would let one view see into another
            return [self._through_layers(view) for view in normed]
        return list(self._through_layers(torch.cat(normed)).split([len(view) for view in views]))

    def _through_layers(self, features: Tensor) -> Tensor:
        """Normalised inputs (B, T, `seen`) → (B, T, 2H)."""
        for layer in self.layers:
            features = layer(features)
        return features

    def frames(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → the feature of every frame, (B, T, 2H)."""
        return self.frames_of_views(self.see(clips))[0]

    def clip(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → the feature of each clip, (B, D)."""
        feature: Tensor = self.readout(self.frames(clips))
        return feature

    def pool(self, features: Tensor) -> Tensor:
        """Frame features (B, T, 2H) → clip features (B, D) before they are standardised, as the losses see them."""
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


SIGHTS: dict[str, Callable[[Encoder, Tensor], Tensor]] = {
    "itself": lambda _, clips: clips,
    "bone": _bones,
    **{name: partial(_moved, frames) for name, frames in STRIDES.items()},
}
"""What an encoder can make of a clip; the motions to the end of a clip are those to its last frame."""


def _recurrent(encoder: Encoder, count: int) -> list[nn.Module]:
    backward = encoder.direction == "bidirectional"
    layers: list[nn.Module] = [
        TwoHalves(encoder.seen if layer == 0 else encoder.frame_width, encoder.hidden, backward)
        for layer in range(count)
    ]
    for layer in layers:
        for parameter in layer.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
    return layers


def _graph(encoder: Encoder, count: int) -> list[nn.Module]:
    each = encoder.seen // (encoder.joints * encoder.bodies)
    return [JointByJoint(encoder, GraphLayers(encoder.parents, encoder.bodies, each, encoder.frame_width, count))]


LAYERS: dict[str, Callable[[Encoder, int], list[nn.Module]]] = {
    "gru": _recurrent,
    "transformer": lambda encoder, count: [AttentionLayers(encoder.seen, encoder.frame_width, count)],
    "graph": _graph,
}
"""The kinds of layers."""


class JointByJoint(nn.Module):
    """Layers that take what an encoder sees joint by joint, not flat."""

    def __init__(self, encoder: Encoder, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.sights, self.bodies, self.joints = len(encoder.sees), encoder.bodies, encoder.joints

    def forward(self, seen: Tensor) -> Tensor:
        """(B, T, `seen`) → (B, T, 2H)."""
        each = [unflatten(part, self.bodies, self.joints) for part in seen.chunk(self.sights, dim=-1)]
        features: Tensor = self.layers(torch.cat(each, dim=-1).transpose(2, 3))
        return features


class TwoHalves(nn.Module):
    """One layer: two GRUs over the same inputs, outputs side by side, (B, T, I) → (B, T, 2H)."""

    def __init__(self, inputs: int, hidden: int, backward: bool) -> None:
        super().__init__()
        self.backward = backward
        # In the backward case the two are one bidirectional GRU of torch's, which fuses them in one call.
        self.halves = nn.ModuleList(
            [nn.GRU(inputs, hidden, batch_first=True, bidirectional=True)]
            if backward
            else [nn.GRU(inputs, hidden, batch_first=True), nn.GRU(inputs, hidden, batch_first=True)]
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
