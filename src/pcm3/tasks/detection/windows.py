"""Untrimmed recordings on a device: what every frame is labelled with, and windows around frames for an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from pcm3.clips import FITTED_CLIPS, Feed, frames_on
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError
from pcm3.skeleton import StreamName

BACKGROUND = 0
"""The label of a frame in which there is no action; in one of class c (0-based) it is c + 1."""
BEYOND = -1
"""The label of what is no frame of a recording any more."""


@dataclass(frozen=True)
class RecordingBank:
    """A store's R untrimmed recordings, ready to be cut into windows for an encoder of one stream."""

    store: ClipStore
    """Its clips are the actions in the recordings."""
    frames: Num[Tensor, "F M V C"]
    """Of all recordings."""
    label: Int[Tensor, " F"]
    """See `frame_labels`."""
    start: Int[Tensor, " R"]
    """The first of `frames` of each recording."""
    length: Int[Tensor, " R"]
    stream: StreamName

    @classmethod
    def of(cls, store: ClipStore, stream: StreamName, device: torch.device) -> RecordingBank:
        """All recordings of the store.

        Raises:
            DataError: the store holds trimmed clips, or actions without a class.
        """
        recordings, label = untrimmed(store), torch.from_numpy(frame_labels(store)).to(device)
        start = torch.from_numpy(recordings.start.astype(np.int64)).to(device)
        length = torch.from_numpy(recordings.length.astype(np.int64)).to(device)
        return cls(store, frames_on(store.frames, device), label, start, length, stream)

    @property
    def feed(self) -> Feed:
        """How its recordings are fed to encoders."""
        return Feed.of(self.store, self.stream)

    def labels(self, recording: int) -> Int[Tensor, " T"]:
        """The label of each frame of a recording."""
        start = int(self.start[recording])
        return self.label[start : start + int(self.length[recording])]

    def windows(
        self, recording: Int[Tensor, " B"], frame: Int[Tensor, " B"], stride: Int[Tensor, " B"], size: int
    ) -> Float[Tensor, "B T M V C"]:
        """The stretches around frames, as clips of `size` frames `stride` apart, float32, of the bank's stream.

        Frame number T // 2 of a window is the frame that it is around. Where the recording has not begun, or is over,
        its first or last frame stands still. Differs: the authors' code shifts such windows inside, where the frame is
        no more in the middle, and all frames near an end have one and the same window.
        """
        away = torch.arange(size, device=frame.device) - size // 2
        wanted = frame[:, None] + stride[:, None] * away
        inside = torch.minimum(wanted.clamp(min=0), self.length[recording, None] - 1)
        rows = self.start[recording, None] + inside
        clips = self.frames[rows.to(self.frames.device)].to(rows.device, torch.float32)
        return self.feed.streamed(clips)

    def stretches(
        self, recording: Int[Tensor, " B"], start: Int[Tensor, " B"], size: int
    ) -> tuple[Float[Tensor, "B T M V C"], Int[Tensor, "B T"]]:
        """Stretches of recordings, and the label of each of their frames; `BEYOND` where a recording is over.

        Raises:
            ConfigError: as `whole`.
        """
        self._check_no_later_frame()
        wanted = start[:, None] + torch.arange(size, device=start.device)
        rows = self.start[recording, None] + torch.minimum(wanted, self.length[recording, None] - 1)
        clips = self.frames[rows.to(self.frames.device)].to(rows.device, torch.float32)
        return clips, torch.where(wanted < self.length[recording, None], self.label[rows], BEYOND)

    def whole(self, recording: int) -> Float[Tensor, "T M V C"]:
        """All frames of a recording.

        Raises:
            ConfigError: the bank's stream is not `joint`: others look at later frames.
        """
        self._check_no_later_frame()
        start = int(self.start[recording])
        return self.frames[start : start + int(self.length[recording])].to(self.label.device, torch.float32)

    def _check_no_later_frame(self) -> None:
        if self.stream != "joint":
            raise ConfigError(
                "setting detection.feature: frame expects a model of the joint stream (its input_features may be bones "
                f"and motions), got one of {self.stream}"
            )


def untrimmed(store: ClipStore) -> ClipStore:
    """The store's recordings, whose labelled actions are its clips.

    Raises:
        DataError: the store has no untrimmed recordings.
    """
    if store.recordings is None:
        raise DataError(
            f"{store.path}: expected untrimmed recordings to detect actions in, got clips of one action each; import "
            "a data set that has them (docs/DATA.md), without --trim"
        )
    return store.recordings


def frame_labels(store: ClipStore) -> Int[np.ndarray, " F"]:
    """What every frame of an untrimmed store shows: `BACKGROUND`, or its class + 1.

    Where two actions overlap, the frames belong to the one that starts later.

    Raises:
        DataError: the store has no untrimmed recordings, or an action in them has no class.
    """
    untrimmed(store)
    if (store.label < 0).any():
        raise DataError(
            f"{store.path}: expected actions with a class to detect, got {int((store.label < 0).sum())} of "
            f"{len(store)} without one"
        )
    label = np.full(len(store.frames), BACKGROUND, np.int64)
    for clip in np.argsort(store.start, kind="stable"):
        label[store.start[clip] : store.start[clip] + store.length[clip]] = store.label[clip] + 1
    return label


def windows_to_fit(
    bank: RecordingBank, recordings: Int[np.ndarray, " R"], stride: int, size: int, batch: int = 256
) -> Iterator[Float[Tensor, "B T M V C"]]:
    """Windows around frames spread evenly over these recordings, at most `FITTED_CLIPS`, batch by batch."""
    chosen = torch.from_numpy(recordings).to(bank.length.device)
    ends = bank.length[chosen].cumsum(dim=0)
    total = int(ends[-1])
    count = min(total, FITTED_CLIPS)
    for place in (torch.arange(count, device=ends.device) * total // count).split(batch):
        of = torch.searchsorted(ends, place, right=True)
        frame = place - (ends - bank.length[chosen])[of]
        yield bank.windows(chosen[of], frame, torch.full_like(frame, stride), size)
