"""What the page is told in words of a store, of the work in the background, and of labels."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pcm3 import __version__
from pcm3.data.audit.findings import Finding
from pcm3.data.names import printable
from pcm3.web.explorer import Explorer

MAPS = ("pca", "tsne")
MOST_CLIPS = 2_000
"""Of a finding that are told."""
LONGEST = 300
"""Characters of a finding."""


def told_about(explorer: Explorer) -> dict[str, Any]:
    """What does not change while the page is open."""
    store, layout = explorer.store, explorer.store.layout
    return {
        "version": __version__,
        "store": store.path.resolve().name,
        "model": repr(explorer.model),
        "clips": len(store),
        "recordings": 0 if store.recordings is None else len(store.recordings),
        "fixed": False,
        "bodies": store.frames.shape[1],
        "fps": store.fps,
        "classes": store.classes,
        "columns": list(explorer.columns),
        "joints": layout.joints,
        "bones": [[child, parent] for child, parent in enumerate(layout.parents) if child != parent],
        "left": [left for left, _ in layout.mirror],
        "right": [right for _, right in layout.mirror],
    }


def told_status(explorer: Explorer) -> dict[str, Any]:
    """How far the work is."""
    correct = explorer.guesses and explorer.guesses.correct
    there = [name for name in MAPS if name in explorer.arrays]
    return asdict(explorer.progress) | {
        "maps": there,
        "guesses": explorer.guesses is not None,
        "correct": correct,
    }


def told_findings(explorer: Explorer, findings: list[Finding]) -> list[dict[str, Any]]:
    """What is wrong or odd about the store, with the clips that it is about; of pairs, those that belong together."""
    number = {name: clip for clip, name in enumerate(explorer.store.ids.tolist())}
    told = []
    for finding in findings:
        paired = [name for pair in finding.pairs for name in pair]
        clips = dict.fromkeys(number[name] for name in [*paired, *finding.clips] if name in number)
        text, wrong = printable(finding.text, LONGEST), finding.wrong
        told.append({"name": finding.name, "text": text, "wrong": wrong, "clips": list(clips)[:MOST_CLIPS]})
    return told


def told_labels(explorer: Explorer) -> dict[str, Any]:
    """The labels that were given."""
    given = explorer.labels.given()
    names = sorted(set(given.values()))
    number = {name: place for place, name in enumerate(names)}
    ids = explorer.store.ids.tolist()
    labelled = [(clip, number[given[name]]) for clip, name in enumerate(ids) if name in given]
    return {"names": names, "clips": [clip for clip, _ in labelled], "labels": [label for _, label in labelled]}
