"""What is wrong with a store, if anything: damage, clips without content, and clips that tell the test set."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from pcm3.data.protocol import split
from pcm3.data.store import CLIPS, FRAMES, ClipStore
from pcm3.data.store_writer import file_checksum
from pcm3.errors import DataError

TALLEST = 10.0
"""Metres over which a body's joints may be spread before something other than metres is suspected."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    name: str
    """checksum, label, protocol, leak, not_finite, empty, frozen, size or duplicate."""
    text: str
    """What it is and what it means, in one line."""
    clips: list[str] = field(default_factory=list)
    """The ids of the clips concerned."""
    pairs: list[tuple[str, str]] = field(default_factory=list)
    """For leaks: (id of the training clip, id of the test clip)."""


def check_store(store: ClipStore) -> list[Finding]:
    """Everything that is wrong with the store, files first; an empty list when nothing is.

    Reads every frame twice, one clip at a time.
    """
    twins = _twins(store)
    return [*_checksums(store), *_labels(store), *_leaks(store, twins), *_contents(store), *_duplicates(store, twins)]


def _checksums(store: ClipStore) -> list[Finding]:
    """The files whose bytes are no longer those that were written."""
    changed = [name for name in (FRAMES, CLIPS) if file_checksum(store.path / name) != store.checksums.get(name)]
    return [Finding("checksum", f"{name} is not what was written; import again") for name in changed]


def _contents(store: ClipStore) -> list[Finding]:
    """Clips with values that no recording has."""
    texts = {
        "not_finite": "with a value that is not a number",
        "empty": "without any skeleton",
        "frozen": "in which nothing moves",
        "size": f"with a body spread over more than {TALLEST:g} metres: is the unit the metre?",
    }
    found: dict[str, list[str]] = {name: [] for name in texts}
    for index in range(len(store)):
        name = _content_flaw(store.clip(index))
        if name is not None:
            found[name].append(str(store.ids[index]))
    return [Finding(name, f"{_clips(ids)} {texts[name]}", ids) for name, ids in found.items() if ids]


def _content_flaw(clip: np.ndarray) -> str | None:
    """What is wrong with the values of a clip (T, M, V, C)."""
    if not np.isfinite(clip).all():
        return "not_finite"
    if not clip.any():
        return "empty"
    if (clip == clip[0]).all():
        return "frozen"
    present = (clip != 0).any(axis=-1, keepdims=True)
    highest = np.where(present, clip, -np.inf).max(axis=2)
    lowest = np.where(present, clip, np.inf).min(axis=2)
    return "size" if (highest - lowest > TALLEST).any() else None


def _labels(store: ClipStore) -> list[Finding]:
    """Labels without a class name."""
    wrong = np.flatnonzero((store.label >= len(store.classes)) | (store.label < -1))
    ids = _names(store, wrong)
    return (
        [Finding("label", f"{_clips(ids)} with a label outside the {len(store.classes)} classes", ids)] if ids else []
    )


def _twins(store: ClipStore) -> list[list[int]]:
    """Groups of clips with equal frames to the bit, two or more in each."""
    groups: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for index in range(len(store)):
        clip = store.clip(index)
        groups[len(clip), hashlib.blake2b(clip.tobytes(), digest_size=16).digest()].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _leaks(store: ClipStore, twins: Sequence[Sequence[int]]) -> list[Finding]:
    """Clips that a protocol has on both sides, and protocols that cannot split the store."""
    findings = []
    for name in store.protocols:
        try:
            train, test = (set(side.tolist()) for side in split(store, name))
        except DataError as error:
            findings.append(Finding("protocol", str(error)))
            continue
        pairs = [
            (str(store.ids[known]), str(store.ids[asked]))
            for group in twins
            for known, asked in product(train.intersection(group), test.intersection(group))
        ]
        if pairs:
            ids = sorted({clip for pair in pairs for clip in pair})
            text = f"{len(pairs)} clips that '{name}' trains on are also in its test set, to the bit"
            findings.append(Finding("leak", text, ids, sorted(pairs)))
    return findings


def _duplicates(store: ClipStore, twins: Sequence[Sequence[int]]) -> list[Finding]:
    """Clips that are in the store more than once."""
    ids = _names(store, [index for group in twins for index in group])
    return [Finding("duplicate", f"{_clips(ids)} with an exact copy in the store", ids)] if ids else []


def _names(store: ClipStore, indices: Sequence[int] | np.ndarray) -> list[str]:
    return [str(store.ids[index]) for index in indices]


def _clips(ids: Sequence[str]) -> str:
    return "1 clip" if len(ids) == 1 else f"{len(ids)} clips"
