"""How most methods end: one encoder on one stream, and one optimiser of everything that learns."""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from pcm3.encoders.encoder import Encoder
from pcm3.methods.protocol import Exported, Progress
from pcm3.nn.optimiser import build_optimiser
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.skeleton import StreamName


class OneEncoder(nn.Module):
    """What the loop asks of a method after its losses; a method says for itself where it does more."""

    encoder: Encoder
    """That is trained."""
    stream: StreamName
    """What it is fed with."""

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Nothing follows."""

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """One, of everything that learns."""
        return {"all": build_optimiser(self, settings)}

    def encoders(self) -> dict[str, Exported]:
        """The one of its stream."""
        return {"encoder": Exported(self.exported, self.stream)}

    @property
    def exported(self) -> Encoder:
        """The encoder that the run leaves behind."""
        return self.encoder
