"""An autoencoder that compresses clip features before their neighbours are looked for (P&C, docs/FIDELITY.md)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pcm3.nn.fresh_weights import fresh_weights

EPOCHS, BATCH, RATE = 400, 64, 1e-3
DECAY, DECAY_STEPS = 0.95, 50


class Autoencoder(nn.Module):
    """Features (B, D) → codes (B, W) → features; two layers on either side, twice and four times as wide as a code."""

    def __init__(self, features: int, code: int) -> None:
        """With fresh weights."""
        super().__init__()
        widths = [features, 4 * code, 2 * code, code]
        self.compress = nn.Sequential(*(nn.Sequential(nn.Linear(*pair), nn.Tanh()) for pair in pairwise(widths)))
        inner = [nn.Sequential(nn.Linear(*pair), nn.Tanh()) for pair in pairwise(widths[:0:-1])]
        self.expand = nn.Sequential(*inner, nn.Linear(widths[1], features))

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """The features again, from their codes."""
        expanded: Tensor = self.expand(self.compress(features))
        return expanded


def fit_autoencoder(features: Float[Tensor, "N D"], code: int, epochs: int = EPOCHS) -> Autoencoder:
    """An autoencoder of these features, of the least mean square error; all that is random in it is always the same."""
    generator = torch.Generator().manual_seed(0)
    with fresh_weights(0):
        model = Autoencoder(features.shape[1], code).to(features)
    optimiser = torch.optim.Adam(model.parameters(), RATE, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: DECAY ** (step // DECAY_STEPS))
    for _ in range(epochs):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        for some in order.split(BATCH):
            optimiser.zero_grad()
            F.mse_loss(model(features[some]), features[some]).backward()
            optimiser.step()
            schedule.step()
    return model
