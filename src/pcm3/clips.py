"""A store's clips on a device, cropped and fed to an encoder: what training and the tasks share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.augment.crop import centre_crops, crop_resize, random_crops, spread_crops
from pcm3.data.store import ClipStore
from pcm3.device import free_bytes
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.spec import EncoderSpec
from pcm3.geometry import absent, stream
from pcm3.skeleton import Layout, StreamName

FITTED_CLIPS = 4096
"""Clips to which a feature normalisation is fitted at most: enough for a mean. Of more, as many are drawn, always the
same ones."""
TEST_CROP = 0.95
"""The central share of a clip that a test sees (docs/FIDELITY.md 5)."""
TRAIN_CROP = (0.5, 1.0)
"""Shares of a clip that crops take when a downstream head trains."""
MIN_FRAMES = 64
"""Frames that those crops have at least, where the clip has so many."""
MIN_TEST_FRAMES = 16
"""The same where a test takes the mean over several crops: in short clips, too, they are to differ."""


@runtime_checkable
class ClipEncoder(Protocol):
    """What a task needs of an encoder: an `nn.Module` with ``embed`` and ``width``."""

    @property
    def width(self) -> int:
        """D, the width of a clip feature."""

    def embed(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B D"]:
        """The feature of each clip."""

    def train(self, mode: bool) -> nn.Module:
        """As every torch module."""


@runtime_checkable
class GapEncoder(Protocol):
    """An encoder that can take clips from some frames of which joints are absent."""

    def with_gaps(self) -> ClipEncoder:
        """The same encoder, for such clips: nothing leads to or from an absent joint."""


@runtime_checkable
class FrameEncoder(Protocol):
    """An encoder that has a feature for every frame."""

    @property
    def frame_width(self) -> int:
        """The width of a frame's feature."""

    def frames(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B t D"]:
        """The feature of each frame, or of each `time_stride` of them."""


AnEncoder = TypeVar("AnEncoder")
"""The kind of encoder that the caller has, and gets."""
Clips = Float[Tensor, "B T M V C"]
"""Joints in metres."""


@dataclass(frozen=True)
class Feed:
    """How clips are fed to encoders: as which stream, and whether anything of it leads to or from absent joints.

    The one place that decides it, for clips of a store, clips of which joints were taken, frames as they come, and
    files for other programs.
    """

    stream: StreamName
    layout: Layout
    gaps: bool
    """Whether joints may be absent from frames, as zeros. An encoder that learned from whole clips must
    know it, too: else it takes an absent joint to have leapt away."""

    @classmethod
    def of(cls, store: ClipStore, stream: StreamName) -> Feed:
        """Of the clips of a store."""
        return cls(stream, store.layout, store.has_gaps)

    @classmethod
    def live(cls, spec: EncoderSpec) -> Feed:
        """Of frames that come one at a time: nobody knows which joints the next one lacks."""
        return cls(spec.stream, spec.layout, gaps=True)

    def torn(self, gaps: bool = True) -> Feed:
        """Of the same clips after joints were taken from them, if they were."""
        return replace(self, gaps=self.gaps or gaps)

    def crops(
        self, frames: Num[Tensor, "F M V C"], start: Int[Tensor, " B"], length: Int[Tensor, " B"], size: int
    ) -> Clips:
        """Stretches of all frames, resampled to so many; not yet of the stream."""
        return crop_resize(frames, start, length, size, self.gaps)

    def streamed(self, clips: Clips) -> Float[Tensor, "B T M V C"]:
        """Clips as input of the encoder."""
        return stream(clips, self.stream, self.layout, self.gaps)

    def adapted(self, encoder: AnEncoder) -> AnEncoder:
        """The encoder for these clips, its weights shared: with gaps where joints may be absent."""
        return cast(AnEncoder, encoder.with_gaps()) if self.gaps and isinstance(encoder, GapEncoder) else encoder

    @contextmanager
    def embedding(self, encoder: ClipEncoder) -> Iterator[Callable[[Clips], Float[Tensor, "B D"]]]:
        """Inside, what gives the float32 features of clips; the encoder stays as it is."""
        adapted = self.adapted(encoder)
        with frozen(adapted):
            yield lambda clips: adapted.embed(self.streamed(clips)).float()


@dataclass(frozen=True)
class ClipBatch:
    """Whole clips of a store that are drawn together: what a method makes its views of."""

    frames: Num[Tensor, "F M V C"]
    """Of the whole store, on the device or mapped from the disk (`frames_on`)."""
    start: Int[Tensor, " B"]
    """The first of `frames` of each clip."""
    length: Int[Tensor, " B"]
    """Frames of each clip."""
    index: Int[Tensor, " B"]
    """The number of each clip in the store."""
    gaps: bool
    """Whether single joints are absent from some frames, as zeros."""
    flat: int | None = None
    """The coordinate that is 0 everywhere, as these are poses in a picture; None: there is none."""


@dataclass(frozen=True)
class ClipBank:
    """A store's clips on a device, ready to be cropped and fed to an encoder of one stream."""

    store: ClipStore
    frames: Num[Tensor, "F M V C"]
    start: Int[Tensor, " N"]
    length: Int[Tensor, " N"]
    stream: StreamName
    size: int
    """T, frames that crops are resampled to."""
    crops: int = 1
    """Crops of a clip over which its feature is the mean, where that is taken once; 1: the central one alone."""
    taken: dict[tuple[ClipEncoder, int, int], Tensor] | None = None
    """Features that tests have had, by encoder, crops and clip, for tests to come; None keeps none. Who trains an
    encoder must keep none."""

    @classmethod
    def of(cls, store: ClipStore, stream: StreamName, size: int, device: torch.device, processes: int = 1) -> ClipBank:
        """All clips of the store; so many processes of this machine share the CPU's memory."""
        start = torch.from_numpy(store.start.astype(np.int64)).to(device)
        length = torch.from_numpy(store.length.astype(np.int64)).to(device)
        return cls(store, frames_on(store.frames, device, processes), start, length, stream, size)

    @property
    def feed(self) -> Feed:
        """How its clips are fed to encoders."""
        return Feed.of(self.store, self.stream)

    @property
    def device(self) -> torch.device:
        """Where crops are taken; the frames may be on the disk."""
        return self.start.device

    def batch(self, indices: Int[Tensor, " B"]) -> ClipBatch:
        """These clips, whole."""
        store = self.store
        return ClipBatch(
            self.frames, self.start[indices], self.length[indices], indices, store.has_gaps, store.flat_coordinate
        )

    def centre(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T M V C"]:
        """The central crop of each of these clips."""
        start, length = centre_crops(self.length[indices], TEST_CROP)
        return self._crop(indices, start, length)

    def test_crops(self, indices: Int[Tensor, " B"]) -> list[Float[Tensor, "B T M V C"]]:
        """All that a test sees of these clips: as many crops of each as the bank has."""
        return [self._crop(indices, *crop) for crop in crops_of_a_test(self.length[indices], self.crops)]

    def random(self, indices: Int[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, "B T M V C"]:
        """A training crop of each of these clips."""
        start, length = random_crops(self.length[indices], TRAIN_CROP, MIN_FRAMES, generator)
        return self._crop(indices, start, length)

    def stretch(
        self, indices: Int[Tensor, " B"], start: Int[Tensor, " B"], length: Int[Tensor, " B"]
    ) -> Float[Tensor, "B T M V C"]:
        """Stretches of these clips, from a frame on and so many frames long, resampled to `size`; not of the stream."""
        return self.feed.crops(self.frames, self.start[indices] + start, length, self.size)

    def _crop(
        self, indices: Int[Tensor, " B"], start: Int[Tensor, " B"], length: Int[Tensor, " B"]
    ) -> Float[Tensor, "B T M V C"]:
        return self.feed.streamed(self.stretch(indices, start, length))


def crops_of_a_test(length: Int[Tensor, " B"], crops: int) -> list[tuple[Int[Tensor, " B"], Int[Tensor, " B"]]]:
    """Start and length of all that a test sees of clips of these lengths: the centre, or so many crops of each."""
    if crops == 1:
        return [centre_crops(length, TEST_CROP)]
    return spread_crops(length, TRAIN_CROP, MIN_TEST_FRAMES, crops)


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
    indices: NDArray[np.int64],
    generator: torch.Generator | None = None,
    batch: int = 256,
) -> Float[Tensor, "N D"]:
    """Float32 features of these clips (N,): of what a test sees, the mean over its crops; or with a generator of a
    random crop.
    """
    if bank.taken is None or generator is not None:
        return _extract(encoder, bank, indices, generator, batch)
    keys = [(encoder, bank.crops, int(clip)) for clip in indices]
    if new := [key for key in dict.fromkeys(keys) if key not in bank.taken]:
        features = _extract(encoder, bank, np.array([clip for *_, clip in new], np.int64), None, batch)
        bank.taken.update(zip(new, features, strict=True))
    return torch.stack([bank.taken[key] for key in keys])


def have_gaps(clips: Float[Tensor, "B T M V C"], lengths: Int[Tensor, " B"], layout: Layout) -> Bool[Tensor, " B"]:
    """Whether single joints are absent from bodies that are there, as `ClipStore.has_gaps` says of a store.

    Of prepared joints, of which so many frames are each clip's own.
    """
    padding = torch.arange(clips.shape[1], device=lengths.device) >= lengths.unsqueeze(1)
    own = clips.masked_fill(padding[:, :, None, None, None], 0)
    # What hangs from the centre joint may lie where it does, as in skeletons of motion capture.
    standing = [joint for joint, parent in enumerate(layout.parents) if {joint, parent} & set(layout.at_origin)]
    there = (own != 0).any(dim=-1).any(dim=-1, keepdim=True)
    result: Tensor = (there & absent(own, standing)).flatten(1).any(dim=1)
    return result


def _extract(
    encoder: ClipEncoder,
    bank: ClipBank,
    indices: NDArray[np.int64],
    generator: torch.Generator | None,
    batch: int,
) -> Float[Tensor, "N D"]:
    chosen = torch.from_numpy(indices).to(bank.device)
    features, adapted = [], bank.feed.adapted(encoder)
    with frozen(adapted):
        for part in chosen.split(batch):
            crops = bank.test_crops(part) if generator is None else [bank.random(part, generator)]
            features.append(torch.stack([adapted.embed(clips).float() for clips in crops]).mean(dim=0))
    return torch.cat(features)


def fit_readout(encoder: Encoder, batches: Iterable[Float[Tensor, "B T M V C"]]) -> None:
    """The encoder's features of these clips have from now on mean 0 and mean square 1."""
    with frozen(encoder):
        pooled = [encoder.pool(encoder.frames(clips)) for clips in batches]
    encoder.readout.fit_normalisation(torch.cat(pooled))


def clips_to_fit(bank: ClipBank, indices: NDArray[np.int64], batch: int = 256) -> Iterator[Float[Tensor, "B T M V C"]]:
    """Centre crops of these clips (N,), of `FITTED_CLIPS` of them where there are more, batch by batch."""
    if len(indices) > FITTED_CLIPS:  # not every n-th, which in a store sorted by action may all show the same one
        indices = np.random.default_rng(0).choice(indices, FITTED_CLIPS, replace=False)
    for part in torch.from_numpy(indices).to(bank.device).split(batch):
        yield bank.centre(part)


def frames_on(frames: NDArray[Any], device: torch.device, processes: int = 1) -> Num[Tensor, "F M V C"]:
    """The store's frames (F, M, V, C) as a tensor: on the device where half its memory holds them, else mapped.

    Mapped frames stay on the disk; `augment.crop.crop_resize` gathers from them row by row. So many processes of this
    machine share the CPU's memory.
    """
    free = free_bytes(device) // (processes if device.type == "cpu" else 1)
    if frames.nbytes <= free // 2:
        return torch.from_numpy(np.array(frames)).to(device)
    mapped: Any = frames
    while mapped is not None and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    if mapped is None:
        return torch.from_numpy(np.array(frames))
    with warnings.catch_warnings():
        # Torch cannot know that nobody writes here. A map that could be written (copy-on-write) would be refused by
        # the system where it is larger than the memory.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(frames)
