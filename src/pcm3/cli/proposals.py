"""What to do next, as command lines that work as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pcm3.errors import DataError, command

if TYPE_CHECKING:
    from pcm3.data.store import ClipStore

FEWEST = 2
"""Clips from which on there is something to learn."""


def after_import(store: ClipStore, place: Path) -> list[str]:
    """Pretraining: on the training side where every clip of a protocol has one, else on all clips."""
    from pcm3.data.protocol import split

    if len(store) < FEWEST:
        return []
    usual = next(iter(store.protocols), None)
    covers_all = usual is not None and sum(map(len, split(store, usual))) == len(store)
    return [command("pcm3", "pretrain", place, "--run", free("run"), *([] if covers_all else ["--protocol", "all"]))]


def after_pretraining(store: ClipStore, place: Path, run: Path, protocol: str, streams: Sequence[str]) -> list[str]:
    """What tells the encoder's worth, where there are labels on both sides; else a head, where there are labels; else
    the features of the clips. Of several streams only evaluations take all: else it is the first.
    """
    from pcm3.tasks.setup import labelled_split

    usual = next(iter(store.protocols), "all")
    try:
        labelled_split(store, usual if protocol == "auto" else protocol)
    except DataError:
        model = run / streams[0] if streams else run
        if len({*store.label[store.label >= 0].tolist()}) < FEWEST:
            return [command("pcm3", "embed", model, place, "--out", free("features.npz"))]
        kind = "classifier" if store.recordings is None else "detector"
        return [command("pcm3", "fit", kind, model, place, "--out", free("head"))]
    words = ["pcm3", "evaluate", "linear-cached", "--model", run, "--store", place]
    return [command(*words, *(["--protocol", protocol] if protocol not in ("auto", usual) else []))]


def after_fitting(kind: str, head: Path, source: list[Path], about_files: dict[str, object]) -> list[str]:
    """The head on what it learned from, as it may hold clips without labels.

    Args:
        kind: of the head.
        head: its folder.
        source: a store, or files.
        about_files: what was said of files, by options.
    """
    known = {name: f"{value:g}" if isinstance(value, float) else value for name, value in about_files.items()}
    about = [word for name, value in known.items() if value is not None for word in (f"--{name}", value)]
    out = {"classifier": "labels.csv", "detector": "actions.csv", "predictor": "poses.npz"}[kind]
    use = {"classifier": "classify", "detector": "detect", "predictor": "predict"}[kind]
    return [command("pcm3", use, head, *source, *about, "--out", free(out))]


def free(name: str) -> Path:
    """A place of that name, or with a number where something is there already."""
    place, number = Path(name), 2
    while place.exists():
        place = Path(name).with_stem(f"{Path(name).stem}{number}")
        number += 1
    return place


def print_next(proposals: list[str]) -> None:
    """Prints them."""
    for proposal in proposals:
        print(f"next: {proposal}")
