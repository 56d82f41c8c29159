"""Which action a frame shows, if any: a linear classifier on an encoder's feature of the window around the frame."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.clips import ClipEncoder, FrameEncoder, frozen
from pcm3.errors import ConfigError
from pcm3.settings.tasks import DetectionSettings
from pcm3.tasks.detection.segments import Scores
from pcm3.tasks.detection.windows import RecordingBank
from pcm3.tasks.linear import fresh_head

TEST_BATCH = 512
"""Windows that are tested at a time."""


class FrameClassifier:
    """Windows (B, T, M, V, C) → scores before the softmax of background and L classes (B, 1 + L)."""

    def __init__(
        self,
        encoder: ClipEncoder,
        classes: int,
        feature: Literal["clip", "centre"],
        keep: bool,
        generator: torch.Generator,
    ) -> None:
        """A classifier with fresh weights, of N(0, 0.01).

        Args:
            encoder: what it stands on; it never changes.
            classes: L.
            feature: see `DetectionSettings.feature`.
            keep: train the linear layer alone; otherwise a copy of the encoder, too.
            generator: of the weights, on the device of the encoder.

        Raises:
            ConfigError: the centre frame's feature of an encoder that has none of single frames.
        """
        if feature == "centre" and not isinstance(encoder, FrameEncoder):
            raise ConfigError(
                f"setting detection.feature: expected clip, as {type(encoder).__name__} has no feature of a frame, "
                "got centre"
            )
        self.encoder = encoder if keep else deepcopy(encoder)
        self.keep, self.feature = keep, feature
        width = encoder.frame_width if feature == "centre" and isinstance(encoder, FrameEncoder) else encoder.width
        self.head = fresh_head(width, 1 + classes, generator)
        if not keep:
            self.encoder.train(True)

    def trained(self) -> list[nn.Parameter]:
        """The weights that training moves."""
        tuned = [] if self.keep or not isinstance(self.encoder, nn.Module) else list(self.encoder.parameters())
        return [*self.head.parameters(), *tuned]

    def __call__(self, windows: Tensor) -> Tensor:
        """(B, T, M, V, C) → (B, 1 + L), with the gradient of what is trained."""
        if not self.keep:
            return self._told(self._seen(windows))
        with frozen(self.encoder):
            seen = self._seen(windows)
        return self._told(seen)

    def scores(self, windows: Tensor) -> Tensor:
        """The softmax of it, (B, 1 + L) float64, in eval mode and without gradient."""
        with frozen(self.encoder):
            return self._told(self._seen(windows)).double().softmax(dim=1)

    def _seen(self, windows: Tensor) -> Tensor:
        if self.feature == "clip":
            return self.encoder.embed(windows)
        assert isinstance(self.encoder, FrameEncoder)
        return self.encoder.frames(windows)[:, windows.shape[1] // 2]

    def _told(self, seen: Tensor) -> Tensor:
        told: Tensor = self.head(seen)
        return told


def train_epoch(
    classifier: FrameClassifier,
    optimiser: torch.optim.Optimizer,
    bank: RecordingBank,
    train: Tensor,
    settings: DetectionSettings,
    generator: torch.Generator,
) -> None:
    """One pass over windows around random frames, as many from each of the recordings `train` (R,), in random order."""
    device = train.device
    low, high = settings.strides
    total = len(train) * settings.windows
    recording = train.repeat(settings.windows)[torch.randperm(total, generator=generator, device=device)]
    place = torch.rand(total, generator=generator, device=device, dtype=torch.float64)
    frame = (place * bank.length[recording]).long()
    stride = torch.randint(low, high + 1, (total,), generator=generator, device=device)
    label = bank.label[bank.start[recording] + frame]
    for part in torch.arange(total, device=device).split(settings.batch):
        windows = bank.windows(recording[part], frame[part], stride[part], settings.frames)
        loss = F.cross_entropy(classifier(windows), label[part])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def frame_scores(
    classifier: FrameClassifier, bank: RecordingBank, recording: int, settings: DetectionSettings
) -> Scores:
    """The softmax (T, 1 + L) for every frame of a recording, in eval mode."""
    scores: list[NDArray[np.float64]] = []
    for frame in torch.arange(int(bank.length[recording]), device=bank.label.device).split(TEST_BATCH):
        numbers, stride = torch.full_like(frame, recording), torch.full_like(frame, settings.test_stride)
        windows = bank.windows(numbers, frame, stride, settings.frames)
        scores.append(classifier.scores(windows).cpu().numpy())
    return np.concatenate(scores)
