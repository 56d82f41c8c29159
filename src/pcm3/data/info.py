"""What a store holds, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pcm3.data.audit.label_flaws import label_flaws
from pcm3.data.changes import change_lines
from pcm3.data.datasets import DATASETS
from pcm3.data.protocol import split
from pcm3.data.reasons import group, reason_lines
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.errors import DataError

MOST_PROTOCOLS = 5


def describe(store: ClipStore) -> dict[str, Any]:
    """The store in plain JSON-able numbers and names; reads no frame.

    ``classes`` maps every class name to its number of clips; ``protocols`` every protocol to the sizes of its sides,
    or to why it cannot split this store; ``changes`` is what preparing has changed, ``labels`` what is odd about labels
    and splits; ``skipped`` counts the files that the import skipped, by kind of reason, with examples in ``lines``.
    """
    skipped = [(str(file), str(reason)) for file, reason in store.report.get("left_out", [])]
    return {
        "path": str(store.path),
        "kind": store.kind,
        "clips": len(store),
        "untrimmed": store.recordings is not None,
        "recordings": len(store.recordings or store),
        "frames": len(store.frames),
        "hours": round(len(store.frames) / store.fps / 3600, 3),
        "fps": store.fps,
        "layout": store.layout.name,
        "joints": len(store.layout.joints),
        "bodies": store.frames.shape[1],
        "clips_by_bodies": {str(n): int(c) for n, c in enumerate(np.bincount(store.bodies.sum(axis=1))) if c},
        "length": {
            "min": int(store.length.min()),
            "median": float(np.median(store.length)),
            "max": int(store.length.max()),
        },
        "normalised": store.normalised,
        "preparation": store.preparation,
        "changes": change_lines(store),
        "dtype": store.frames.dtype.name,
        "bytes": sum(file.stat().st_size for file in store.path.iterdir()),
        "classes": {name: int((store.label == label).sum()) for label, name in enumerate(store.classes)},
        "unlabelled": int((store.label == UNKNOWN).sum()),
        "labels": [finding.text for finding in label_flaws(store)],
        "subjects": _known(store.subject),
        "cameras": _known(store.camera),
        "setups": _known(store.setup),
        "protocols": {name: _split_sizes(store, name) for name in store.protocols},
        "published": _published(store),
        "notes": store.report.get("notes", []),
        "skipped": {
            "files": len(skipped),
            "reasons": {kind.reason: len(kind.files) for kind in group(skipped)},
            "lines": reason_lines(skipped),
        },
        "checksum": store.checksum,
    }


def _known(column: np.ndarray) -> list[int]:
    """The values that occur, without the unknown."""
    return [int(value) for value in np.unique(column) if value != UNKNOWN]


def _split_sizes(store: ClipStore, name: str) -> dict[str, Any]:
    """The sizes of the protocol's sides, or why it has none."""
    try:
        train, test = split(store, name)
    except DataError as error:
        return {"error": str(error).removeprefix(f"{store.path}: ")}
    return {"train": len(train), "test": len(test), "neither": len(store) - len(train) - len(test)}


def _published(store: ClipStore) -> dict[str, list[int]]:
    """Protocol → training and test clips in published results, where the store's kind has them."""
    published = DATASETS[store.kind].published if store.kind in DATASETS else None
    return {name: list(counts) for name, counts in published.splits.items()} if published is not None else {}


def protocol_lines(held: dict[str, Any]) -> dict[str, str]:
    """For each protocol of what `describe` has found, its sides in words, beside the published ones.

    Of many (leave-one-out has one for each recording) the first stand for all.
    """
    lines = {
        name: _split_in_words(splits, held["published"].get(name), held["clips"])
        for name, splits in held["protocols"].items()
    }
    first_lines = dict(list(lines.items())[:MOST_PROTOCOLS])
    more = list(lines)[MOST_PROTOCOLS:]
    return first_lines | ({"…": f"and {len(more)} more, up to {more[-1]}"} if more else {})


def _split_in_words(splits: dict[str, Any], published: list[int] | None, clips: int) -> str:
    if "error" in splits:
        return str(splits["error"])
    lines = f"{splits['train']:,} clips train, {splits['test']:,} test"
    if splits["neither"]:
        lines += f", {splits['neither']:,} neither"
    if published == [splits["train"], splits["test"]]:
        return f"{lines}: as published"
    # A part of a data set is not meant to agree.
    return (
        f"{lines} (published: {published[0]:,}, {published[1]:,})"
        if published and clips > 0.9 * sum(published)
        else lines
    )
