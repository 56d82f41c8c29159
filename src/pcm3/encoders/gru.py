"""Recurrent layers: two GRUs side by side, both forward (causal) or one of them backward."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pcm3.encoders.lengths import reversed_in_place
from pcm3.encoders.network import Network, NetworkSize
from pcm3.errors import ConfigError
from pcm3.nn.gru_cpu import Cell, applies_to, cells_of, gru_layer, gru_step


def build(size: NetworkSize) -> Network:
    """Layers of H units a half; matrices are Xavier uniform, as in the released code.

    Raises:
        ConfigError: dropout is no share.
    """
    if not 0 <= size.dropout < 1:
        raise ConfigError(f"expected a dropout from 0 to below 1 for kind gru, got {size.dropout}")
    backward, width = size.direction == "bidirectional", 2 * size.hidden_size
    layers = [
        DualGRULayer(width, size.hidden_size, backward, size.dropout)
        if layer
        else DualGRULayer(size.in_features, size.hidden_size, backward)
        for layer in range(size.layers)
    ]
    for layer in layers:
        for parameter in layer.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
    return Network(layers, width, backward_half=backward)


class DualGRULayer(nn.Module):
    """One layer: two GRUs over the same inputs, outputs side by side, (B, T, I) → (B, T, 2H).

    In training a share of the inputs is left out (`dropout`).
    """

    def __init__(self, inputs: int, hidden_size: int, backward: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout, self.backward, self.hidden_size = dropout, backward, hidden_size
        # In the backward case the two are one bidirectional GRU of torch's, which fuses them in one call.
        self.halves = nn.ModuleList(
            [nn.GRU(inputs, hidden_size, batch_first=True, bidirectional=True)]
            if backward
            else [nn.GRU(inputs, hidden_size, batch_first=True), nn.GRU(inputs, hidden_size, batch_first=True)]
        )

    def forward(
        self, features: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B T W"]:
        """Outputs of every frame; a half that runs backward begins at a clip's last own frame."""
        if self.dropout and self.training:
            features = F.dropout(features, self.dropout)
        if self.backward and lengths is not None:
            return self._padded(features, lengths)
        if applies_to(features):
            return gru_layer(features, self._cells())
        if features.is_cuda and not self.backward:
            return torch.cat(self._on_two_streams(features), dim=-1)
        return torch.cat([half(features)[0] for half in self.halves], dim=-1)

    def step(
        self, inputs: Float[Tensor, "B I"], state: Float[Tensor, "B W"] | None
    ) -> tuple[Float[Tensor, "B W"], Float[Tensor, "B W"]]:
        """(outputs, state) of one more frame of a causal layer; a state of None is that before the first."""
        if state is None:
            state = inputs.new_zeros(inputs.shape[0], 2 * self.hidden_size)
        if applies_to(inputs):
            after = gru_step(inputs, self._cells(), state)
            return after, after
        frame = inputs.unsqueeze(1)
        before = state.unsqueeze(0).chunk(2, dim=-1)
        after = torch.cat(
            [half(frame, own.contiguous())[1][0] for half, own in zip(self.halves, before, strict=True)], dim=-1
        )
        return after, after

    def _cells(self) -> list[Cell]:
        """The weights of both halves."""
        return [cell for half in self.halves for cell in cells_of(half)]  # type: ignore[arg-type]

    def _padded(self, features: Float[Tensor, "B T I"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B T W"]:
        """Outputs of a bidirectional layer: the second half forward over clips in the opposite order."""
        opposite = reversed_in_place(features, lengths)
        if applies_to(features):
            ahead, behind = cells_of(self.halves[0])  # type: ignore[arg-type]
            first = gru_layer(features, [ahead])
            second = gru_layer(opposite, [behind._replace(backward=False)])
        else:
            # Of the whole bidirectional call over each order of the frames one half is of use.
            first = self.halves[0](features)[0][..., : self.hidden_size]
            second = self._reverse_half(opposite)
        return torch.cat([first, reversed_in_place(second, lengths)], dim=-1)

    def _reverse_half(self, features: Float[Tensor, "B T I"]) -> Float[Tensor, "B T H"]:
        """The half that runs backward, run forward: over frames in opposite order it is torch's backward half."""
        outputs: Tensor = self.halves[0](features.flip(1))[0][..., self.hidden_size :]
        return outputs.flip(1)

    def _on_two_streams(self, features: Float[Tensor, "B T I"]) -> list[Tensor]:
        """Both halves at once on a GPU: neither alone fills it. The backward pass follows on the same streams."""
        current, beside = torch.cuda.current_stream(features.device), torch.cuda.Stream(features.device)
        beside.wait_stream(current)
        with torch.cuda.stream(beside):
            second = self.halves[1](features)[0]
        first = self.halves[0](features)[0]
        current.wait_stream(beside)
        features.record_stream(beside)
        second.record_stream(current)
        return [first, second]
