"""Settings of the downstream tasks, and what each task is called. No torch here: the command line reads it first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from pcm3.limits import check_numbers, check_range
from pcm3.settings.rules import Rule, at_least_one, enforce, epochs, not_negative, positive

TASK_WORDS = {
    "linear": "a linear head on frozen features, training crops encoded anew each epoch",
    "linear-cached": "the same on features of the centre crop, taken once: seconds instead of minutes",
    "semi": "the whole network trained with a few per cent of the labels",
    "semi-frozen": "the same on frozen features: logistic regression, the mean over draws of the labelled clips",
    "finetune": "the whole network trained with all labels; with a run from another store, transfer",
    "retrieval": "each test clip takes the label of its nearest training clip (1-NN, cosine)",
    "occlusion": "linear, with body parts or a block of frames hidden",
    "occlusion-cached": "the same on features taken once",
    "robustness": "linear-cached and 1-NN of clean clips, tested with joints lost, noise, or few frames",
    "detection": "which actions untrimmed recordings hold, and when; the whole network trained",
    "detection-frozen": "the same, a linear head on frozen features",
    "prediction": "the next 400 ms of motion; the encoder trained with the decoder",
    "prediction-frozen": "the same from a frozen encoder",
}
"""Task → what it is."""
CACHED_TASKS = {"linear": "linear-cached", "occlusion": "occlusion-cached"}
"""Task → the same on features taken once, which a quick look takes instead."""


ScoredWindows = Literal["centre", "h36m-8", "h36m-256"]


@dataclass(frozen=True)
class ClipSettings:
    """What the tasks that take the feature of a clip once (`linear-cached`, `retrieval`) see of it, training clips and
    test clips alike; the default is the protocol's.
    """

    crops: int = 1
    """The feature is the mean over so many crops, spread over half to all of the clip; 1: its centre alone."""

    def check(self) -> None:
        """Raises ConfigError for no crops."""
        _require("test", self, at_least_one(self, "crops"))


@dataclass(frozen=True)
class LinearSettings:
    """The head of linear evaluation and its training; the defaults are the protocol's."""

    epochs: int = 100
    """Epochs of the head."""
    lr: float = 0.1
    """Learning rate of SGD (momentum 0.9, no weight decay)."""
    batch: int = 1024
    """Clips a step."""
    drop_epochs: list[int] = field(default_factory=lambda: [20, 50, 80])
    """Epochs after which the rate is divided by ten."""

    def check(self) -> None:
        """Raises ConfigError for a value that no training has."""
        rules = [*at_least_one(self, "epochs", "batch"), *positive(self, "lr"), epochs(self.drop_epochs)]
        _require("head", self, rules)


DetectionFeature = Literal["clip", "centre", "frame"]
"""See `DetectionSettings.feature`."""


@dataclass(frozen=True)
class DetectionSettings:
    """How actions are found in untrimmed recordings; the defaults are the protocol's, made for 30 frames a second."""

    epochs: int = 60
    """Epochs of training."""
    lr: float = 0.01
    """Learning rate of SGD (Nesterov momentum 0.9, no weight decay)."""
    batch: int = 64
    """Windows a step."""
    drop_epochs: list[int] = field(default_factory=lambda: [50])
    """Epochs after which the rate is divided by ten."""
    windows: int = 16
    """Windows that an epoch draws from each recording."""
    frames: int = 16
    """Frames of a window."""
    strides: tuple[int, int] = (3, 5)
    """Least and greatest step from one frame of a training window to the next, drawn for each window."""
    test_stride: int = 4
    """The same step of test windows."""
    feature: DetectionFeature = "clip"
    """What the classifier sees: a window's clip feature; the feature of its centre frame, which in a causal encoder
    knows only the first half of the window; or, without windows, a causal encoder's feature of each frame of the whole
    recording, which can be streamed frame by frame."""
    stretch: int = 240
    """Frames of a training stretch, where the feature is `frame`; as many stretches as `windows` an epoch."""
    smoothing: int = 10
    """A frame's scores become the mean over so many frames before it and as many from it on; 0: they stay."""
    activity: float = 0.4
    """Least share of the scores that is not background's in the frames of an action."""
    overlap: float = 0.5
    """Least overlap of a prediction with the action that it finds."""
    test_every: int = 20
    """Epochs from one look at the test recordings to the next, from which the best is told."""

    def check(self) -> None:
        """Raises ConfigError for a value that makes no sense, naming the setting and what it may be."""
        low, high = self.strides
        rules = [
            *at_least_one(self, "epochs", "batch", "windows", "frames", "test_stride", "stretch", "test_every"),
            *positive(self, "lr"),
            epochs(self.drop_epochs),
            (1 <= low <= high, "strides", "two steps, 1 <= least <= greatest"),
            (self.feature in get_args(DetectionFeature), "feature", "clip, centre or frame"),
            *not_negative(self, "smoothing"),
            (0 < self.activity <= 1, "activity", "more than 0 and at most 1"),
            (0 < self.overlap <= 1, "overlap", "more than 0 and at most 1"),
        ]
        _require("detection", self, rules)


