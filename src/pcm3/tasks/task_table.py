"""The tasks of ``pcm3 evaluate``: one table of what each is about, how it fits and scores, and beside what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from pcm3.clips import ClipEncoder, extract
from pcm3.data.protocol import split
from pcm3.data.store import ClipStore
from pcm3.encoders.spec import EncoderSpec
from pcm3.settings.tasks import TASK_WORDS, RobustnessSettings, SubsetSettings, TaskSettings
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.classifier import Classifier, ClassifierResult
from pcm3.tasks.detection.evaluate import DetectionResult, evaluate_detector
from pcm3.tasks.detection.frame_classifier import check_feature
from pcm3.tasks.few_labels import few_label_accuracy
from pcm3.tasks.finetune import evaluate_finetuned, labelled_share
from pcm3.tasks.head_files import EncoderUse
from pcm3.tasks.heads import Head
from pcm3.tasks.linear import Features, evaluate_linear
from pcm3.tasks.occlusion import NAMES, OcclusionResult, evaluate_occlusion
from pcm3.tasks.prediction.evaluate import PredictionResult, constant_velocity, evaluate_predictor, zero_velocity
from pcm3.tasks.retrieval import fit_retrieval, score_retrieval
from pcm3.tasks.robustness import RobustnessResult, evaluate_robustness, harms_of
from pcm3.tasks.setup import Indices, Setup, labelled_split, recording_split
from pcm3.tasks.subsets import SubsetKind

About = Literal["labelled clips", "clips", "recordings"]
SPLITS: dict[About, Callable[[ClipStore, str], tuple[Indices, Indices]]] = {
    "labelled clips": labelled_split,
    "clips": split,
    "recordings": recording_split,
}
"""What trains and what tests under a protocol of a store, by what a task is about."""
Details = ClassifierResult | OcclusionResult | RobustnessResult | DetectionResult | PredictionResult
Picture = Literal["confusion", "timelines", "motion", "occlusion", "harmed"]


@dataclass(frozen=True, eq=False)
class TaskResult:
    """What one encoder and seed came to."""

    metrics: dict[str, float]
    """By name; the first is what the task is about."""
    details: Details | None = None
    """The task's own result; none where it is of several."""
    heads: Mapping[str, Head] = field(default_factory=dict)
    """What was fitted, by name; "" where there is but one."""
    notes: tuple[str, ...] = ()
    """What a reader of the metrics must know."""

    @property
    def predicted(self) -> Indices | None:
        """(N_test,) classes, of the tasks that recognise clips."""
        return self.details.predicted if isinstance(self.details, ClassifierResult) else None


@dataclass(frozen=True)
class Task:
    """One task of the table."""

    evaluate: Callable[[ClipEncoder, Setup, int], TaskResult]
    """(encoder, setup, seed): fits, then scores; the encoder stays as it is."""
    about: About
    groups: tuple[str, ...]
    """The groups of `TaskSettings` that it goes by."""
    table_metrics: tuple[str, ...] = ()
    """Metrics in the table for people; empty: all but those of the best epoch."""
    raw_frames: Callable[[TaskSettings, EncoderSpec], int] = lambda _, spec: spec.frames
    """T of the raw coordinates that stand beside."""
    raw_serves: Callable[[TaskSettings], bool] = lambda _: True
    """Whether raw coordinates have the feature that the settings ask for."""
    check: Callable[[TaskSettings, ClipEncoder], None] = lambda settings, encoder: None
    """Raises ConfigError where an encoder does not have what the settings ask for, before a clip is looked at."""
    seeded: bool = True
    """Whether an encoder is evaluated with several seeds."""
    long: bool = True
    """Whether an evaluation takes long enough to be worth a process of its own."""
    picture: Picture = "confusion"
    """What is drawn of it."""
    baselines: Mapping[str, Callable[[Setup], TaskResult]] = field(default_factory=dict)
    """Those without an encoder."""

    @property
    def of_recordings(self) -> bool:
        """Whether untrimmed recordings train and test, not clips."""
        return self.about == "recordings"

    @property
    def by_label(self) -> bool:
        """Whether its metrics are about classes."""
        return self.about != "clips"

    def splits(self, store: ClipStore, protocol: str) -> tuple[Indices, Indices]:
        """What trains and what tests under a protocol of the store."""
        return SPLITS[self.about](store, protocol)

    def raw(self, setup: Setup) -> ClipEncoder:
        """Raw coordinates as an encoder."""
        return RawCoordinates(self.raw_frames(setup.settings, setup.spec), *setup.store.frames.shape[1:])


