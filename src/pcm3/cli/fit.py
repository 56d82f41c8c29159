"""``pcm3 fit classifier|detector|predictor MODEL STORE --out HEAD``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pcm3.cli.parse import add_task_settings, check_task_settings, task_settings
from pcm3.cli.places import check_folder
from pcm3.cli.proposals import after_fitting, print_next
from pcm3.cli.sources import add_device, add_source, print_given, recorded, sources

if TYPE_CHECKING:
    from pcm3.api import Head, Model
    from pcm3.api.expectation import Expected, ExpectedScores
    from pcm3.data.store import ClipStore
    from pcm3.settings.tasks import TaskSettings

    Expect = Callable[[], dict[str, Any]]
    """Measures what to expect of a head: figures for JSON, and "lines" to print."""

HEADS = {
    "classifier": "predicts the class of a clip; the store's clips must have labels",
    "detector": "finds actions in long recordings; the store's must be untrimmed, with their actions",
    "predictor": "goes on with a motion for 400 ms; no label is used",
}
GROUPS = {"classifier": "head", "detector": "detection", "predictor": "prediction"}
"""The group of `TaskSettings` that each goes by."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    what = "; ".join(f"{name}: {word}" for name, word in HEADS.items())
    parser.add_argument("what", type=str, help=what)
    parser.add_argument("model", type=Path, help="run, model folder or checkpoint (the authors' too)")
    add_source(parser, "source", "what to learn from", labelled=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the head; the model is copied into it")
    parser.add_argument("--kind", type=Literal["linear", "nearest"], default="linear",
                        help="of a classifier: a linear layer, or the class of the most similar clip")  # fmt: skip
    parser.add_argument("--encoder", type=Literal["frozen", "tuned"], default="frozen",
                        help="of a detector or predictor: train it alone, or a copy of the encoder too")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--expect", type=bool, default=True,
                        help="say what to expect of it on people not seen, by cross-validation")  # fmt: skip
    add_device(parser)
    add_task_settings(parser, GROUPS.values())


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Fits and writes the head; says what to expect of it."""
    from pcm3 import api
    from pcm3.api.given import given_clips, given_recordings
    from pcm3.api.heads import check_place
    from pcm3.errors import ConfigError, not_one_of

    if options.what not in HEADS:
        raise ConfigError(not_one_of("a head", options.what, HEADS))
    check_folder("--out", options.out)
    if options.what != "classifier" and options.kind != "linear":
        raise ConfigError(f"--kind: expected it with a classifier, got a {options.what}")
    if options.what == "classifier" and options.encoder != "frozen":
        raise ConfigError("--encoder: expected it with a detector or predictor; classifiers leave the encoder as it is")
    check_place(options.out)
    settings = task_settings(options)
    if options.kind == "linear":
        check_task_settings(settings, [GROUPS[options.what]], f"a {options.what}")
    else:
        check_task_settings(settings, [], "a classifier of nearest neighbours")
    model = api.load(options.model, device=options.device)
    read = given_recordings if options.what == "detector" else given_clips
    given = read(sources(options.source), model.spec, recorded(options))
    print_given(given)
    head, expect = FIT[options.what](model, given.store, settings, options)
    head.save(options.out)
    expected = _expected(expect) if options.expect else {"lines": []}
    for line in expected["lines"]:
        print(line)
    print(f"written: {options.out}")
    about_files = {name: options[name] for name in ("fps", "layout", "up", "units", "columns")}
    print_next(after_fitting(options.what, options.out, options.source, about_files))
    return 0, {"written": str(options.out), "expected": {k: v for k, v in expected.items() if k != "lines"}}


def _expected(expect: Expect) -> dict[str, Any]:
    """What to expect, or why that cannot be told of so few clips; the head is written in either case."""
    from pcm3.errors import DataError

    try:
        return expect()
    except DataError as error:
        return {"warnings": [str(error)], "lines": [f"note: no word on what to expect of it: {error}"]}


def _classifier(model: Model, store: ClipStore, settings: TaskSettings, options: Any) -> tuple[Head, Expect]:
    from pcm3.api.fitting import Labelled
    from pcm3.api.given import AS_THE_MODEL

    labelled = Labelled.of(model, store, None, None, AS_THE_MODEL, None)  # the clips are embedded once, for both
    how = (options.kind, settings.head, options.seed)
    return labelled.fit(*how), lambda: _accuracy(labelled.expected(*how))


def _accuracy(expected: Expected) -> dict[str, Any]:
    """The figures of a classifier as lines and as JSON."""
    from pcm3.report.tables import text_table

    rows: list[list[str | float]] = [[name, count, right] for name, (count, right) in expected.by_class.items()]
    lines = [
        text_table(["class", "labelled clips", "recognised %"], rows),
        str(expected),
        *(f"warning: {warning}" for warning in expected.warnings),
    ]
    by_class = {name: {"clips": count, "accuracy": right} for name, (count, right) in expected.by_class.items()}
    return {
        "accuracy": expected.accuracy,
        "spread": expected.spread,
        "interval": list(expected.interval),
        "most_frequent": expected.most_frequent,
        "people": expected.people,
        "folds": len(expected.accuracies),
        "by_class": by_class,
        "warnings": expected.warnings,
        "lines": lines,
    }


def _detector(model: Model, store: ClipStore, settings: TaskSettings, options: Any) -> tuple[Head, Expect]:
    from pcm3.api.fitting import expect_detector

    how: dict[str, Any] = {"settings": settings.detection, "use": options.encoder, "seed": options.seed}
    head = model.fit_detector(store, **how)
    return head, lambda: _metrics(expect_detector(model, store, **how))


def _predictor(model: Model, store: ClipStore, settings: TaskSettings, options: Any) -> tuple[Head, Expect]:
    from pcm3.api.fitting import expect_predictor

    how: dict[str, Any] = {"settings": settings.prediction, "use": options.encoder, "seed": options.seed}
    head = model.fit_predictor(store, **how)
    return head, lambda: _metrics(expect_predictor(model, store, **how))


def _metrics(expected: ExpectedScores) -> dict[str, Any]:
    """The figures as lines and as JSON."""
    from pcm3.report.tables import text_table

    rows = []
    for name, (mean, spread) in expected.metrics.items():
        what, value = expected.beside.get(name, ("", None))
        rows.append([name, f"{mean:.1f} ± {spread:.1f}", "" if value is None else f"{value:.1f} ({what})"])
    whom = f"{expected.people}, tested on others than learned from" if expected.people else "not told apart"
    lines = [
        text_table(["to expect", f"mean ± sd of {expected.folds} folds", "without any model"], rows),
        f"people: {whom}",
        *(f"warning: {warning}" for warning in expected.warnings),
    ]
    metrics = {name: {"mean": mean, "spread": spread} for name, (mean, spread) in expected.metrics.items()}
    result = {"metrics": metrics, "folds": expected.folds, "people": expected.people}
    return result | {"warnings": expected.warnings, "lines": lines}


FIT = {"classifier": _classifier, "detector": _detector, "predictor": _predictor}
