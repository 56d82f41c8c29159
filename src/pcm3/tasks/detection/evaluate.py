"""Action detection: which actions an untrimmed recording holds, from when to when (PCM³ §4.3, Table 5).

The scores of a `frame_classifier`, smoothed over time, become actions (`segments`), which are compared with the true
ones (`average_precision`). Table 5 of the paper is at overlap 0.5; the authors' detection code has its mAP_a from VOC's
rule and its mAP_v from the official one, which here are ``map_a_voc`` and ``map_v_official``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import nn

from pcm3.clips import ClipEncoder
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.settings.tasks import DetectionSettings
from pcm3.tasks.classifier import linear_of
from pcm3.tasks.detection.average_precision import Segments, detection_metrics, segments
from pcm3.tasks.detection.frame_classifier import (
    FrameClassifier,
    KeptFeatures,
    frame_scores,
    train_epoch,
    train_epoch_on_stretches,
)
from pcm3.tasks.detection.segments import Scores, find_actions, smooth
from pcm3.tasks.detection.windows import RecordingBank, untrimmed
from pcm3.tasks.head_files import EncoderUse, HeadFile, tuned_tensors, weights_checksum


@dataclass(frozen=True, eq=False)
class LabelledRecordings:
    """Some recordings of a bank, and the names of the actions in them."""

    bank: RecordingBank
    indices: Int[np.ndarray, " R"]
    classes: tuple[str, ...]
    """Names of the L classes."""


@dataclass(frozen=True, eq=False)
class Detector:
    """A linear layer on features of windows or frames, of an encoder that stays as it is or was tuned with it."""

    kind: ClassVar[str] = "detector"
    linear: nn.Linear
    """D → background and L classes."""
    classes: tuple[str, ...]
    """Names of the L classes."""
    settings: DetectionSettings
    model: str
    """`weights_checksum` of the encoder that it was fitted on."""
    tuned: ClipEncoder | None = None
    """The encoder that was trained with the layer; None: the one that it was fitted on serves."""

    def scores(
        self, encoder: ClipEncoder, bank: RecordingBank, recording: int, kept: KeptFeatures | None = None
    ) -> Scores:
        """The softmax (T, 1 + L) for every frame of a recording, not smoothed; `kept` as of `frame_scores`."""
        return frame_scores(self._classifier(encoder, bank), bank, recording, self.settings, kept=kept)

    def score_of(self, encoder: ClipEncoder, bank: RecordingBank, recording: int, frame: int) -> Scores:
        """The row (1, 1 + L) of `scores` for one frame, without the others'."""
        frames = torch.tensor([frame], device=bank.label.device)
        return frame_scores(self._classifier(encoder, bank), bank, recording, self.settings, frames)

    def _classifier(self, encoder: ClipEncoder, bank: RecordingBank) -> FrameClassifier:
        use: EncoderUse = "frozen" if self.tuned is None else "tuned"
        return FrameClassifier(bank.feed.adapted(self.tuned or encoder), self.linear, self.settings.feature, use)

    def detect(self, encoder: ClipEncoder, bank: RecordingBank, recording: int) -> list[tuple[int, int, int, float]]:
        """The actions (label, start, stop, confidence) in a recording, as `find_actions` tells them."""
        return actions_of(self.scores(encoder, bank, recording), self.settings)

    def save(self, folder: Path) -> None:
        """Write the head into a folder."""
        tensors = {f"linear.{name}": value for name, value in self.linear.state_dict().items()}
        tensors |= tuned_tensors(self.tuned)
        HeadFile(self.kind, self.model, asdict(self.settings), tensors, self.classes).save(folder)

    @classmethod
    def of(cls, file: HeadFile, encoder: ClipEncoder) -> Detector:
        """The head that a file holds, fitted on this encoder."""
        settings = DetectionSettings(**({**file.settings, "strides": tuple(file.settings["strides"])}))
        linear = linear_of(file.tensors["linear.weight"], file.tensors["linear.bias"])
        return cls(linear, file.classes, settings, file.model, file.tuned(encoder))


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """What one classifier came to on the test recordings; videos are numbers of `ClipStore.recordings`."""

    metrics: dict[str, float]
    """Per cent, after the last epoch, as `detection_metrics` names them; ``frame_accuracy``, the share of frames whose
    label is right, before smoothing; ``best_…``, both of the epoch with the best ``map_a_voc`` of those after
    which the test recordings were looked at."""
    ceiling: dict[str, float]
    """The same of a classifier that tells every frame right: what smoothing and segmenting alone cost."""
    predicted: Segments
    true: Segments
    normalised: bool
    """Whether the store's recordings are centred and turned; the authors' detection was fed with raw coordinates."""

    @property
    def one_answer(self) -> bool:
        """Whether no action is found at all: every frame is background."""
        return len(self.predicted) == 0


