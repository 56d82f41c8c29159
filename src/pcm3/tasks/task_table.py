"""The tasks of ``pcm3 evaluate``: one table of what each looks at, how it judges an encoder, and beside what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pcm3.clips import ClipBank, ClipEncoder
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.settings.tasks import TASK_WORDS, TaskSettings
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.detection.evaluate import detection
from pcm3.tasks.detection.windows import RecordingBank, untrimmed
from pcm3.tasks.finetune import finetune, semi_supervised
from pcm3.tasks.linear import HeadResult, linear
from pcm3.tasks.occlusion import occlusion
from pcm3.tasks.prediction.evaluate import PredictionResult, constant_velocity, motion_prediction, zero_velocity
from pcm3.tasks.prediction.windows import MotionBank
from pcm3.tasks.retrieval import retrieval
from pcm3.train.checkpoint import EncoderSpec

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Setup:
    """What encoders of one shape are judged on."""

    store: ClipStore
    spec: EncoderSpec
    train: Numbers
    """Of clips, or of recordings where the task is about these."""
    test: Numbers
    settings: TaskSettings
    device: torch.device

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the store by itself."""
        rest = (self.spec, self.train, self.test, self.settings, self.device)
        return _setup_elsewhere, (self.store.path, *rest)

    @property
    def classes(self) -> int:
        """L: as many as the store names, or as its labels need."""
        return max(len(self.store.classes), int(self.store.label.max()) + 1)

    @cached_property
    def clips(self) -> ClipBank:
        """The store's clips on the device."""
        return ClipBank.of(self.store, self.spec.stream, self.spec.frames, self.device)

    @property
    def cropped_clips(self) -> ClipBank:
        """The same, for features that are taken once: over as many crops as the settings have."""
        return replace(self.clips, crops=self.settings.test.crops)

    @cached_property
    def recordings(self) -> RecordingBank:
        """The store's untrimmed recordings on the device."""
        return RecordingBank.of(self.store, self.spec.stream, self.device)

    @cached_property
    def motions(self) -> MotionBank:
        """The store's windows of motion on the device."""
        chosen = self.settings.prediction
        return MotionBank.of(self.store, self.spec.stream, chosen.seed_frames, chosen.predicted_frames, self.device)


def _setup_elsewhere(path: Path, *rest: Any) -> Setup:
    return Setup(ClipStore.open(path), *rest)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What one encoder and seed came to."""

    figures: dict[str, float]
    """By name; the first is what the task is about."""
    predicted: Numbers | None = None
    """(N_test,) classes, of the tasks that recognise clips."""
    result: Any = None
    """The task's own result, for its pictures."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures must know."""


@dataclass(frozen=True)
class Task:
    """One task of the table."""

    judge: Callable[[ClipEncoder, Setup, int], Verdict]
    """(encoder, setup, seed): the encoder stays as it is."""
    sides: Callable[[ClipStore, str], tuple[Numbers, Numbers]]
    """What trains and what tests under a protocol of the store."""
    groups: tuple[str, ...]
    """The groups of `TaskSettings` that it goes by."""
    shown: tuple[str, ...] = ()
    """Figures in the table for people; empty: all but those of the best epoch."""
    raw_frames: Callable[[TaskSettings, EncoderSpec], int] | None = lambda _, spec: spec.frames
    """T of the raw coordinates that stand beside; None: they make no sense here."""
    seeded: bool = True
    """Whether an encoder is judged with several seeds."""
    long: bool = True
    """Whether a verdict takes long enough to be worth a process of its own."""
    beside: Mapping[str, Callable[[Setup], Verdict]] = field(default_factory=dict)
    """Baselines without an encoder."""

    @property
    def of_recordings(self) -> bool:
        """Whether untrimmed recordings train and test, not clips."""
        return self.sides is recording_split

    @property
    def by_label(self) -> bool:
        """Whether its figures are about classes."""
        return self.sides is not split

    def raw(self, setup: Setup) -> ClipEncoder | None:
        """Raw coordinates as an encoder, where they make sense."""
        if self.raw_frames is None:
            return None
        return RawCoordinates(self.raw_frames(setup.settings, setup.spec), *setup.store.frames.shape[1:])


def labelled_split(store: ClipStore, protocol: str) -> tuple[Numbers, Numbers]:
    """Training and test clips of a protocol that have a label.

    Raises:
        DataError: there is no such protocol, or no labelled clip on one of its sides.
    """
    train, test = (side[store.label[side] >= 0] for side in split(store, protocol))
    if len(train) == 0 or len(test) == 0:
        raise DataError(f"{store.path}: expected labelled clips on both sides of {protocol}, found none on one side")
    return train, test


def recording_split(store: ClipStore, protocol: str) -> tuple[Numbers, Numbers]:
    """Training and test recordings of a protocol.

    Raises:
        DataError: the store has no untrimmed recordings, or cannot serve the protocol.
    """
    return split(untrimmed(store), protocol)


def _recognised(result: HeadResult) -> Verdict:
    return Verdict(result.figures, result.predicted, result)


def _linear(encoder: ClipEncoder, setup: Setup, seed: int, *, cached: bool) -> Verdict:
    head, bank = setup.settings.head, setup.cropped_clips if cached else setup.clips
    return _recognised(linear(encoder, bank, setup.train, setup.test, setup.classes, head, seed, cached))


