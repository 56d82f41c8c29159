"""``pcm3 demo``: the whole way on simulated recordings, from raw files to one page of results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from pcm3.checksums import read_checked_json, with_checksum
from pcm3.clips import extract
from pcm3.data.importer import import_recordings
from pcm3.data.store import ClipStore
from pcm3.device import choose_device
from pcm3.encoders.files import load_encoder
from pcm3.errors import CheckpointError, ConfigError
from pcm3.files import new_folder, write_json
from pcm3.render.render import render
from pcm3.render.scene import Scene, make_scene
from pcm3.report import pictures
from pcm3.report.page import Section, write_page
from pcm3.report.results import write_evaluation
from pcm3.settings.pretrain import PretrainSettings
from pcm3.settings.tasks import TaskSettings
from pcm3.simulate import simulate
from pcm3.simulate.folder import MOST, check_counts
from pcm3.skeleton import load_layout
from pcm3.tasks.evaluate import UNTRAINED, Evaluation, evaluate, untrained
from pcm3.tasks.result_table import header
from pcm3.tasks.setup import Setup, labelled_split
from pcm3.train import plan as sizes
from pcm3.train.footprint import check_memory
from pcm3.train.plan import encoder_spec
from pcm3.train.pretrain import PretrainResult, pretrain
from pcm3.train.run_folder import RunFolder

PROTOCOL = "xsub"
TASKS = ("linear-cached", "retrieval")
"""`linear` encodes every clip anew in each of a hundred epochs: minutes more, much the same figure."""
METRICS = ("top1", "best_top1")
"""Figures in the table of the page."""
SEEDS = 3
MOST_ACTIONS = 12
"""Actions on the contact sheet."""


def demo(folder: Path, settings: PretrainSettings, log: Callable[[str], object], **simulation: Any) -> dict[str, Any]:
    """Simulate, import, pretrain, evaluate, and write ``report.html``; what is there already is not made again.

    Returns:
        ``report`` (path), ``tasks`` (task → result), ``seconds``, and what pretraining came to.
    """
    _check(settings, simulation)
    began = time.monotonic()
    raw, stored, run_path = folder / "raw", folder / "store", folder / "run"
    _check_same_demo(folder / "simulation.json", simulation)
    log(f"1/5  simulate recordings in {raw}")
    if not raw.exists():
        with new_folder(raw) as partial:
            simulate(partial, **simulation)
    log(f"2/5  import them into {stored}")
    if not stored.exists():
        import_recordings("ntu60", raw, stored)
    store = ClipStore.open(stored)
    log(f"3/5  pretrain on the training subjects' clips, without their labels, in {run_path}")
    result = pretrain(store, run_path, settings, log=lambda reason: log(f"     {reason}"))
    log("4/5  evaluate the encoder on subjects that it has not seen, beside two baselines")
    evaluations = [evaluate(task, [run_path], store, PROTOCOL, seeds=SEEDS) for task in TASKS]
    log("5/5  draw the page")
    report = _page(folder, store, run_path, result, evaluations, time.monotonic() - began)
    return {
        "report": str(report),
        "seconds": round(time.monotonic() - began, 1),
        "pretrain": asdict(result),
        "tasks": {evaluation.task: evaluation.to_dict() for evaluation in evaluations},
    }


def _check(settings: PretrainSettings, simulation: dict[str, Any]) -> None:
    """Raises ConfigError or DataError for what would stop the demo after its first step."""
    counts = {name: (simulation[name], most) for name, most in MOST.items() if name in simulation}
    check_counts(counts, simulation.get("actions"), simulation.get("seed", 0))
    if settings.encoder.hidden_size > 0:
        sized = replace(settings, batch=settings.batch or sizes.BATCH)
        spec = encoder_spec(load_layout("kinect_v2"), 2, sized)
        check_memory(spec, sized, choose_device(settings.device))


def _check_same_demo(file: Path, simulation: dict[str, Any]) -> None:
    """Write down which recordings the folder's are, or raise ConfigError where it holds others."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, with_checksum(simulation))
    held = read_checked_json(file, CheckpointError, "choose another --folder")
    for name, value in simulation.items():
        if held.get(name) != value:
            raise ConfigError(
                f"{file.parent} holds a demo with {name}={held.get(name)}, you asked for {value}: choose another "
                "--folder"
            )


