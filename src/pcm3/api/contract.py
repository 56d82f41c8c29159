"""What heads and searches need of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from pcm3.api.given import Clips, GivenClips, Recorded
from pcm3.clips import ClipBank
from pcm3.data.store import ClipStore
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.spec import EncoderSpec


@runtime_checkable
class FedModel(Protocol):
    """A model that prepares what it is fed with; `pcm3.api.model.Model` is one."""

    @property
    def encoder(self) -> Encoder:
        """In evaluation mode."""

    @property
    def spec(self) -> EncoderSpec:
        """What it is fed with."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def given(self, clips: Clips, recorded: Recorded) -> GivenClips:
        """Clips, prepared as those that the model learned from; a DataError where one cannot be."""

    def given_recordings(self, recordings: Clips, recorded: Recorded) -> GivenClips:
        """Long recordings, prepared likewise."""

    def bank(self, store: ClipStore) -> ClipBank:
        """The clips of a store that the model can be fed with, on the device."""

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of its own."""