def _linear(encoder: ClipEncoder, setup: Setup, seed: int, features: Features) -> TaskResult:
    train, test = setup.labelled(setup.cropped_clips if features == "cached" else setup.clips)
    head, result = evaluate_linear(encoder, train, test, setup.settings.head, seed, features)
    return TaskResult(result.metrics, result, {"": head})


def _retrieval(encoder: ClipEncoder, setup: Setup, seed: int) -> TaskResult:
    train, test = setup.labelled(setup.cropped_clips)
    head = fit_retrieval(encoder, train, setup.settings.retrieval)
    result = score_retrieval(encoder, head, test)
    return TaskResult(result.metrics, result, {"": head})


def _finetune(encoder: ClipEncoder, setup: Setup, seed: int) -> TaskResult:
    head, result = evaluate_finetuned(encoder, *setup.labelled(setup.clips), setup.settings.finetune, seed)
    return TaskResult(result.metrics, result, {"": head})


TRAINING = ("finetune", "head", "detection")
"""The groups of `TaskSettings` that say how a classifier is trained."""
ONE_CLASS = "gives every test clip the same class: it has learned nothing"
"""What is said of a classifier that has learned nothing."""


def training_advice(group: str, settings: TaskSettings) -> str:
    """What may help where such a training came to nothing."""
    advice = f"more --{group}.epochs or another --{group}.lr may help"
    if group == "finetune" and settings.finetune.optimiser == "sgd":
        advice += ", or --finetune.optimiser adamw --finetune.lr 0.001, by which Transformers learn more easily"
    return advice


def few_label_names(subset: SubsetSettings) -> dict[str, tuple[float, SubsetKind]]:
    """How figures end of the subsets that these settings ask for (``1pc_global``) → their share and kind."""
    return {f"{100 * share:g}pc_{kind}": (share, kind) for kind in subset.kinds for share in subset.shares}


def _semi(encoder: ClipEncoder, setup: Setup, seed: int) -> TaskResult:
    """Both kinds of subset at every share; ``top1_1pc_global`` is the accuracy with 1 % of all labels."""
    metrics: dict[str, float] = {}
    heads: dict[str, Classifier] = {}
    same: list[str] = []
    chosen = setup.settings
    train, test = setup.labelled(setup.clips)
    classes = len(np.unique(train.labels))
    for of, (share, kind) in few_label_names(chosen.subset).items():
        some = labelled_share(train, share, kind, seed)
        heads[of], result = evaluate_finetuned(encoder, some, test, chosen.finetune, seed)
        metrics |= {f"{name}_{of}": value for name, value in result.metrics.items()}
        if classes > 1 and len(some.labels) >= classes and result.one_answer:
            same.append(f"{100 * share:g} % {kind}")
    ordered = dict(sorted(metrics.items(), key=lambda metric: metric[0].startswith("best")))
    if not same:
        return TaskResult(ordered, heads=heads)
    advice = f"with {', '.join(same)} of the labels the classifier {ONE_CLASS}; {training_advice('finetune', chosen)}"
    return TaskResult(ordered, heads=heads, notes=(advice,))


def _semi_frozen(encoder: ClipEncoder, setup: Setup, seed: int) -> TaskResult:
    """Named as in `_semi`."""
    train, test = setup.labelled(setup.cropped_clips)
    features, tests = (extract(encoder, clips.bank, clips.indices).float().cpu().numpy() for clips in (train, test))
    metrics = {
        f"top1_{of}": few_label_accuracy(features, train.labels, tests, test.labels, share, kind, seed)
        for of, (share, kind) in few_label_names(setup.settings.subset).items()
    }
    return TaskResult(metrics)


def _occlusion(encoder: ClipEncoder, setup: Setup, seed: int, features: Features) -> TaskResult:
    chosen, (train, test) = setup.settings, setup.labelled(setup.clips)
    heads, result = evaluate_occlusion(encoder, train, test, chosen.occlusion, chosen.head, seed, features)
    named = {NAMES[kind]: head for kind, head in heads.linear.items()}
    return TaskResult(result.metrics, result, {**named, "nearest": heads.nearest})


def _robustness(encoder: ClipEncoder, setup: Setup, seed: int) -> TaskResult:
    chosen, (train, test) = setup.settings, setup.labelled(setup.clips)
    head, result = evaluate_robustness(encoder, train, test, chosen.robustness, chosen.head, seed)
    return TaskResult(result.metrics, result, {"": head})


