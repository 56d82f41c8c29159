"""What the training loop knows of a method: five things, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.encoders.encoder import Encoder
from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.skeleton import StreamName

V = TypeVar("V")


class Progress(NamedTuple):
    """How far a run is at a step."""

    step: int
    """Steps done before."""
    epoch: int
    """Epochs done before."""
    share: float
    """Part of the run's schedule that is behind it, from 0 to 1."""


class StepOutput(NamedTuple):
    """What a method makes of the views of one micro-batch, B clips."""

    losses: dict[str, Float[Tensor, ""]]
    """By the names of `Method.optimisers`: each moves the weights of its own optimiser."""
    terms: dict[str, Float[Tensor, ""]]
    """What is logged beside the loss, detached."""
    state: dict[str, Shaped[Tensor, "B ..."]]
    """What `Method.after_step` needs of every clip of the batch, detached."""


class Exported(NamedTuple):
    """An encoder that a run leaves behind."""

    encoder: Encoder
    stream: StreamName
    """What it was fed with."""
    settings: EncoderSettings | None = None
    """Of an encoder that is another one than the run's settings ask for."""


@runtime_checkable
class Method(Protocol[V]):
    """A torch module that learns from whole clips; V, its views, is a NamedTuple of tensors.

    Everything random follows from the generator of the step, everything else from the state dict: then a run that was
    killed goes on to the same bits. What a setting leaves unused is neither drawn nor computed.
    """

    def views(self, batch: ClipBatch, generator: torch.Generator) -> V:
        """What the method wants to see of these clips."""

    def forward(self, views: V, progress: Progress, generator: torch.Generator) -> StepOutput:
        """The losses of the views, in the precision of the run's networks."""

    def after_step(self, state: dict[str, Shaped[Tensor, "B ..."]], progress: Progress) -> None:
        """Queues, prototypes and momentum copies follow, once the optimisers have moved the weights.

        The state is of the whole batch, over all micro-batches and processes and in its order; so all of them do alike.
        """

    def optimisers(self, settings: OptimiserSettings) -> dict[str, torch.optim.Optimizer]:
        """What moves the weights, by name; nearly always one."""

    def encoders(self) -> dict[str, Exported]:
        """What the run leaves behind: the first is its model, the others go into folders of their names."""

    # What it has of torch's modules.

    def train(self, mode: bool = True) -> nn.Module:  # noqa: D102
        ...

    def parameters(self) -> Iterator[nn.Parameter]:  # noqa: D102
        ...

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> object:  # noqa: D102
        ...


AnyMethod = Method[Any]
"""A method, whatever its views are."""


@runtime_checkable
class EncoderMaker(Protocol):
    """Makes the encoders of a run, for its clips."""

    def __call__(self, seed: int, encoder: EncoderSettings | None = None) -> Encoder:
        """The one that the run's settings ask for, or one of these, with fresh weights that follow from the seed."""
        ...
