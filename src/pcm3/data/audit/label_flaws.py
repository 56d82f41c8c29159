"""What is odd about labels and splits, so that a metric means less than it seems to.

Info, check, import and what stands beside the metrics all take it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.findings import Finding
from pcm3.data.protocol import split
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.summary import counted

FEW = 50
"""Test clips below which one of them is more than two points of accuracy."""
VERY_FEW = 5
"""Clips of a side below which the side itself is odd, whatever is done with it."""
MOST = 1.3
"""Times its fair share that the largest class of a test set may have before it says more than the metrics."""
NAMED = 3
"""Classes, protocols, values named in a line; of more, how many there are."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledSplit:
    """The labelled clips of a protocol's two sides, and how many there are without a label."""

    protocol: str
    train: Indices
    test: Indices
    unlabelled: tuple[int, int] = (0, 0)

    def named(self) -> tuple[tuple[str, Indices], tuple[str, Indices]]:
        """Both sides, as a message calls them."""
        return ("training", self.train), ("test", self.test)


def label_flaws(store: ClipStore) -> list[Finding]:
    """What is odd about the labels, then about the sides of the store's protocols; reads no frame."""
    findings = [*_of_labels(store)]
    splits = [labelled for name in store.protocols if (labelled := labelled_split(store, name)) is not None]
    for name, flaw in {**SPLIT_FLAWS, "few_clips": _very_few}.items():
        lines = [
            f"protocol '{labelled.protocol}': {line}"
            for labelled in splits
            if not (name in EXPECTED_OF_ONE_RECORDING and _tests_one_recording(store, labelled))
            and (line := flaw(store, labelled))
        ]
        if lines:
            more = f" (and so in {len(lines) - 1} more protocols)" if len(lines) > 1 else ""
            findings.append(Finding(name, lines[0] + more, details=lines if more else []))
    return findings


def split_notes(store: ClipStore, protocol: str, train: Indices, test: Indices) -> list[str]:
    """What a reader of figures must know of the labels of the clips that train and of those that test."""
    train, test = (labelled[store.label[labelled] >= 0] for labelled in (train, test))
    published = labelled_split(store, protocol)
    labelled = LabelledSplit(protocol, train, test, published.unlabelled if published else (0, 0))
    notes = [finding.text for finding in _of_labels(store) if finding.name != "unlabelled"]
    return notes + [line for flaw in SPLIT_FLAWS.values() if (line := flaw(store, labelled))]


def few_clips(tested: int) -> list[str]:
    """That there are so few clips to test that one of them moves the figure."""
    if not 0 < tested < FEW:
        return []
    return [f"only {counted(tested, 'clip')} to test: one of them is {100 / tested:.1f} points"]


def labelled_split(store: ClipStore, protocol: str) -> LabelledSplit | None:
    """The clips with a label on both sides; None where the protocol cannot split the store or no clip has one."""
    try:
        train, test = split(store, protocol)
    except DataError:
        return None
    known = store.label >= 0
    missing = (int((~known[train]).sum()), int((~known[test]).sum()))
    return LabelledSplit(protocol, train[known[train]], test[known[test]], missing) if known.any() else None


def _of_labels(store: ClipStore) -> Iterator[Finding]:
    """What is odd about the labels, whoever trains and tests."""
    label = store.label[store.label != UNKNOWN]
    there = np.unique(label)
    if len(there) == 0:
        return
    if len(label) < len(store):
        ids = [str(store.ids[index]) for index in np.flatnonzero(store.label == UNKNOWN)]
        of = f"{len(ids):,} of {counted(len(store), 'clip')}"
        text = f"{of} without a label: pretraining takes them, recognition does not"
        yield Finding("unlabelled", text, ids)
    if len(there) == 1:
        text = f"all labelled clips are of one class ({_named(store, there)}), so an accuracy of 100 % says nothing"
        yield Finding("one_class", text)
    last = len(store.classes) - 1
    if len(there) <= last and store.classes == tuple(map(str, range(last + 1))):  # classes that are only numbers
        if len(there) == last and there[0] == 1:
            text = f"no clip has label 0: the labels go from 1 to {last}, but are counted from 0; subtract 1 from them"
        else:
            text = f"only {len(there):,} of the {last + 1:,} labels from 0 to {last:,} have a clip: are they classes?"
        yield Finding("empty_class", text)


def _unseen(store: ClipStore, labelled: LabelledSplit) -> str | None:
    """Classes that only the test side has."""
    unseen = np.setdiff1d(store.label[labelled.test], store.label[labelled.train])
    if len(unseen) == 0 or len(labelled.train) == 0:
        return None
    wrong, tested = int(np.isin(store.label[labelled.test], unseen).sum()), len(labelled.test)
    most = 100 * (1 - wrong / tested)
    return (
        f"{wrong:,} of {tested:,} test clips are of {counted(len(unseen), 'class', 'classes')} without training clips "
        f"({_named(store, unseen)}): recognition cannot be right there, so its accuracy is at most {most:.1f} %"
    )


