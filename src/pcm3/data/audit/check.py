"""What is wrong with a store, or odd about it: damage, clips without content, leaks, bodies that nobody has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcm3.data.audit.body_measures import measure
from pcm3.data.audit.content_flaws import content_flaws
from pcm3.data.audit.findings import Finding
from pcm3.data.audit.label_flaws import label_flaws
from pcm3.data.audit.leaks import Audit, audit, leaked_clips, twins
from pcm3.data.audit.skeleton_flaws import skeleton_flaws
from pcm3.data.changes import changes
from pcm3.data.protocol import split
from pcm3.data.store import STORE, ClipStore
from pcm3.data.verified import verified
from pcm3.errors import DataError
from pcm3.summary import counted


@dataclass(frozen=True)
class Check:
    """What a check found."""

    findings: list[Finding]
    """What is wrong first, then what is odd; none when the store is sound."""
    leaks: Audit
    seconds: dict[str, float]
    """Part of the check → how long it took."""

    @property
    def wrong(self) -> bool:
        """Whether results on this store would be wrong."""
        return any(finding.wrong for finding in self.findings)


def check_store(store: ClipStore) -> Check:
    """Everything that is wrong with the store or odd about it; remembers the leaks beside it (`leaks.audit`).

    Reads every frame a few times, some clips at a time.
    """
    leaks: Audit = {}
    parts = {
        "checksums": _checksums(store),
        "labels": _labels(store),
        "leaks": _leaks(store, leaks),
        "bodies": _bodies(store),
    }
    findings: list[Finding] = []
    seconds: dict[str, float] = {}
    for part, flaws in parts.items():
        began = time.perf_counter()
        findings += flaws
        seconds[part] = round(time.perf_counter() - began, 2)
    return Check(sorted(findings, key=lambda finding: not finding.wrong), leaks, seconds)


def odd_clips(store: ClipStore) -> list[Finding]:
    """What `check_store` finds in labels, leaks and bodies; the store is only read."""
    groups = twins(store)
    findings = [*_labels(store), *_copies(store, groups, audit(store, groups, remember=False)), *_bodies(store)]
    return sorted(findings, key=lambda finding: not finding.wrong)


def _checksums(store: ClipStore) -> Iterator[Finding]:
    """The files whose bytes are no longer those that were written."""
    for name in verified(store, anew=True).changed:
        if name == STORE:
            yield Finding("description", f"{name} was changed after the import: protocols, classes, or damage")
        else:
            yield Finding("checksum", f"{name} is not what was written; import again")


def _labels(store: ClipStore) -> Iterator[Finding]:
    """Labels without a class name, protocols that cannot split the store, splits whose metrics would say little."""
    if wrong := _ids(store, (store.label >= len(store.classes)) | (store.label < -1)):
        yield Finding(
            "label", f"{counted(len(wrong), 'clip')} with a label outside the {len(store.classes)} classes", wrong
        )
    for protocol in store.protocols:
        try:
            split(store, protocol)
        except DataError as error:
            yield Finding("protocol", str(error).removeprefix(f"{store.path}: "))
    yield from label_flaws(store)


def _leaks(store: ClipStore, leaks_by_protocol: Audit) -> Iterator[Finding]:
    """Test clips that a protocol also trains on, and clips that are in the store more than once; fills in the audit."""
    groups = twins(store)
    leaks_by_protocol |= audit(store, groups)
    yield from _copies(store, groups, leaks_by_protocol)


def _copies(store: ClipStore, groups: list[list[int]], leaks_by_protocol: Audit) -> Iterator[Finding]:
    """The leaks, and the copies, as findings."""
    for protocol, leaks in leaks_by_protocol.items():
        if leaks:
            pairs = [(leak.train, leak.test) for leak in leaks]
            ids = sorted({clip for pair in pairs for clip in pair})
            tested = counted(len(leaked_clips(store, leaks)), "clip")
            text = f"{tested} of the test set of '{protocol}' with a copy in its training set"
            yield Finding("leak", text, ids, pairs, [str(leak) for leak in leaks])
    ids = [str(store.ids[index]) for group in groups for index in group]
    if ids:
        details = [" = ".join(str(store.ids[index]) for index in group) for group in groups]
        yield Finding("duplicate", f"{counted(len(ids), 'clip')} with an exact copy in the store", ids, details=details)


def _bodies(store: ClipStore) -> Iterator[Finding]:
    """Clips without content, what preparing has changed in bodies, and what is odd about those of the others."""
    finite = np.array([np.isfinite(store.clip(index)).all() for index in range(len(store))], np.bool_)
    present = store.bodies.any(axis=1)
    if ids := _ids(store, ~finite):
        yield Finding("not_finite", f"{counted(len(ids), 'clip')} with a value that is not a number", ids)
    if ids := _ids(store, finite & ~present):
        yield Finding("empty", f"{counted(len(ids), 'clip')} without any skeleton", ids)
    yield from (Finding(*change) for change in changes(store))
    measured = measure(store, np.flatnonzero(finite & present).tolist())
    yield from content_flaws(store, measured)
    yield from skeleton_flaws(store, measured)


def _ids(store: ClipStore, which: NDArray[np.bool_]) -> list[str]:
    return [str(store.ids[index]) for index in np.flatnonzero(which)]