@dataclass(frozen=True)
class PredictionSettings:
    """How motion prediction trains; the frames are those of the protocol `short-term`, the rest is ours."""

    seed_frames: int = 50
    """Frames, at 25 a second, that are seen."""
    predicted_frames: int = 10
    """Frames, at 25 a second, that are predicted."""
    hidden_size: int = 256
    """Width of the decoder's GRU."""
    steps: int = 1000
    """Optimiser steps."""
    batch: int = 32
    """Windows a step."""
    lr: float = 1e-3
    """Learning rate of Adam; it falls to 0 over the steps along half a cosine."""
    gradient_norm: float = 5.0
    """Gradients longer than this are cut to it."""
    test_every: int = 250
    """Steps from one look at the test clips to the next, from which the best is told."""
    scored: ScoredWindows = "centre"
    """Windows of the test clips that are scored: the centre of each, or those that results on Human3.6M are published
    on, 8 or 256 of each action."""

    def check(self) -> None:
        """Raises ConfigError for a value that makes no sense, naming the setting and what it may be."""
        rules = at_least_one(self, "predicted_frames", "hidden_size", "steps", "batch", "test_every")
        rules += [(self.seed_frames >= 2, "seed_frames", "at least 2"), *positive(self, "lr", "gradient_norm")]
        _require("prediction", self, rules)


@dataclass(frozen=True)
class FinetuneSettings:
    """Training of the whole network with a linear classifier; the defaults are the protocol's."""

    epochs: int = 80
    """Times that every labelled clip is seen."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum 0.9, or AdamW, which also trains a Transformer from scratch (lr about 0.001)."""
    lr: float = 0.01
    """Learning rate, of encoder and classifier alike."""
    weight_decay: float = 0.0
    """Weight decay."""
    batch_norm: Literal["batch", "pretrained"] = "batch"
    """Statistics by which a pretrained encoder normalises while it trains: of each batch, which become its own, or
    those of its pretraining, which stay. Few labelled clips tell their statistics badly: `pretrained` is for them."""
    batch: int = 64
    """Clips a step; the last of an epoch may have fewer."""
    drop_epochs: list[int] = field(default_factory=lambda: [50, 70])
    """Epochs after which the rate is divided by ten."""
    test_every: int = 5
    """Epochs from one look at the test clips to the next, from which the best is told."""

    def check(self) -> None:
        """Raises ConfigError for a value that no training has."""
        rules = [*at_least_one(self, "epochs", "batch", "test_every"), *positive(self, "lr")]
        _require("finetune", self, [*rules, *not_negative(self, "weight_decay"), epochs(self.drop_epochs)])


@dataclass(frozen=True)
class SubsetSettings:
    """Which training clips a semi-supervised run has labels of."""

    shares: list[float] = field(default_factory=lambda: [0.01, 0.05, 0.1, 0.2])
    """Shares of the training clips, each a run of its own."""
    kinds: list[Literal["global", "stratified"]] = field(default_factory=lambda: ["global", "stratified"])
    """A random share of all training clips (released CMD), that share of each class (HiCLR), or both."""

    def check(self) -> None:
        """Raises ConfigError for a share that is none, naming the setting and what it may be."""
        rules = [
            (
                bool(self.shares) and all(0 < share <= 1 for share in self.shares),
                "shares",
                "shares of the training clips, each more than 0 and at most 1",
            ),
            (
                bool(self.kinds) and set(self.kinds) <= {"global", "stratified"},
                "kinds",
                "global, stratified or both",
            ),
        ]
        _require("subset", self, rules)


@dataclass(frozen=True)
class OcclusionSettings:
    """How much of an occluded clip is not seen."""

    share: tuple[float, float] = (0.3, 0.7)
    """Least and greatest share of the body parts, or of the frames, that are hidden; drawn for each clip."""
    jumps: bool = False
    """Whether the zeros of what is hidden count as places, so that what looks at motions sees jumps to the origin and
    back, and what looks at bones sees some that end there; else what is hidden is absent, and nothing leads to or from
    it."""

    def check(self) -> None:
        """Raises ConfigError for a range that is none."""
        low, high = self.share
        _require("occlusion", self, [(0 <= low <= high <= 1, "share", "two shares, 0 <= least <= greatest <= 1")])