def _page(
    folder: Path,
    store: ClipStore,
    run_path: Path,
    result: PretrainResult,
    evaluations: list[Evaluation],
    seconds: float,
) -> Path:
    """The pictures and the page; returns the page's path."""
    run, drawn = RunFolder(run_path), folder / "pictures"
    settings = run.read_settings()[0]
    pictures.loss_curve(run.metrics, run.loss_picture)
    for evaluation in evaluations:
        write_evaluation(evaluation, store, run.results)
    drawn.mkdir(exist_ok=True)
    render(_one_clip_a_class(store), drawn / "actions.png")
    rows = {str(evaluation.task): {row.name: row.values for row in evaluation.rows} for evaluation in evaluations}
    pictures.bars(rows, drawn / "accuracy.png", "top-1 %", f"simulated recordings, {PROTOCOL}, {SEEDS} seeds")
    pictures.feature_map(*_feature_map(store, run_path), store.classes, drawn / "features.png")
    train, test = labelled_split(store, PROTOCOL)
    heads = header(METRICS)
    lines = [line for e in evaluations for line in [[f"{e.task}:", "", ""], *(row.cells(METRICS) for row in e.rows)]]
    happened = (
        f"{len(store):,} recordings of {len(store.classes)} actions by {len(np.unique(store.subject))} simulated "
        "people, seen by three cameras, were written as NTU RGB+D files and imported. An encoder (two halves of "
        f"{settings.encoder.hidden_size} units) was pretrained for {result.steps:,} steps of {settings.batch} clips on "
        f"the {len(train):,} clips of the training subjects, without labels, in {result.seconds / 60:.1f} minutes"
        f"{_chosen(run_path)}. Then it was frozen and evaluated on {len(test):,} clips of other people. All in "
        f"{seconds / 60:.1f} minutes."
    )
    worth = (
        f"Per cent of test clips recognised; chance is {100 / len(store.classes):.1f} %. Mean and standard deviation "
        f"over {SEEDS} seeds of the head (of the weights too, for the untrained encoder). The figure is that of the "
        "last epoch; the best epoch on the test clips stands beside it because published tables use it."
    )
    recordings = f"A clip of each of the first {MOST_ACTIONS} actions, seen from the front."
    features = "Test clips in the plane (t-SNE of the features), coloured by action."
    losses = "Contrast and distillation of the four views, and masked prediction."
    confusion = run.results / f"retrieval-{PROTOCOL}-confusion.png"
    sections = [
        Section("What happened", happened),
        Section("The recordings", recordings, [drawn / "actions.png"]),
        Section("What the encoder is worth", worth, [drawn / "accuracy.png"], (heads, lines)),
        Section("The features", features, [drawn / "features.png"]),
        Section("Which action is taken for which", "Rows are the truth (1-NN retrieval).", [confusion]),
        Section("How the losses fell", losses, [run.loss_picture]),
    ]
    write_page(folder / "report.html", "pcm3 demo", sections)
    return folder / "report.html"


def _chosen(run_path: Path) -> str:
    """Which sizes of the run were chosen by the program, and why; nothing where none were."""
    file = run_path / sizes.FILE
    if not file.exists():
        return ""
    try:
        return f" (chosen: {'; '.join(json.loads(file.read_text(encoding='utf-8')))})"
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{file}: damaged ({error}); remove it and run again") from error


def _one_clip_a_class(store: ClipStore) -> list[Scene]:
    """The first clip of each class from the front camera (2), whole, called like the class."""
    chosen = []
    for label, name in list(enumerate(store.classes))[:MOST_ACTIONS]:
        clips = np.flatnonzero((store.label == label) & (store.camera == 2))
        if len(clips):
            clip = store.clip(int(clips[0]))
            chosen.append(make_scene(clip, store.layout, fps=store.fps, normalised=store.normalised, title=name))
    return chosen


def _feature_map(store: ClipStore, run_path: Path) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Name → points in the plane, of the untrained and the pretrained encoder; and the labels of the test clips."""
    encoder, spec = load_encoder(run_path)
    train, test = labelled_split(store, PROTOCOL)
    setup, points = Setup(store, spec, train, test, TaskSettings(), choose_device("auto")), {}
    for name, which in ((UNTRAINED, untrained(setup, 0)), ("pretrained", encoder.to(setup.device))):
        features = torch.nn.functional.normalize(extract(which, setup.clips, test), dim=1).cpu().numpy()
        reduced = PCA(min(30, *features.shape), random_state=0).fit_transform(features)
        perplexity = min(30, max((len(test) - 1) // 3, 1))
        points[name] = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    return points, store.label[test].astype(np.int64)