def fit_detector(
    encoder: ClipEncoder,
    train: LabelledRecordings,
    settings: DetectionSettings,
    seed: int,
    use: EncoderUse,
    on_epoch: Callable[[Detector], object] = lambda detector: None,
) -> Detector:
    """A classifier of frames, trained on recordings.

    Args:
        encoder: stays as it is, weights and BatchNorm buffers.
        train: the recordings.
        settings: the protocol's numbers.
        seed: of the classifier's weights, the windows and their order.
        use: train the linear classifier alone, or with it a copy of the encoder.
        on_epoch: called with the detector after every `settings.test_every` epochs, and after the last; it may be
            scored, and not be changed.

    Raises:
        ConfigError: the setting ``feature`` asks for what the encoder does not have.
    """
    bank, classes = train.bank, train.classes
    generator = torch.Generator(device=bank.label.device).manual_seed(seed)
    classifier = FrameClassifier.fresh(bank.feed.adapted(encoder), len(classes), settings.feature, use, generator)
    tuned = classifier.encoder if use == "tuned" else None
    detector = Detector(classifier.linear, classes, settings, weights_checksum(encoder), tuned)
    optimiser = torch.optim.SGD(classifier.trained(), settings.lr, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.drop_epochs)
    recordings = torch.from_numpy(train.indices).to(bank.label.device)
    train_an_epoch = train_epoch_on_stretches if settings.feature == "frame" else train_epoch
    for epoch in range(1, settings.epochs + 1):
        train_an_epoch(classifier, optimiser, bank, recordings, settings, generator)
        schedule.step()
        if epoch % settings.test_every == 0 or epoch == settings.epochs:
            on_epoch(detector)
    if tuned is not None:
        tuned.train(False)
    return detector


def score_detector(
    encoder: ClipEncoder, detector: Detector, test: LabelledRecordings, settings: DetectionSettings
) -> DetectionResult:
    """Find the actions in the test recordings, and compare them with the true ones; nothing is chosen on them.

    Raises:
        DataError: there is no action in the test recordings.
    """
    true = _true(test)
    metrics, predicted = compare(partial(detector.scores, encoder, test.bank), test, true, settings)
    return _result([metrics], predicted, true, test, settings)


def evaluate_detector(
    encoder: ClipEncoder,
    train: LabelledRecordings,
    test: LabelledRecordings,
    settings: DetectionSettings,
    seed: int,
    use: EncoderUse,
) -> tuple[Detector, DetectionResult]:
    """`fit_detector`, scored on the test recordings every few epochs: the detector, and what it came to.

    Raises:
        ConfigError: the setting ``feature`` asks for what the encoder does not have.
        DataError: there is no action in the test recordings.
    """
    true = _true(test)
    history, predicted = [], true
    # Most of the time goes into the windows of the test recordings, whose features stay where the encoder does.
    kept = KeptFeatures() if use == "frozen" else None

    def record(detector: Detector) -> None:
        nonlocal predicted
        metrics, predicted = compare(partial(detector.scores, encoder, test.bank, kept=kept), test, true, settings)
        history.append(metrics)

    detector = fit_detector(encoder, train, settings, seed, use, record)
    return detector, _result(history, predicted, true, test, settings)


def _result(
    history: list[dict[str, float]],
    predicted: Segments,
    true: Segments,
    test: LabelledRecordings,
    settings: DetectionSettings,
) -> DetectionResult:
    """The last of these metrics, and the best of them; with the ceiling beside."""
    best = max(history, key=lambda metrics: metrics["map_a_voc"])
    bank, scores = test.bank, 1 + len(test.classes)
    return DetectionResult(
        metrics=history[-1] | {f"best_{name}": best[name] for name in ("map_a_voc", "map_v_official")},
        ceiling=compare(
            lambda recording: F.one_hot(bank.labels(recording), scores).double().cpu().numpy(), test, true, settings
        )[0],
        predicted=predicted,
        true=true,
        normalised=bank.store.normalised,
    )


def compare(
    scores_of: Callable[[int], Scores], test: LabelledRecordings, true: Segments, settings: DetectionSettings
) -> tuple[dict[str, float], Segments]:
    """The metrics and the actions that come of the scores (T, 1 + L) of each of the test recordings."""
    actions: list[tuple[int, int, int, int, float]] = []
    right = 0
    for recording in test.indices.tolist():
        scores = scores_of(recording)
        right += int((scores.argmax(axis=1) == test.bank.labels(recording).cpu().numpy()).sum())
        actions += [(recording, *action) for action in actions_of(scores, settings)]
    predicted = segments(actions)
    frames = int(untrimmed(test.bank.store).length[test.indices].sum())
    metrics = detection_metrics(predicted, true, settings.overlap, len(test.classes))
    return metrics | {"frame_accuracy": 100 * right / frames}, predicted


def actions_of(scores: Scores, settings: DetectionSettings) -> list[tuple[int, int, int, float]]:
    """The actions (label, start, stop, confidence) in a recording of these scores."""
    return find_actions(smooth(scores, settings.smoothing), settings.activity)


def true_actions(store: ClipStore, recordings: Int[np.ndarray, " R"]) -> Segments:
    """The store's actions that lie in these recordings, each from its recording's first frame on, by their place."""
    clips = np.flatnonzero(np.isin(store.recording, recordings))
    clips = clips[np.argsort(store.start[clips], kind="stable")]
    video = store.recording[clips].astype(np.int64)
    start = store.start[clips] - untrimmed(store).start[video]
    stop = start + store.length[clips]
    return Segments(video, store.label[clips].astype(np.int64), start, stop, np.ones(len(clips)))


def _true(test: LabelledRecordings) -> Segments:
    true = true_actions(test.bank.store, test.indices)
    if len(true) == 0:
        raise DataError(f"{test.bank.store.path}: expected labelled actions in the test recordings, found none")
    return true
