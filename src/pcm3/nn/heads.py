"""The projector, from feature to embedding, and the decoder, from frame features back to joints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pcm3.nn.whole_gru import whole_gru
from pcm3.settings.pcm3 import DecoderKind


class Projector(nn.Module):
    """Features (B, D) → embeddings of unit length (B, E): Linear, ReLU, Linear (MoCo v2).

    With `norm` there is a BatchNorm before the ReLU (SimCLR, MoCo v3). In the middle it is as wide as the features, or
    as `hidden_size` says.
    """

    def __init__(self, width: int, embedding: int, norm: bool = False, hidden_size: int | None = None) -> None:
        super().__init__()
        middle = hidden_size or width
        between: list[nn.Module] = [nn.BatchNorm1d(middle)] if norm else []
        self.layers = nn.Sequential(nn.Linear(width, middle), *between, nn.ReLU(), nn.Linear(middle, embedding))
        # As released: only the last layer; the other keeps PyTorch's default.
        nn.init.xavier_uniform_(self.layers[-1].weight)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B E"]:
        """Unit length in float32 at least, whatever precision the layers ran in: the losses are."""
        embedding: Tensor = self.layers(features)
        return F.normalize(embedding.to(torch.promote_types(embedding.dtype, torch.float32)), dim=-1)


class Decoder(nn.Module):
    """Frame features (B, T, D) → the flat inputs of every frame (B, T, V·C·M), in metres.

    `gru`: as released, two recurrent layers. `frame`: without them, each frame from its own feature.
    """

    def __init__(self, width: int, outputs: int, hidden_size: int = 512, kind: DecoderKind = "gru") -> None:
        super().__init__()
        self.kind = kind
        self.enter = nn.Linear(width, hidden_size)
        self.norm = nn.BatchNorm1d(hidden_size)
        self.bridge = nn.Linear(hidden_size, hidden_size)
        if kind == "gru":
            self.gru = nn.GRU(hidden_size, hidden_size, num_layers=2, batch_first=True)
        self.leave = nn.Linear(hidden_size, outputs)

    def begin_with_nothing(self) -> None:
        """Predict zeros until something is learned: for a decoder that corrects what is there already."""
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, *features: Float[Tensor, "_ T D"]) -> list[Float[Tensor, "_ T I"]]:
        """Predictions from each of several feature sequences, in one pass of the GRU.

        The BatchNorm sees each sequence by itself: a shared one would let the gradient of one flow into the
        other through the statistics.
        """
        entered = []
        for sequence in features:
            normed = self.norm(self.enter(sequence).flatten(0, 1)).view(*sequence.shape[:2], -1)
            entered.append(self.bridge(F.relu(normed)))
        decoded = self.leave(self._recur(torch.cat(entered)))
        return list(decoded.split([len(sequence) for sequence in features]))

    def _recur(self, entered: Float[Tensor, "B T H"]) -> Float[Tensor, "B T H"]:
        if self.kind == "frame":
            return F.relu(entered)
        return whole_gru(self.gru, entered)
