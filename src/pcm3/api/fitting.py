"""Fit a head on a model with the labels that there are, and say what to expect of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray

from pcm3.api.contract import FedModel
from pcm3.api.expectation import FOLDS, Expected, ExpectedScores, folds_of, mean_over_folds, people_of
from pcm3.api.given import AS_THE_MODEL, Clips, Recorded
from pcm3.api.heads import ClassifierHead, DetectorHead, PredictorHead
from pcm3.clips import extract
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.errors import ConfigError, DataError, brief, not_one_of
from pcm3.limits import check_seed, check_type
from pcm3.settings.rules import check_fields
from pcm3.settings.tasks import DetectionSettings, LinearSettings, PredictionSettings, RetrievalSettings
from pcm3.tasks.classifier import LabelledClips
from pcm3.tasks.detection.evaluate import LabelledRecordings, evaluate_detector, fit_detector
from pcm3.tasks.detection.windows import BACKGROUND, RecordingBank, untrimmed
from pcm3.tasks.head_files import EncoderUse, weights_checksum
from pcm3.tasks.linear import fit_on_features
from pcm3.tasks.prediction.evaluate import evaluate_predictor, fit_predictor, zero_velocity
from pcm3.tasks.prediction.windows import MotionBank
from pcm3.tasks.retrieval import NearestNeighbour
from pcm3.tasks.setup import classes_of

ClassifierKind = Literal["linear", "nearest"]
Labels = Sequence[str | int | float | None]
"""A class for each clip: its name, or its number; None, or NaN as tables have it: not known."""
People = Sequence[int | str | None]
"""Who moves in each clip: numbers or names; None: not known."""
Names = tuple[str, ...]
Places = NDArray[np.int64]
Settings = TypeVar("Settings", LinearSettings, DetectionSettings, PredictionSettings)
LONG_FOLDS = 3
"""The same of heads that take minutes to train."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled clips and their features."""

    model: FedModel
    clips: LabelledClips
    features: Float[torch.Tensor, "N D"]
    subject: Int[np.ndarray, " N"]
    """−1: not known."""

    @classmethod
    def of(
        cls,
        model: FedModel,
        clips: Clips,
        labels: Labels | None,
        subjects: People | None,
        recorded: Recorded,
        indices: NDArray[np.int64] | None,
    ) -> Labelled:
        """See `fit_classifier`."""
        store, classes = _labelled(model, clips, labels, recorded)
        chosen = _chosen(indices, len(store))
        chosen = chosen[store.label[chosen] != UNKNOWN]
        label = store.label[chosen].astype(np.int64)
        if len(chosen) == 0:
            raise DataError(
                f"expected clips with labels, got {len(store)} without any: of files, --labels TABLE.csv (file,label,"
                "subject) or --pattern '{subject}_{label}' tells them, of tables also --columns label=NAME; a store "
                "has those of its import, or --labels TABLE.csv tells them, as pcm3 explore writes it"
            )
        if len(np.unique(label)) < 2:
            raise DataError(f"expected labelled clips of at least two classes, got {len(chosen)} of one")
        who = (store.subject if subjects is None else _people(subjects, len(store)))[chosen]
        bank = model.bank(store)
        some = LabelledClips(bank, chosen, label, classes)
        return cls(model, some, extract(model.encoder, bank, chosen), who)

    def fit(
        self, kind: ClassifierKind, settings: LinearSettings, seed: int, places: Places | None = None
    ) -> ClassifierHead:
        """A head on all of the clips, or on those at some places."""
        check_seed(seed)
        places = np.arange(len(self.clips.labels)) if places is None else places
        some, features = self.clips.take(places), self.features[torch.from_numpy(places).to(self.features.device)]
        encoder, crops = self.model.encoder, self.clips.bank.crops
        if kind == "linear":
            linear = fit_on_features(lambda _: features, encoder, some, settings, seed)
            return ClassifierHead(self.model, linear)
        gallery = (features, some.label, some.classes, RetrievalSettings(), weights_checksum(encoder), crops)
        return ClassifierHead(self.model, NearestNeighbour(*gallery))

    def expected(self, kind: ClassifierKind, settings: LinearSettings, seed: int) -> Expected:
        """What such a head comes to on people that it did not see; where these are not known, on other clips."""
        predicted = np.full(len(self.clips.labels), UNKNOWN)
        accuracies, unseen, people = [], 0, people_of(self.subject)
        for train, test in folds_of(self.clips.labels, self.subject, FOLDS):
            head = self.fit(kind, settings, seed, train)
            shares = head.shares(self.features[torch.from_numpy(test).to(self.features.device)])
            predicted[test] = shares.argmax(dim=1).cpu().numpy()
            accuracies.append(100 * float(np.mean(predicted[test] == self.clips.labels[test])))
            unseen += int((~np.isin(self.clips.labels[test], self.clips.labels[train])).sum())
        return Expected(tuple(accuracies), predicted, self.clips.labels, self.clips.classes, people, unseen)