def _detection(encoder: ClipEncoder, setup: Setup, seed: int, use: EncoderUse) -> TaskResult:
    chosen = setup.settings.detection
    detector, result = evaluate_detector(encoder, *setup.labelled_recordings(), chosen, seed, use)
    ceiling = f"a classifier that is right in every frame would come to mAP_a {result.ceiling['map_a_voc']:.1f} % (VOC)"
    fed = "centred and turned" if result.normalised else "as recorded"
    return TaskResult(result.metrics, result, {"": detector}, (ceiling, f"recordings were fed {fed}"))


def _prediction(encoder: ClipEncoder, setup: Setup, seed: int, use: EncoderUse) -> TaskResult:
    chosen, motions = setup.settings.prediction, setup.motions
    use = "frozen" if isinstance(encoder, RawCoordinates) else use  # which has nothing to tune
    predictor, result = evaluate_predictor(encoder, motions, setup.train, setup.test, chosen, seed, use)
    notes = [motions.joints_in_words]
    skipped = len(setup.train) - len(motions.with_windows(setup.train))
    if skipped or result.skipped:
        notes.append(
            f"{skipped:,} of {len(setup.train):,} training and {result.skipped:,} of {len(setup.test):,} test clips "
            "are shorter than the window, or lack joints, and were left out"
        )
    return TaskResult(result.metrics, result, {"": predictor}, tuple(notes))


def _zero_velocity(setup: Setup) -> TaskResult:
    return TaskResult(zero_velocity(setup.motions, setup.test).metrics)


def _constant_velocity(setup: Setup) -> TaskResult:
    return TaskResult(constant_velocity(setup.motions, setup.test).metrics)


RECOGNITION = ("top1", "best_top1")
OCCLUSION = ("top1_spatial", "top1_temporal", "top1_clean", "delta")
ROBUSTNESS = ("top1_clean", "top1_harmed", *(f"top1_{harm.name}" for harm in harms_of(RobustnessSettings())))
DETECTION = ("map_a_voc", "map_v_official", "map_a_official", "f1_official", "frame_accuracy", "best_map_a_voc")
PREDICTION = ("mpjpe_mm", *(f"mpjpe_{horizon}ms_mm" for horizon in (80, 160, 320, 400, 560, 1000)), "best_mpjpe_mm")
"""Metrics in the tables for people."""


def _occlusion_task(features: Features) -> Task:
    evaluate = partial(_occlusion, features=features)
    return Task(evaluate, "labelled clips", ("occlusion", "head"), OCCLUSION, picture="occlusion")


def _detection_task(use: EncoderUse) -> Task:
    return Task(
        partial(_detection, use=use),
        "recordings",
        ("detection",),
        DETECTION,
        raw_frames=lambda settings, _: settings.detection.frames,
        raw_serves=lambda settings: settings.detection.feature == "clip",
        check=lambda settings, encoder: check_feature(settings.detection.feature, encoder),
        picture="timelines",
    )


def _prediction_task(use: EncoderUse) -> Task:
    return Task(
        partial(_prediction, use=use),
        "clips",
        ("prediction",),
        PREDICTION,
        raw_frames=lambda settings, _: settings.prediction.seed_frames,
        picture="motion",
        baselines={"zero velocity": _zero_velocity, "constant velocity": _constant_velocity},
    )


TASKS: dict[str, Task] = {
    "linear": Task(partial(_linear, features="fresh"), "labelled clips", ("head",), RECOGNITION),
    "linear-cached": Task(
        partial(_linear, features="cached"), "labelled clips", ("test", "head"), RECOGNITION, long=False
    ),
    "semi": Task(_semi, "labelled clips", ("finetune", "subset")),
    "semi-frozen": Task(_semi_frozen, "labelled clips", ("test", "subset"), long=False),
    "finetune": Task(_finetune, "labelled clips", ("finetune",), RECOGNITION),
    "retrieval": Task(_retrieval, "labelled clips", ("test", "retrieval"), seeded=False, long=False),
    "occlusion": _occlusion_task("fresh"),
    "occlusion-cached": _occlusion_task("cached"),
    "robustness": Task(_robustness, "labelled clips", ("robustness", "head"), ROBUSTNESS, long=False, picture="harmed"),
    "detection": _detection_task("tuned"),
    "detection-frozen": _detection_task("frozen"),
    "prediction": _prediction_task("tuned"),
    "prediction-frozen": _prediction_task("frozen"),
}
"""By name, in the order of `TASK_WORDS`, which tells what each is."""

assert tuple(TASKS) == tuple(TASK_WORDS)


def groups_of(tasks: Iterable[str]) -> list[str]:
    """The groups of `TaskSettings` that these tasks go by, each once."""
    return list(dict.fromkeys(group for task in tasks for group in TASKS[task].groups))
