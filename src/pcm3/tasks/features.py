"""Features of a store's clips, and the two encoders that every result is put beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.augment.crop import centre_crops, crop_resize, random_crops, spread_crops
from pcm3.data.store import ClipStore
from pcm3.device import frames_on
from pcm3.encoders.encoder import Encoder
from pcm3.geometry import StreamName, stream
from pcm3.tasks.detection.windows import RecordingBank

FITTED_CLIPS = 4096
"""Clips to which a readout is fitted at most: enough for a mean. Of more, as many are drawn, always the same ones."""
TEST_CROP = 0.95
"""The central share of a clip that a test sees (docs/FIDELITY.md 5)."""
TRAIN_CROP = (0.5, 1.0)
"""Shares of a clip that crops take when a downstream head trains."""
LEAST_FRAMES = 64
"""Frames that those crops have at least, where the clip has so many."""
LEAST_TESTED = 16
"""The same where a test takes the mean over several crops: in short clips, too, they are to differ."""


@runtime_checkable
class ClipEncoder(Protocol):
    """What a task needs of an encoder: an `nn.Module` with ``clip`` and ``width``."""

    @property
    def width(self) -> int:
        """D, the width of a clip feature."""

    def clip(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → (B, D)."""

    def train(self, mode: bool) -> nn.Module:
        """As every torch module."""


@runtime_checkable
class FrameEncoder(Protocol):
    """An encoder that has a feature for every frame."""

    @property
    def frame_width(self) -> int:
        """The width of a frame's feature."""

    def frames(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → (B, T, D)."""


class RawCoordinates(nn.Module):
    """The baseline that learned nothing because it does nothing: the feature is the clip itself, laid out flat."""

    def __init__(self, frames: int, bodies: int, joints: int, coordinates: int = 3) -> None:
        super().__init__()
        self.width = frames * bodies * joints * coordinates

    def clip(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → (B, T·M·V·C)."""
        return clips.flatten(1)


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

    def clip(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → (B, D)."""
        with torch.autocast(clips.device.type, torch.bfloat16):
            feature: Tensor = self.encoder.clip(clips)  # type: ignore[operator]
        return feature.float()

    def frames(self, clips: Tensor) -> Tensor:
        """(B, T, M, V, C) → (B, T, D)."""
        with torch.autocast(clips.device.type, torch.bfloat16):
            features: Tensor = self.encoder.frames(clips)  # type: ignore[operator]
        return features.float()


@dataclass(frozen=True)
class ClipBank:
    """A store's clips on a device, ready to be cropped and fed to an encoder of one stream."""

    store: ClipStore
    frames: Tensor
    """(F, M, V, C)."""
    start: Tensor
    """(N,) int64."""
    length: Tensor
    """(N,) int64."""
    stream: StreamName
    size: int
    """T, frames that crops are resampled to."""
    crops: int = 1
    """Crops of a clip over which its feature is the mean, where that is taken once; 1: the central one alone."""

    @classmethod
    def of(cls, store: ClipStore, stream: StreamName, size: int, device: torch.device) -> ClipBank:
        """All clips of the store."""
        start = torch.from_numpy(store.start.astype(np.int64)).to(device)
        length = torch.from_numpy(store.length.astype(np.int64)).to(device)
        return cls(store, frames_on(store.frames, device), start, length, stream, size)

    def centre(self, numbers: Tensor) -> Tensor:
        """Test crops of these clips (B,) → (B, T, M, V, C)."""
        start, length = centre_crops(self.length[numbers], TEST_CROP)
        return self._take(numbers, start, length)

    def tested(self, numbers: Tensor) -> list[Tensor]:
        """All that a test sees of these clips (B,): as many times (B, T, M, V, C) as there are crops."""
        if self.crops == 1:
            return [self.centre(numbers)]
        spread = spread_crops(self.length[numbers], TRAIN_CROP, LEAST_TESTED, self.crops)
        return [self._take(numbers, start, length) for start, length in spread]

    def random(self, numbers: Tensor, generator: torch.Generator) -> Tensor:
        """Training crops of these clips (B,) → (B, T, M, V, C)."""
        start, length = random_crops(self.length[numbers], TRAIN_CROP, LEAST_FRAMES, generator)
        return self._take(numbers, start, length)

    def _take(self, numbers: Tensor, start: Tensor, length: Tensor) -> Tensor:
        clips = crop_resize(self.frames, self.start[numbers] + start, length, self.size, self.store.has_gaps)
        return stream(clips, self.stream, self.store.layout, self.store.has_gaps)


@contextmanager
def frozen(encoder: ClipEncoder) -> Iterator[None]:
    """Inside, the encoder is in eval mode and records no gradient: its weights and BatchNorm buffers stay."""
    before = bool(getattr(encoder, "training", False))
    encoder.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        encoder.train(before)


def extract(
    encoder: ClipEncoder,
    bank: ClipBank,
    numbers: NDArray[np.int64],
    generator: torch.Generator | None = None,
    batch: int = 256,
) -> Tensor:
    """Features of these clips, (N, D) float32: of what a test sees, the mean over its crops; or with a generator of a
    random crop.
    """
    chosen = torch.from_numpy(numbers).to(bank.start.device)
    features = []
    with frozen(encoder):
        for part in chosen.split(batch):
            seen = bank.tested(part) if generator is None else [bank.random(part, generator)]
            features.append(torch.stack([encoder.clip(clips).float() for clips in seen]).mean(dim=0))
    return torch.cat(features)


def fit_readout(encoder: Encoder, batches: Iterable[Tensor]) -> None:
    """The encoder's features of these clips, batches (B, T, M, V, C), have from now on mean 0 and mean square 1."""
    with frozen(encoder):
        pooled = [encoder.pool(encoder.frames(clips)) for clips in batches]
    encoder.readout.fit(torch.cat(pooled))


def clips_to_fit(bank: ClipBank, numbers: NDArray[np.int64], batch: int = 256) -> Iterator[Tensor]:
    """Centre crops of these clips (N,), of `FITTED_CLIPS` of them where there are more, batch by batch."""
    if len(numbers) > FITTED_CLIPS:  # not every n-th, which in a store sorted by action may all show the same one
        numbers = np.random.default_rng(0).choice(numbers, FITTED_CLIPS, replace=False)
    for part in torch.from_numpy(numbers).to(bank.start.device).split(batch):
        yield bank.centre(part)


def windows_to_fit(
    bank: RecordingBank, recordings: NDArray[np.int64], stride: int, size: int, batch: int = 256
) -> Iterator[Tensor]:
    """Windows around frames spread evenly over these recordings (R,), at most `FITTED_CLIPS`, batch by batch."""
    chosen = torch.from_numpy(recordings).to(bank.length.device)
    ends = bank.length[chosen].cumsum(dim=0)
    total = int(ends[-1])
    count = min(total, FITTED_CLIPS)
    for place in (torch.arange(count, device=ends.device) * total // count).split(batch):
        of = torch.searchsorted(ends, place, right=True)
        frame = place - (ends - bank.length[chosen])[of]
        yield bank.windows(chosen[of], frame, torch.full_like(frame, stride), size)
