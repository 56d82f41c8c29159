"""The recurrent encoder: BatchNorm over the inputs of a frame, then a stack of GRU layers of two halves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pcm3.nn.flatten import flatten
from pcm3.nn.prompt import Prompt
from pcm3.nn.recurrence import applies_to, cells_of, gru_layer

Direction = Literal["causal", "bidirectional"]
Pooling = Literal["last", "mean"]


class Encoder(nn.Module):
    """Clips (B, T, M, V, C) → features of every frame (B, T, 2H) and of the clip (B, 2H).

    `causal`: both halves of a layer run forward, so a frame's feature knows only the frames up to it. This is
    what the released "Bi-GRU" computes, since it is stepped one frame at a time (docs/FIDELITY.md 1).
    `bidirectional`: the second half runs backward, as the paper's text says.
    """

    def __init__(
        self,
        bodies: int,
        joints: int,
        coordinates: int = 3,
        hidden: int = 1024,
        layers: int = 3,
        direction: Direction = "causal",
        pooling: Pooling = "last",
    ) -> None:
        super().__init__()
        self.bodies, self.joints = bodies, joints
        self.inputs = bodies * joints * coordinates
        self.hidden, self.direction, self.pooling = hidden, direction, pooling
        self.norm = nn.BatchNorm1d(self.inputs)
        self.layers = nn.ModuleList(
            TwoHalves(self.inputs if layer == 0 else 2 * hidden, hidden, backward=direction == "bidirectional")
            for layer in range(layers)
        )
        for parameter in self.layers.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)

    @property
    def width(self) -> int:
        """D, the width of a feature."""
        return 2 * self.hidden

    def frames_of_views(self, *views: Tensor, prompts: Sequence[Prompt | None] | None = None) -> list[Tensor]:
        """Frame features of several views in one pass of the GRU; each view is normalised by itself.

        Args:
            views: (B, T, V·C·M) each, flat inputs.
            prompts: for each view what to add to its normalised inputs, or None.

        Returns:
            (B, T, D) for each view.
        """
        normed = [self.norm(view.flatten(0, 1)).view_as(view) for view in views]
        if prompts is not None:
            normed = [prompt(view) if prompt else view for prompt, view in zip(prompts, normed, strict=True)]
        features = torch.cat(normed)
        for layer in self.layers:
            features = layer(features)
        return list(features.split([len(view) for view in views]))

    def frames(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → the feature of every frame, (B, T, D)."""
        return self.frames_of_views(flatten(clips))[0]

    def clip(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → the feature of each clip, (B, D)."""
        return self.pool(self.frames(clips))

    def pool(self, features: Tensor) -> Tensor:
        """Frame features (B, T, D) → clip feature (B, D).

        `last`: each half where it has seen the whole clip (its last frame; the first, for one that runs
        backward). `mean`: the mean over the frames.
        """
        if self.pooling == "mean":
            return features.mean(dim=1)
        if self.direction == "causal":
            return features[:, -1]
        return torch.cat([features[:, -1, : self.hidden], features[:, 0, self.hidden :]], dim=-1)


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
