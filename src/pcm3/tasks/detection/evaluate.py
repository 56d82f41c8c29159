"""Action detection: which actions an untrimmed recording holds, from when to when (PCM³ §4.3, Table 5).

The scores of a `frame_classifier`, smoothed over time, become actions (`segmenting`), and these are judged
(`average_precision`). Table 5 of the paper is at overlap 0.5; the authors' detection code has its mAP_a from VOC's rule
and its mAP_v from the official one, which here are ``map_a_voc`` and ``map_v_official``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pcm3.clips import ClipEncoder
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.settings.tasks import DetectionSettings
from pcm3.tasks.detection.average_precision import Segments, detection_figures, segments
from pcm3.tasks.detection.frame_classifier import FrameClassifier, frame_scores, train_epoch
from pcm3.tasks.detection.segments import Scores, find_actions, smooth
from pcm3.tasks.detection.windows import RecordingBank, untrimmed

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """What one classifier came to on the test recordings; videos are numbers of `ClipStore.recordings`."""

    figures: dict[str, float]
    """Per cent, after the last epoch, as `detection_figures` names them; ``frame_accuracy``, the share of frames whose
    label is told right, before smoothing; ``best_…``, both of the epoch with the best ``map_a_voc`` of those after
    which the test recordings were looked at."""
    ceiling: dict[str, float]
    """The same of a classifier that tells every frame right: what smoothing and segmenting alone cost."""
    predicted: Segments
    true: Segments
    normalised: bool
    """Whether the store's recordings are centred and turned; the authors' detection was fed with raw coordinates."""


def detection(
    encoder: ClipEncoder,
    bank: RecordingBank,
    train: Numbers,
    test: Numbers,
    classes: int,
    settings: DetectionSettings,
    seed: int,
    frozen: bool,
    tick: Callable[[], object] = lambda: None,
) -> DetectionResult:
    """Train a classifier of frames on the recordings `train`, find the actions in `test`, and judge them.

    Args:
        encoder: stays as it is, weights and BatchNorm buffers.
        bank: the recordings.
        train: numbers of the training recordings.
        test: numbers of the test recordings.
        classes: L, the actions that are told apart.
        settings: the protocol's numbers.
        seed: of the classifier's weights, the windows and their order.
        frozen: train the linear classifier alone; otherwise with it a copy of the encoder.
        tick: called after every epoch.

    Raises:
        ConfigError: the setting ``feature`` asks for what the encoder does not have.
        DataError: there is no action in the test recordings.
    """
    true = true_actions(bank.store, test)
    if len(true) == 0:
        raise DataError(f"{bank.store.path}: expected labelled actions in the test recordings, found none")
    generator = torch.Generator(device=bank.label.device).manual_seed(seed)
    classifier = FrameClassifier(encoder, classes, settings.feature, frozen, generator)
    optimiser = torch.optim.SGD(classifier.trained(), settings.lr, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.drop_epochs)
    recordings = torch.from_numpy(train).to(bank.label.device)

    def judge(scores_of: Callable[[int], Scores]) -> tuple[dict[str, float], Segments]:
        return judged(scores_of, bank, true, test, classes, settings)

    looks: list[dict[str, float]] = []
    predicted = true
    for epoch in range(1, settings.epochs + 1):
        train_epoch(classifier, optimiser, bank, recordings, settings, generator)
        schedule.step()
        if epoch % settings.test_every == 0 or epoch == settings.epochs:
            figures, predicted = judge(lambda one: frame_scores(classifier, bank, one, settings))
            looks.append(figures)
        tick()
    best = max(looks, key=lambda look: look["map_a_voc"])
    return DetectionResult(
        figures=looks[-1] | {f"best_{name}": best[name] for name in ("map_a_voc", "map_v_official")},
        ceiling=judge(lambda one: F.one_hot(bank.labels(one), 1 + classes).double().cpu().numpy())[0],
        predicted=predicted,
        true=true,
        normalised=bank.store.normalised,
    )


def judged(
    scores_of: Callable[[int], Scores],
    bank: RecordingBank,
    true: Segments,
    test: Numbers,
    classes: int,
    settings: DetectionSettings,
) -> tuple[dict[str, float], Segments]:
    """The figures and the actions that come of the scores (T, 1 + L) of each recording of `test`."""
    found: list[tuple[int, int, int, int, float]] = []
    right = 0
    for one in test.tolist():
        scores = scores_of(one)
        right += int((scores.argmax(axis=1) == bank.labels(one).cpu().numpy()).sum())
        actions = find_actions(smooth(scores, settings.smoothing), settings.activity)
        found += [(one, *action) for action in actions]
    predicted = segments(found)
    frames = int(untrimmed(bank.store).length[test].sum())
    figures = detection_figures(predicted, true, settings.overlap, classes)
    return figures | {"frame_accuracy": 100 * right / frames}, predicted


def true_actions(store: ClipStore, recordings: Numbers) -> Segments:
    """The store's actions that lie in these recordings, each from its recording's first frame on, by their place."""
    clips = np.flatnonzero(np.isin(store.recording, recordings))
    clips = clips[np.argsort(store.start[clips], kind="stable")]
    video = store.recording[clips].astype(np.int64)
    start = store.start[clips] - untrimmed(store).start[video]
    stop = start + store.length[clips]
    return Segments(video, store.label[clips].astype(np.int64), start, stop, np.ones(len(clips)))