def fit_classifier(
    model: FedModel,
    clips: Clips,
    labels: Labels | None = None,
    *,
    kind: ClassifierKind = "linear",
    settings: LinearSettings | None = None,
    seed: int = 0,
    recorded: Recorded = AS_THE_MODEL,
    indices: NDArray[np.int64] | None = None,
) -> ClassifierHead:
    """A classifier on the model's features, trained as ``pcm3 evaluate linear-cached`` and ``retrieval`` do.

    Args:
        model: stays as it is.
        clips: a store with labels, or clips in any form; see `Model.embed`.
        labels: of the clips, names or numbers; None: those of the store.
        kind: ``linear``, a linear layer; ``nearest``, the class of the most similar labelled clip.
        settings: of the linear layer's training.
        seed: of its weights.
        recorded: what arrays do not tell.
        indices: the clips of the store to learn from; None: all that have a label.

    Raises:
        DataError: fewer than two classes, or what `Model.embed` refuses.
    """
    _check_kind(kind)
    check_seed(seed)
    how = _checked(settings, LinearSettings)
    return Labelled.of(model, clips, labels, None, recorded, indices).fit(kind, how, seed)


def expect(
    model: FedModel,
    clips: Clips,
    labels: Labels | None = None,
    *,
    subjects: People | None = None,
    kind: ClassifierKind = "linear",
    settings: LinearSettings | None = None,
    seed: int = 0,
    recorded: Recorded = AS_THE_MODEL,
) -> Expected:
    """What to expect of such a classifier on people that it has not seen, by cross-validation over people.

    Args:
        model: see `fit_classifier`.
        clips: see `fit_classifier`.
        labels: see `fit_classifier`.
        subjects: who moves in each clip; None: as the store says, if it is one.
        kind: see `fit_classifier`.
        settings: see `fit_classifier`.
        seed: see `fit_classifier`.
        recorded: see `fit_classifier`.

    Raises:
        DataError: as `fit_classifier`.
    """
    _check_kind(kind)
    check_seed(seed)
    how = _checked(settings, LinearSettings)
    return Labelled.of(model, clips, labels, subjects, recorded, None).expected(kind, how, seed)


def fit_detector_on(
    model: FedModel,
    store: Clips,
    *,
    settings: DetectionSettings | None = None,
    use: EncoderUse = "frozen",
    seed: int = 0,
    indices: NDArray[np.int64] | None = None,
) -> DetectorHead:
    """A detector of actions, trained as ``pcm3 evaluate detection`` does.

    Args:
        model: stays as it is.
        store: of untrimmed recordings with their labelled actions.
        settings: of windows and training.
        use: train a linear layer alone, or with it a copy of the encoder.
        seed: of the training.
        indices: recordings to learn from; None: all.

    Raises:
        DataError: there are no untrimmed recordings, or actions without a class.
    """
    check_seed(seed)
    chosen_settings = _checked(settings, DetectionSettings)
    given = model.given_recordings(store, AS_THE_MODEL)
    bank = RecordingBank.of(given.store, model.spec.stream, model.device)
    if (bank.label == BACKGROUND).all():
        raise DataError("expected recordings with labelled actions, got none: --labels TABLE.csv gives them, here of "
                        "files or in pcm3 import (file,label,start,stop)")  # fmt: skip
    train = LabelledRecordings(bank, _chosen(indices, len(bank.start)), classes_of(given.store))
    return DetectorHead(model, fit_detector(model.encoder, train, chosen_settings, seed, _use(use)))


def fit_predictor_on(
    model: FedModel,
    clips: Clips,
    *,
    settings: PredictionSettings | None = None,
    use: EncoderUse = "frozen",
    seed: int = 0,
    recorded: Recorded = AS_THE_MODEL,
    indices: NDArray[np.int64] | None = None,
) -> PredictorHead:
    """A predictor of motion, trained as ``pcm3 evaluate prediction`` does; no label is used.

    Args:
        model: stays as it is.
        clips: a store, or clips in any form.
        settings: of decoder and training.
        use: train the decoder alone, or with it a copy of the encoder.
        seed: of the training.
        recorded: what arrays do not tell.
        indices: clips to learn from; None: all.

    Raises:
        DataError: all clips are too short, or lack joints.
    """
    check_seed(seed)
    chosen, store = _checked(settings, PredictionSettings), model.given(clips, recorded).store
    bank = MotionBank.of(store, model.spec.stream, chosen.seed_frames, chosen.predicted_frames, model.device)
    train = _chosen(indices, len(store))
    return PredictorHead(model, fit_predictor(model.encoder, bank, train, chosen, seed, _use(use)))


