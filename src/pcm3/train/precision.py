"""The precision of a run: bfloat16 for what the networks compute, never for what they are shown."""

from __future__ import annotations

from typing import Any

from lightning_fabric.plugins.precision.amp import MixedPrecision


class Bfloat16Networks(MixedPrecision):
    """Autocast to bfloat16, with the inputs of a step left as they are.

    Lightning's own rounds them to bfloat16 before the method sees them: a coordinate of a metre by up to 2 mm, as
    much as a joint moves in a frame, and motions and targets are taken of these afterwards.
    """

    def __init__(self, device: str) -> None:
        """For modules on a device of this type ("cpu", "cuda")."""
        super().__init__("bf16-mixed", device)

    def convert_input(self, data: Any) -> Any:
        """The inputs."""
        return data
