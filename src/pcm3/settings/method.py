"""What the settings of a run and those of its method know of each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, runtime_checkable

from pcm3.settings.encoder import EncoderSettings
from pcm3.settings.rules import Rule


@runtime_checkable
class Run(Protocol):
    """What the settings of a method may look at of the run's."""

    stream: Literal["joint", "bone", "motion"]
    frames: int
    batch: int
    encoder: EncoderSettings

    @property
    def pieces(self) -> int:
        """Micro-batches of a batch, over all processes."""
        ...

    def require(self, rules: Iterable[Rule]) -> None:
        """Raises ConfigError for the first rule that is not kept."""
        ...


@runtime_checkable
class MethodSettings(Protocol):
    """The settings of a method: a dataclass whose fields are settings or groups of settings of its own."""

    @property
    def min_clips(self) -> int:
        """The fewest clips of a micro-batch that the method can learn from."""
        ...

    def check(self, run: Run) -> None:
        """Raises ConfigError for a value that makes no sense, alone or in this run."""
        ...
