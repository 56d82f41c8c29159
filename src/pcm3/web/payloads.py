"""The JSON answers to the page: about a store, the work in the background, and labels."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from pcm3 import __version__
from pcm3.data.audit.findings import Finding
from pcm3.data.names import printable
from pcm3.web.comparison import Comparison
from pcm3.web.explorer import Explorer
from pcm3.web.skeletons import PIECE

MOST_CHANGED = 100
"""Clips whose neighbours changed most that are told."""
MOST_CLIPS = 2_000
"""Of a finding that are told."""
LONGEST = 300
"""Characters of a finding."""


def about_payload(explorer: Explorer) -> dict[str, Any]:
    """What does not change while the page is open."""
    store, layout = explorer.store, explorer.store.layout
    return {
        "version": __version__,
        "store": store.path.resolve().name,
        "model": repr(explorer.model),
        "sides": [side.name for side in explorer.sides],
        "clips": len(store),
        "recordings": 0 if store.recordings is None else len(store.recordings),
        "fixed": False,
        "normalised": store.normalised,
        "piece": PIECE,
        "bodies": store.frames.shape[1],
        "fps": store.fps,
        "classes": store.classes,
        "columns": list(explorer.columns),
        "joints": layout.joints,
        "bones": [[child, parent] for child, parent in enumerate(layout.parents) if child != parent],
        "left": [left for left, _ in layout.mirror],
        "right": [right for _, right in layout.mirror],
    }


def status_payload(explorer: Explorer) -> dict[str, Any]:
    """How far the work is."""
    correct = explorer.guesses and explorer.guesses.correct
    return asdict(explorer.progress) | {
        "maps": [list(maps) for maps in explorer.maps],
        "guesses": explorer.guesses is not None,
        "clusters": "clusters" in explorer.mine.arrays,
        "checked": explorer.findings is not None,
        "compared": explorer.comparison is not None,
        "correct": correct,
    }


def neighbours_payload(near: Int[np.ndarray, " n"], far: Float[np.ndarray, " n"]) -> dict[str, Any]:
    """The nearest clips, and how far they are."""
    return {"clips": near.tolist(), "distances": [round(float(distance), 6) for distance in far]}


def comparison_payload(explorer: Explorer, comparison: Comparison) -> dict[str, Any]:
    """What the model is beside what it is compared with."""
    return {
        "k": comparison.k,
        "kept": float(np.nanmean(comparison.kept)) if len(comparison.changed) else None,
        "chance": comparison.by_chance,
        "looked": len(comparison.changed),
        "changed": comparison.changed[:MOST_CHANGED].tolist(),
        "clips": comparison.clips,
        "people": comparison.people,
        "most_frequent": comparison.most_frequent,
        "judged": [
            {"name": classifier.name, "correct": classifier.correct, "interval": classifier.interval}
            for classifier in comparison.classifiers
        ],
        "taught_here": [explorer.store.checksum == side.taught_by for side in explorer.sides],
    }


def comparison_rows(comparison: Comparison) -> Float32[np.ndarray, "R N"]:
    """Of each clip: the share of neighbours that is kept, then what each classifier says by the one and by the other
    kind of features.
    """
    labels = [classifier.label for classifier in comparison.classifiers]
    return np.concatenate([comparison.kept[None], *labels]).astype(np.float32)


def findings_payload(explorer: Explorer, findings: list[Finding]) -> list[dict[str, Any]]:
    """What is wrong or odd about the store, with the clips that it is about; of pairs, those that belong together."""
    number = {name: clip for clip, name in enumerate(explorer.store.ids.tolist())}
    payloads = []
    for finding in findings:
        paired = [name for pair in finding.pairs for name in pair]
        clips = dict.fromkeys(number[name] for name in [*paired, *finding.clips] if name in number)
        text, wrong = printable(finding.text, LONGEST), finding.wrong
        payloads.append({"name": finding.name, "text": text, "wrong": wrong, "clips": list(clips)[:MOST_CLIPS]})
    return payloads


def labels_payload(explorer: Explorer) -> dict[str, Any]:
    """The labels that were given."""
    given = explorer.labels.given()
    parts = [part for parts in explorer.labels.stretches().values() for part in parts]
    names = sorted({*given.values(), *(part.label for part in parts)})
    number = {name: place for place, name in enumerate(names)}
    ids = explorer.store.ids.tolist()
    labelled = [(clip, number[given[name]]) for clip, name in enumerate(ids) if name in given]
    return {"names": names, "clips": [clip for clip, _ in labelled], "labels": [label for _, label in labelled],
            "stretches": len(parts)}  # fmt: skip
