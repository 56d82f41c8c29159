"""An encoder whose products are of bfloat16."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class InBfloat16(nn.Module):
    """An encoder whose products are of bfloat16, also while it is fine-tuned; weights and features are float32."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def width(self) -> int:
        """D, as the encoder's."""
        return int(self.encoder.width)  # type: ignore[arg-type]

    @property
    def frame_width(self) -> int:
        """As the encoder's."""
        return int(self.encoder.frame_width)  # type: ignore[arg-type]

    @property
    def causal(self) -> bool:
        """As the encoder's."""
        return bool(self.encoder.causal)

    def with_gaps(self) -> InBfloat16:
        """As the encoder's."""
        return InBfloat16(self.encoder.with_gaps())  # type: ignore[operator]

    def embed(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B D"]:
        """As the encoder's."""
        with torch.autocast(clips.device.type, torch.bfloat16):
            feature: Tensor = self.encoder.embed(clips)  # type: ignore[operator]
        return feature.float()

    def frames(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B t D"]:
        """As the encoder's."""
        with torch.autocast(clips.device.type, torch.bfloat16):
            features: Tensor = self.encoder.frames(clips)  # type: ignore[operator]
        return features.float()