def _untested(store: ClipStore, labelled: LabelledSplit) -> str | None:
    """Classes that only the training side has."""
    untested = np.setdiff1d(store.label[labelled.train], store.label[labelled.test])
    if len(untested) == 0 or len(labelled.test) == 0:
        return None
    classes = counted(len(untested), "class", "classes")
    return f"{classes} without test clips ({_named(store, untested)}): no metric covers them"


def _unlabelled(store: ClipStore, labelled: LabelledSplit) -> str | None:
    """Clips that recognition does not take."""
    train, test = labelled.unlabelled
    if not train and not test:
        return None
    return f"{train:,} training and {test:,} test clips have no label: recognition leaves them out"


def _one_sided(store: ClipStore, labelled: LabelledSplit) -> str | None:
    """A side without any label, or with one class where the other has more."""
    for name, clips_of in labelled.named():
        if len(clips_of) == 0:
            return f"no {name} clip has a label, so recognition cannot be evaluated"
        if len(np.unique(store.label[clips_of])) == 1 < len(np.unique(store.label)):
            return f"all {name} clips are of one class ({_named(store, store.label[clips_of[:1]])})"
    return None


def _largest(store: ClipStore, labelled: LabelledSplit) -> str | None:
    """A class that most test clips are of."""
    values, counts = np.unique(store.label[labelled.test], return_counts=True)
    if len(values) < 2 or counts.max() < len(labelled.test) * max(0.5, MOST / len(values)):
        return None
    share = 100 * counts.max() / len(labelled.test)
    return (
        f"{share:.1f} % of the test clips are of one class ({_named(store, values[[counts.argmax()]])}): always "
        f"predicting this class would be right in {share:.1f} %"
    )


def _shared_subjects(store: ClipStore, labelled: LabelledSplit) -> str | None:
    """People on both sides, where the data came already split and no other column explains the split."""
    definition = store.protocols.get(labelled.protocol)
    if not isinstance(definition, dict) or definition.get("by") != "side" or _by_design(store, labelled):
        return None
    train, test = (np.unique(store.subject[clips_of]) for clips_of in (labelled.train, labelled.test))
    both = np.intersect1d(train[train != UNKNOWN], test[test != UNKNOWN])
    if len(both) == 0:
        return None
    people = f"{len(both)} of the {int((test != UNKNOWN).sum())} subjects that test also train"
    return f"{people}: metrics say little about people who are new"


def _by_design(store: ClipStore, labelled: LabelledSplit) -> bool:
    """Whether cameras or setups part the sides (cross-view), or one recording is left out of all."""
    if len(labelled.train) == 0 or len(labelled.test) == 0:
        return True
    for column in (store.camera, store.setup):
        train, test = column[labelled.train], column[labelled.test]
        if (train != UNKNOWN).all() and (test != UNKNOWN).all() and not np.isin(test, train).any():
            return True
    return _tests_one_recording(store, labelled)


def _tests_one_recording(store: ClipStore, labelled: LabelledSplit) -> bool:
    """Whether the test side is one untrimmed recording: each is left out in turn."""
    recordings = store.recording[labelled.test]
    return len(recordings) > 0 and bool(recordings[0] != UNKNOWN and (recordings == recordings[0]).all())


def _very_few(store: ClipStore, labelled: LabelledSplit) -> str | None:
    """So few clips on a side that no figure is one, or less than one for each class."""
    for name, clips_of in labelled.named():
        if 0 < len(clips_of) < VERY_FEW:
            return f"only {len(clips_of)} labelled {name} clip{'s' * (len(clips_of) > 1)}"
    return None


SPLIT_FLAWS: dict[str, Callable[[ClipStore, LabelledSplit], str | None]] = {
    "unseen_class": _unseen,
    "untested_class": _untested,
    "side_labels": _one_sided,
    "unlabelled_side": _unlabelled,
    "largest_class": _largest,
    "shared_subjects": _shared_subjects,
}
"""What may be odd about a protocol's sides; each gives one line without the protocol's name, or None."""

EXPECTED_OF_ONE_RECORDING = ("untested_class", "largest_class", "few_clips")
"""What is no news of a test side that is one recording, where every recording is left out in turn."""


def _named(store: ClipStore, labels: Sequence[int] | NDArray[np.int32]) -> str:
    """The classes by name, the first few of them."""
    names = [store.classes[label] if 0 <= label < len(store.classes) else str(label) for label in labels]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
