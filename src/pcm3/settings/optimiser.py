"""Settings of the optimiser and of its learning rate over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pcm3.settings.rules import Rule, at_least_one, epochs, not_negative, positive


@dataclass
class OptimiserSettings:
    """How the weights are updated."""

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    """SGD with momentum, Adam, or Adam with decoupled weight decay."""
    lr: float = 0.02
    """Learning rate, more than 0."""
    momentum: float = 0.9
    """Momentum of SGD, beta 1 of Adam: at least 0 and less than 1."""
    beta2: float = 0.999
    """Beta 2 of Adam: at least 0 and less than 1."""
    weight_decay: float = 1e-4
    """Weight decay, at least 0: added to the gradient, as torch's SGD and Adam do; in adamw apart from it."""
    max_grad_norm: float = 0.0
    """Largest length of the gradient of all weights together, to which longer ones are scaled; 0: any length."""
    schedule: Literal["step", "exponential", "cosine", "constant"] = "step"
    """The learning rate over time: drop times as much after each of drop_epochs, decay times as much after each
    decay_steps, a half cosine over the run to cosine_end, or constant."""
    drop_epochs: list[int] = field(default_factory=lambda: [350])
    """Epochs after which the step schedule lowers the learning rate, each at least 1."""
    drop: float = 0.1
    """What the step schedule multiplies the learning rate by, more than 0 and at most 1."""
    decay: float = 0.95
    """What the exponential schedule multiplies the learning rate by, more than 0 and at most 1."""
    decay_steps: int = 1000
    """Steps between two multiplications of the exponential schedule, at least 1."""
    cosine_end: float = 0.0
    """Share of the learning rate that the cosine schedule ends at, 0 to 1."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0 before its schedule begins, at least 0."""

    def rules(self) -> list[Rule]:
        """What the values must keep to."""
        return [
            *positive(self, "lr", group="optimiser."),
            *not_negative(self, "weight_decay", "max_grad_norm", "warmup_steps", group="optimiser."),
            *((0 < getattr(self, of) <= 1, f"optimiser.{of}", "more than 0 and at most 1") for of in ("drop", "decay")),
            *at_least_one(self, "decay_steps", group="optimiser."),
            (0 <= self.momentum < 1, "optimiser.momentum", "at least 0 and less than 1"),
            (0 <= self.beta2 < 1, "optimiser.beta2", "at least 0 and less than 1"),
            (0 <= self.cosine_end <= 1, "optimiser.cosine_end", "between 0 and 1"),
            epochs(self.drop_epochs, "optimiser.drop_epochs"),
        ]
