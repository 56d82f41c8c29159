"""Which action a frame shows, if any: a linear classifier on an encoder's feature of the window around the frame, or of
the frame itself.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int
from torch import Tensor, nn

from pcm3.clips import ClipEncoder, FrameEncoder, frozen
from pcm3.errors import ConfigError
from pcm3.settings.tasks import DetectionFeature, DetectionSettings
from pcm3.tasks.classifier import fresh_head
from pcm3.tasks.detection.segments import Scores
from pcm3.tasks.detection.windows import BEYOND, RecordingBank
from pcm3.tasks.head_files import EncoderUse

TEST_BATCH = 512
"""Windows that are tested at a time."""


def check_feature(feature: DetectionFeature, encoder: ClipEncoder) -> None:
    """Raises ConfigError for a frame's feature of an encoder that has none of single frames, or, for `frame`, that is
    not causal.
    """
    if feature != "clip" and not isinstance(encoder, FrameEncoder):
        raise ConfigError(
            f"setting detection.feature: expected clip, as {type(encoder).__name__} has no feature of a frame, "
            f"got {feature}"
        )
    if feature == "frame" and not getattr(encoder, "causal", False):
        raise ConfigError(
            "setting detection.feature: expected clip or centre, as the encoder's frames know later ones, got "
            "frame: pretrain a causal one (--preset live)"
        )


@dataclass(frozen=True, eq=False)
class FrameClassifier:
    """Windows (B, T, M, V, C) → scores before the softmax of background and L classes (B, 1 + L)."""

    encoder: ClipEncoder
    """The one that was given, or the copy that is trained."""
    linear: nn.Linear
    """D → 1 + L."""
    feature: DetectionFeature
    """See `DetectionSettings.feature`."""
    use: EncoderUse

    @classmethod
    def fresh(
        cls,
        encoder: ClipEncoder,
        classes: int,
        feature: DetectionFeature,
        use: EncoderUse,
        generator: torch.Generator,
    ) -> FrameClassifier:
        """A classifier with fresh weights, of N(0, 0.01), on the encoder, or on a copy of it that is tuned.

        Raises:
            ConfigError: a frame's feature of an encoder that has none of single frames, or, for `frame`, that is not
                causal.
        """
        check_feature(feature, encoder)
        width = encoder.frame_width if feature != "clip" and isinstance(encoder, FrameEncoder) else encoder.width
        network = encoder if use == "frozen" else deepcopy(encoder)
        if use == "tuned":
            network.train(True)
        return cls(network, fresh_head(width, 1 + classes, generator), feature, use)

    def trained(self) -> list[nn.Parameter]:
        """The weights that training moves."""
        tuned = self.encoder.parameters() if self.use == "tuned" and isinstance(self.encoder, nn.Module) else ()
        return [*self.linear.parameters(), *tuned]

    def __call__(self, windows: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B scores"]:
        """The scores, with the gradient of what is trained."""
        return self._logits(self._trained(self._features, windows))

    def every_frame(self, stretches: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B T scores"]:
        """The scores of each frame by its own feature, with the gradient of what is trained."""
        return self._logits(self._trained(self._frames, stretches))

    def features(self, windows: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B D"]:
        """What of the windows is classified, in eval mode and without gradient."""
        with frozen(self.encoder):
            return self._features(windows)

    def features_of_whole(self, recording: Float[Tensor, "T M V C"]) -> Float[Tensor, "T D"]:
        """The feature of each frame of a whole recording, likewise."""
        with frozen(self.encoder):
            return self._frames(recording[None])[0]

    @torch.no_grad()
    def scores(self, features: Float[Tensor, "N D"]) -> Float64[Tensor, "N scores"]:
        """The softmax of these features' scores, `TEST_BATCH` at a time."""
        return torch.cat([self._logits(some).double().softmax(dim=1) for some in features.split(TEST_BATCH)])

    def _trained(
        self, features: Callable[[Float[Tensor, "B T M V C"]], Tensor], clips: Float[Tensor, "B T M V C"]
    ) -> Tensor:
        """The features, with a gradient only where the encoder is tuned."""
        if self.use == "tuned":
            return features(clips)
        with frozen(self.encoder):
            return features(clips)

    def _frames(self, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B T D"]:
        assert isinstance(self.encoder, FrameEncoder)
        return self.encoder.frames(clips)

    def _features(self, windows: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B D"]:
        if self.feature == "clip":
            return self.encoder.embed(windows)
        features = self._frames(windows)
        # Of an encoder with a time stride, the one that stands for the centre frame.
        return features[:, windows.shape[1] // 2 * features.shape[1] // windows.shape[1]]

    def _logits(self, features: Float[Tensor, "*B D"]) -> Float[Tensor, "*B scores"]:
        logits: Tensor = self.linear(features)
        return logits


def train_epoch(
    classifier: FrameClassifier,
    optimiser: torch.optim.Optimizer,
    bank: RecordingBank,
    train: Int[Tensor, " R"],
    settings: DetectionSettings,
    generator: torch.Generator,
) -> None:
    """One pass over windows around random frames, as many from each of these recordings, in random order."""
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


def train_epoch_on_stretches(
    classifier: FrameClassifier,
    optimiser: torch.optim.Optimizer,
    bank: RecordingBank,
    train: Int[Tensor, " R"],
    settings: DetectionSettings,
    generator: torch.Generator,
) -> None:
    """As `train_epoch`, over stretches of the recordings instead of windows, with the loss of each of their frames."""
    device = train.device
    total = len(train) * settings.windows
    recording = train.repeat(settings.windows)[torch.randperm(total, generator=generator, device=device)]
    place = torch.rand(total, generator=generator, device=device, dtype=torch.float64)
    start = (place * (bank.length[recording] - settings.stretch + 1).clamp(min=1)).long()
    for part in torch.arange(total, device=device).split(settings.batch):
        stretches, label = bank.stretches(recording[part], start[part], settings.stretch)
        loss = F.cross_entropy(classifier.every_frame(stretches).flatten(0, 1), label.flatten(), ignore_index=BEYOND)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


class KeptFeatures:
    """Features of whole recordings, so that an encoder that does not change sees each but once; those for which there
    is no more room are made anew each time.
    """

    def __init__(self, room: int = 2 << 30) -> None:
        """Keep up to ``room`` bytes."""
        self._room = room
        self._kept: dict[int, Tensor] = {}

    def of(self, recording: int, encode: Callable[[], Float[Tensor, "T D"]]) -> Float[Tensor, "T D"]:
        """The recording's features, which `encode` makes where they are not kept."""
        if recording in self._kept:
            return self._kept[recording]
        features = encode()
        if features.nbytes <= self._room:
            self._room -= features.nbytes
            self._kept[recording] = features
        return features


def frame_scores(
    classifier: FrameClassifier,
    bank: RecordingBank,
    recording: int,
    settings: DetectionSettings,
    frames: Int[Tensor, " N"] | None = None,
    kept: KeptFeatures | None = None,
) -> Scores:
    """The softmax (N, 1 + L) for these frames of a recording, or for every frame, in eval mode.

    In `kept` the features of every frame stay from one call to the next, of the same bank, encoder and settings.
    """
    whole = classifier.feature == "frame"
    every_frame = torch.arange(int(bank.length[recording]), device=bank.label.device)

    def encode() -> Tensor:
        if whole:
            return classifier.features_of_whole(bank.whole(recording))
        parts = []
        for frame in (every_frame if frames is None else frames).split(TEST_BATCH):
            indices, stride = torch.full_like(frame, recording), torch.full_like(frame, settings.test_stride)
            parts.append(classifier.features(bank.windows(indices, frame, stride, settings.frames)))
        return torch.cat(parts)

    scores = classifier.scores(encode() if kept is None or frames is not None else kept.of(recording, encode))
    return (scores[frames] if whole and frames is not None else scores).cpu().numpy()