def _retrieval(encoder: ClipEncoder, setup: Setup, seed: int) -> Verdict:
    return _recognised(retrieval(encoder, setup.cropped_clips, setup.train, setup.test, setup.settings.retrieval))


def _finetune(encoder: ClipEncoder, setup: Setup, seed: int) -> Verdict:
    chosen = setup.settings.finetune
    return _recognised(finetune(encoder, setup.clips, setup.train, setup.test, setup.classes, chosen, seed))


def _semi(encoder: ClipEncoder, setup: Setup, seed: int) -> Verdict:
    """Both kinds of subset at every share; ``top1_1pc_global`` is the figure with 1 % of all labels."""
    figures: dict[str, float] = {}
    chosen = setup.settings
    for kind in chosen.subset.kinds:
        for share in chosen.subset.shares:
            result = semi_supervised(
                encoder, setup.clips, setup.train, setup.test, setup.classes, chosen.finetune, share, kind, seed
            )
            figures |= {f"{name}_{100 * share:g}pc_{kind}": value for name, value in result.figures.items()}
    return Verdict(dict(sorted(figures.items(), key=lambda figure: figure[0].startswith("best"))))


def _occlusion(encoder: ClipEncoder, setup: Setup, seed: int, *, cached: bool) -> Verdict:
    chosen = setup.settings
    result = occlusion(
        encoder, setup.clips, setup.train, setup.test, setup.classes, chosen.occlusion, chosen.head, seed, cached
    )
    return Verdict(result.figures, result=result)


def _detection(encoder: ClipEncoder, setup: Setup, seed: int, *, frozen: bool) -> Verdict:
    chosen = setup.settings.detection
    result = detection(encoder, setup.recordings, setup.train, setup.test, setup.classes, chosen, seed, frozen=frozen)
    ceiling = f"a classifier that is right in every frame would come to mAP_a {result.ceiling['map_a_voc']:.1f} % (VOC)"
    fed = "centred and turned" if result.normalised else "as recorded"
    return Verdict(result.figures, result=result, notes=(ceiling, f"recordings were fed {fed}"))


def _prediction(encoder: ClipEncoder, setup: Setup, seed: int, *, frozen: bool) -> Verdict:
    chosen = setup.settings.prediction
    keep = frozen or isinstance(encoder, RawCoordinates)  # which has nothing to tune
    return _predicted(motion_prediction(encoder, setup.motions, setup.train, setup.test, chosen, seed, keep), setup)


def _predicted(result: PredictionResult, setup: Setup) -> Verdict:
    notes = ["mean over all joints but the root, about which they are"]
    if any(result.left_out):
        notes.append(
            f"{result.left_out[0]:,} of {len(setup.train):,} training and {result.left_out[1]:,} of "
            f"{len(setup.test):,} test clips are shorter than the window, or lack joints, and were left out"
        )
    return Verdict(result.figures, result=result, notes=tuple(notes))


def _zero_velocity(setup: Setup) -> Verdict:
    return _predicted(zero_velocity(setup.motions, setup.test), setup)


def _constant_velocity(setup: Setup) -> Verdict:
    return _predicted(constant_velocity(setup.motions, setup.test), setup)


RECOGNISED = ("top1", "best_top1")
OCCLUDED = ("top1_spatial", "top1_temporal", "top1_clean", "delta")
DETECTED = ("map_a_voc", "map_v_official", "map_a_official", "f1_official", "frame_accuracy", "best_map_a_voc")
PREDICTED = ("mpjpe_mm", *(f"mpjpe_{horizon}ms_mm" for horizon in (80, 160, 320, 400)), "best_mpjpe_mm")
VELOCITIES = {"zero velocity": _zero_velocity, "constant velocity": _constant_velocity}


def _window(settings: TaskSettings, _: EncoderSpec) -> int:
    return settings.detection.frames


def _seed(settings: TaskSettings, _: EncoderSpec) -> int:
    return settings.prediction.seed_frames


FOUND = (recording_split, ("detection",), DETECTED, _window)
FORETOLD = (split, ("prediction",), PREDICTED, _seed)

TASKS: dict[str, Task] = {
    "linear": Task(partial(_linear, cached=False), labelled_split, ("head",), RECOGNISED),
    "linear-cached": Task(partial(_linear, cached=True), labelled_split, ("test", "head"), RECOGNISED, long=False),
    "semi": Task(_semi, labelled_split, ("finetune", "subset")),
    "finetune": Task(_finetune, labelled_split, ("finetune",), RECOGNISED),
    "retrieval": Task(_retrieval, labelled_split, ("test", "retrieval"), seeded=False, long=False),
    "occlusion": Task(partial(_occlusion, cached=False), labelled_split, ("occlusion", "head"), OCCLUDED),
    "occlusion-cached": Task(partial(_occlusion, cached=True), labelled_split, ("occlusion", "head"), OCCLUDED),
    "detection": Task(partial(_detection, frozen=False), *FOUND),
    "detection-frozen": Task(partial(_detection, frozen=True), *FOUND),
    "prediction": Task(partial(_prediction, frozen=False), *FORETOLD, beside=VELOCITIES),
    "prediction-frozen": Task(partial(_prediction, frozen=True), *FORETOLD, beside=VELOCITIES),
}
"""By name, in the order of `TASK_WORDS`, which tells what each is."""

assert tuple(TASKS) == tuple(TASK_WORDS)