@dataclass(frozen=True)
class RobustnessSettings:
    """How test clips are made worse; each of these is a test of its own."""

    joints: list[float] = field(default_factory=lambda: [0.1, 0.3])
    """Shares of the joints that are absent from the whole clip."""
    flicker: list[float] = field(default_factory=lambda: [0.1, 0.3])
    """Shares of all joints and frames that are absent, each by itself."""
    noise: list[float] = field(default_factory=lambda: [0.01, 0.03])
    """Metres: deviations of the noise that is added to each coordinate of each frame."""
    every: list[int] = field(default_factory=lambda: [2, 4])
    """Of so many of the encoder's frames one is kept, and those between are on a straight line."""
    jumps: bool = False
    """Whether the zeros of joints that are lost count as places, so that what looks at motions sees jumps to the origin
    and back, and what looks at bones sees some that end there; else they are absent, and nothing leads to or from
    them."""

    def check(self) -> None:
        """Raises ConfigError for a value that makes no sense."""
        shares = [*self.joints, *self.flicker]
        rules: list[Rule] = [
            (all(0 < share < 1 for share in shares), "joints", "shares, joints and flicker alike, between 0 and 1"),
            (all(0 < metres <= 1 for metres in self.noise), "noise", "metres, more than 0 and at most 1"),
            (all(2 <= frames <= 100 for frames in self.every), "every", "whole numbers from 2 to 100"),
            (bool(shares or self.noise or self.every), "joints", "something to be done to the clips"),
        ]
        _require("robustness", self, rules)


@dataclass(frozen=True)
class RetrievalSettings:
    """How neighbours are looked for and what is told of them."""

    precision_at: list[int] = field(default_factory=lambda: [5, 10])
    """Told for each k: which share of the k nearest has the query's label."""
    how: Literal["exact", "ann"] = "exact"
    """Compare with every clip, or look up an approximate index (faiss, the extra ``ann``), for millions of clips."""
    compressed: int = 0
    """Also told: the accuracy on features that an autoencoder, fitted on the training clips, has compressed to so many
    values (P&C has 256), at least 1; 0: not told."""

    def check(self) -> None:
        """Raises ConfigError for a value that makes no sense."""
        rules = [
            (all(k >= 1 for k in self.precision_at), "precision_at", "numbers of neighbours, 1 or more"),
            (self.how in ("exact", "ann"), "how", "exact or ann"),
            (self.compressed >= 0, "compressed", "at least 1, or 0 for none"),
        ]
        _require("retrieval", self, rules)


@dataclass(frozen=True)
class TaskSettings:
    """The settings of all tasks."""

    test: ClipSettings = field(default_factory=ClipSettings)
    head: LinearSettings = field(default_factory=LinearSettings)
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    subset: SubsetSettings = field(default_factory=SubsetSettings)
    occlusion: OcclusionSettings = field(default_factory=OcclusionSettings)
    robustness: RobustnessSettings = field(default_factory=RobustnessSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)

    def check(self) -> None:
        """Raises ConfigError for a value that makes no sense, naming the setting and what it may be."""
        for group in fields(self):
            getattr(self, group.name).check()

    def non_default_settings(self, groups: Iterable[str]) -> list[str]:
        """The settings of these groups that are not the protocol's, each with the protocol's value in brackets."""
        return [f"{name} {value} ({usual})" for name, value, usual in self.other_than(TaskSettings(), groups)]

    def other_than(self, usual: TaskSettings, groups: Iterable[str]) -> list[tuple[str, Any, Any]]:
        """The settings of these groups that are others than the usual: (name, value, usual value)."""
        changed = []
        for name in groups:
            mine, theirs = getattr(self, name), getattr(usual, name)
            for entry in fields(mine):
                value, other = getattr(mine, entry.name), getattr(theirs, entry.name)
                if value != other:
                    changed.append((f"{name}.{entry.name}", value, other))
        return changed


MOST = {
    "test.crops": 1000,
    "detection.windows": 10_000,
    "detection.frames": 10_000,
    "detection.stretch": 100_000,
    "detection.batch": 100_000,
    "prediction.seed_frames": 10_000,
    "prediction.predicted_frames": 10_000,
    "prediction.hidden_size": 16_384,
    "prediction.batch": 100_000,
}
"""Sizes that memory must hold: beyond these nothing is meant."""

QUICK = TaskSettings(
    head=LinearSettings(),
    finetune=FinetuneSettings(epochs=10, drop_epochs=[6, 8], test_every=10),
    detection=DetectionSettings(epochs=8, drop_epochs=[6], test_every=8),
    prediction=PredictionSettings(steps=150, test_every=150),
)
"""A first look in minutes: far from the protocols, and said so beside every metric."""


def _require(group: str, settings: Any, rules: list[Rule]) -> None:
    """Raises ConfigError for a number that is none or too large, or the first rule that is not kept."""
    values = {f"{group}.{entry.name}": getattr(settings, entry.name) for entry in fields(settings)}
    check_numbers(values)
    for name in values.keys() & MOST.keys():
        check_range(name, values[name], 1, MOST[name])
    enforce([(kept, f"{group}.{name}", expected) for kept, name, expected in rules], values)
