"""Torch's GRU of one or several layers over whole sequences, on the CPU by the faster way."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pcm3.nn.gru_cpu import applies_to, cells_of, gru_layer


def whole_gru(gru: nn.GRU, inputs: Float[Tensor, "B T I"]) -> Float[Tensor, "B T W"]:
    """The outputs of its last layer, from a state of zeros; with its dropout between layers, in training."""
    if not applies_to(inputs):
        outputs: Tensor = gru(inputs)[0]
        return outputs
    for layer in range(gru.num_layers):
        if layer and gru.dropout:
            inputs = F.dropout(inputs, gru.dropout, gru.training)
        inputs = gru_layer(inputs, cells_of(gru, layer))
    return inputs
