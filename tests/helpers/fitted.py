"""Tasks fitted and scored on clips of a bank by their numbers, as most tests want them."""

import numpy as np

from pcm3.settings.tasks import RetrievalSettings
from pcm3.tasks.classifier import LabelledClips
from pcm3.tasks.detection.evaluate import LabelledRecordings, evaluate_detector
from pcm3.tasks.finetune import evaluate_finetuned, labelled_share
from pcm3.tasks.linear import evaluate_linear
from pcm3.tasks.occlusion import evaluate_occlusion
from pcm3.tasks.prediction.evaluate import evaluate_predictor
from pcm3.tasks.retrieval import fit_retrieval, score_retrieval


def labelled(bank, indices, classes=3):
    """These clips of a bank with the labels of its store."""
    label = bank.store.label[indices].astype(np.int64)
    return LabelledClips(bank, np.asarray(indices), label, tuple(map(str, range(classes))))


def recordings(bank, indices, classes=3):
    return LabelledRecordings(bank, indices, tuple(map(str, range(classes))))


def linear(encoder, bank, train, test, classes, settings, seed, features):
    sides = labelled(bank, train, classes), labelled(bank, test, classes)
    return evaluate_linear(encoder, *sides, settings, seed, features)[1]


def finetune(encoder, bank, train, test, classes, settings, seed):
    sides = labelled(bank, train, classes), labelled(bank, test, classes)
    return evaluate_finetuned(encoder, *sides, settings, seed)[1]


def semi_supervised(encoder, bank, train, test, classes, settings, share, kind, seed):
    some = labelled_share(labelled(bank, train, classes), share, kind, seed)
    return evaluate_finetuned(encoder, some, labelled(bank, test, classes), settings, seed)[1]


def retrieval(encoder, bank, train, test, settings=RetrievalSettings()):  # noqa: B008
    head = fit_retrieval(encoder, labelled(bank, train), settings)
    return score_retrieval(encoder, head, labelled(bank, test))


def occlusion(encoder, bank, train, test, classes, settings, head, seed, features):
    sides = labelled(bank, train, classes), labelled(bank, test, classes)
    return evaluate_occlusion(encoder, *sides, settings, head, seed, features)[1]


def detection(encoder, bank, train, test, classes, settings, seed, use):
    sides = recordings(bank, train, classes), recordings(bank, test, classes)
    return evaluate_detector(encoder, *sides, settings, seed, use)[1]


def motion_prediction(encoder, bank, train, test, settings, seed, use):
    return evaluate_predictor(encoder, bank, train, test, settings, seed, use)[1]