def expect_detector(
    model: FedModel,
    store: Clips,
    *,
    settings: DetectionSettings | None = None,
    use: EncoderUse = "frozen",
    seed: int = 0,
) -> ExpectedScores:
    """What to expect of such a detector in recordings of people that it has not seen, as `fit_detector_on` names it.

    Raises:
        DataError: as `fit_detector_on`; or fewer than two recordings with actions.
    """
    check_seed(seed)
    chosen, held = _checked(settings, DetectionSettings), model.given_recordings(store, AS_THE_MODEL).store
    bank, classes = RecordingBank.of(held, model.spec.stream, model.device), classes_of(held)
    with_actions = np.unique(held.recording)
    who = untrimmed(held).subject[with_actions]
    results = []
    for train, test in folds_of(np.zeros(len(who), np.int64), who, LONG_FOLDS):
        learnt, tested = (LabelledRecordings(bank, with_actions[side], classes) for side in (train, test))
        results.append(evaluate_detector(model.encoder, learnt, tested, chosen, seed, use)[1].metrics)
    names = ("map_a_voc", "map_v_official", "frame_accuracy")
    nothing = 100 * float((bank.label == BACKGROUND).float().mean())
    return mean_over_folds(results, names, {"frame_accuracy": ("no action at all", nothing)}, people_of(who))


def expect_predictor(
    model: FedModel,
    clips: Clips,
    *,
    settings: PredictionSettings | None = None,
    use: EncoderUse = "frozen",
    seed: int = 0,
    recorded: Recorded = AS_THE_MODEL,
) -> ExpectedScores:
    """What to expect of such a predictor on people that it has not seen, as `fit_predictor_on` names it.

    Raises:
        DataError: as `fit_predictor_on`; or fewer than two clips that are long enough.
    """
    check_seed(seed)
    chosen, store = _checked(settings, PredictionSettings), model.given(clips, recorded).store
    bank = MotionBank.of(store, model.spec.stream, chosen.seed_frames, chosen.predicted_frames, model.device)
    usable = bank.with_windows(np.arange(len(store)))
    who = store.subject[usable]
    results = []
    for train, test in folds_of(np.zeros(len(who), np.int64), who, LONG_FOLDS):
        splits = (bank, usable[train], usable[test])
        results.append(evaluate_predictor(model.encoder, *splits, chosen, seed, use)[1].metrics)
    still = zero_velocity(bank, usable).metrics
    names = [name for name in still if not name.startswith("best_")]
    return mean_over_folds(results, names, {name: ("standing still", still[name]) for name in names}, people_of(who))


def _labelled(model: FedModel, clips: Clips, labels: Labels | None, recorded: Recorded) -> tuple[ClipStore, Names]:
    """The clips as a store that has their labels, and the names of the classes."""
    store = model.given(clips, recorded).store
    if labels is None:
        return store, classes_of(store)
    check_type("labels", labels, Collection, "a list of classes, one for each clip")
    if isinstance(labels, str):
        raise DataError(f"labels: expected a list of classes, got the word {brief(labels)}: a table goes into recorded")
    if len(store) != len(labels):
        raise DataError(f"labels: expected one for each of the {len(store)} clips, got {len(labels)}")
    known = np.array([not is_unknown(label) for label in labels])
    classes, codes = np.unique([str(label) for label in np.array(labels, object)[known]], return_inverse=True)
    label = np.full(len(store), UNKNOWN, np.int32)
    label[known] = codes
    return replace(store, label=label), tuple(classes.tolist())


def _chosen(indices: NDArray[np.int64] | None, count: int) -> Places:
    """The clips or recordings to learn from, all of them where it is not said."""
    if indices is None:
        return np.arange(count)
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or ((chosen < 0) | (chosen >= count)).any():
        raise DataError(f"indices: expected whole numbers of clips, 0 to {count - 1}, got {brief(indices)}")
    return chosen.astype(np.int64)


def _people(subjects: Sequence[int | str | None], count: int) -> Places:
    """A number for each person of so many clips; those who are not known, None or −1, have none."""
    check_type("subjects", subjects, Collection, "a list of people, one for each clip")
    if len(subjects) != count:
        raise DataError(f"subjects: expected one for each of the {count} clips, got {len(subjects)}")
    names = [str(UNKNOWN if is_unknown(who) else who) for who in subjects]
    numbers = {name: number for number, name in enumerate(sorted(set(names) - {str(UNKNOWN)}))}
    return np.array([numbers.get(name, UNKNOWN) for name in names], np.int64)


def is_unknown(value: object) -> bool:
    """Whether a label says nothing: None, NaN, pandas' NA."""
    return value is None or str(value) in ("nan", "NaT", "<NA>")


def _checked(settings: Settings | None, kind: type[Settings]) -> Settings:
    """The settings, or their defaults.

    Raises:
        ConfigError: they are of something else, or one of them makes no sense.
    """
    if settings is None:
        return kind()
    check_type("settings", settings, kind, f"{kind.__name__} of pcm3.settings.tasks")
    check_fields(settings)
    settings.check()
    return settings


def _check_kind(kind: object) -> None:
    if kind not in get_args(ClassifierKind):
        raise ConfigError(not_one_of("a kind of classifier", kind, get_args(ClassifierKind)))


def _use(use: EncoderUse) -> EncoderUse:
    """Whether the encoder is tuned."""
    if use not in get_args(EncoderUse):
        raise ConfigError(not_one_of("a use of the encoder", use, get_args(EncoderUse)))
    return use
