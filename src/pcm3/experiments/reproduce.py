"""``pcm3 reproduce``: a table of the paper run anew on the stores that are there, its figures beside ours.

Runs and results lie in one folder and are not made again: a command that was stopped goes on where it was, and tables
share the runs that they have in common.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pcm3.checksums import read_checked_json, with_checksum
from pcm3.data.names import file_name
from pcm3.data.store import ClipStore
from pcm3.errors import CheckpointError, ConfigError
from pcm3.experiments.paper_tables import TABLES, Column, Variant
from pcm3.experiments.runs import (
    Run,
    each_folder_once,
    log_slow_precision,
    pretrain_in,
    run_name,
    untrained_from,
    untrained_names,
    with_threads,
)
from pcm3.files import write_atomically, write_json
from pcm3.geometry import STREAMS
from pcm3.methods.pcm3 import POSITIVES
from pcm3.parallel import MapFunction, serial_map
from pcm3.report.paper_table import as_markdown, draw
from pcm3.report.pictures import loss_curves
from pcm3.settings.methods import name_of_method
from pcm3.settings.pcm3 import pcm3_of
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import SIZES, PretrainSettings, changed, flat
from pcm3.settings.tasks import CACHED_TASKS, TaskSettings
from pcm3.summary import counted
from pcm3.tasks.evaluate import UNTRAINED, evaluate
from pcm3.tasks.streams import evaluate_streams, stream_runs
from pcm3.tasks.task_table import TASKS, few_label_names
from pcm3.train.plan import MINUTES, training_clips, with_sizes
from pcm3.train.pretrain import PretrainResult
from pcm3.train.run_folder import RunFolder


@dataclass(frozen=True)
class Plan:
    """What a table is made from."""

    store: ClipStore
    """Pretrains, and serves the tasks of clips."""
    protocol: str
    untrimmed: ClipStore | None
    """Serves detection."""
    untrimmed_protocol: str
    settings: PretrainSettings
    """Of every run of PCM³, but for what a variant changes and the seed."""
    tasks: TaskSettings
    seeds: int
    cached: bool
    """Take the cached variants of linear and occlusion."""
    out: Path
    scaled: bool = True
    """Other methods begin with their presets for little data, not with those of their published size."""
    sizes: dict[str, Any] = field(default_factory=dict)
    """Of `SIZES`, what other methods have otherwise than their presets."""
    rows: tuple[str, ...] = ()
    """The table's rows that are run; none: all."""


def reproduce(name: str, plan: Plan, log: Callable[[str], object], map_fn: MapFunction = serial_map) -> dict[str, Any]:
    """Runs the table's variants by `map_fn`, evaluates them, writes ``NAME.json``, ``.md`` into the plan's folder.

    Returns:
        ``rows`` (row → column → mean, sd, values, paper), ``baselines``, ``conditions``, ``written``.

    Raises:
        ConfigError: nothing that the table measures is served by the stores, or asked for by the settings of tasks.
        DataError: a store cannot be split for one of the table's tasks.
    """
    check_served(name, plan.untrimmed is not None)
    check_asked(name, plan.tasks)
    plan, table = sized(plan, log), TABLES[name]
    if table.all_parts is not None:
        complete = with_all_parts(plan.settings, table.all_parts)
        if complete != plan.settings:
            log("the preset leaves parts of PCM³ out: all views, the prediction and prompts are put in")
        plan = replace(plan, settings=complete)
    variants = {row: variant for row, variant in table.variants.items() if not plan.rows or row in plan.rows}
    asked = [column for column in table.columns if any(variant.has(column) for variant in variants.values())]
    not_asked = [column for column in asked if not _is_asked(column, plan.tasks)]
    asked = [column for column in asked if column not in not_asked]
    served = [column for column in asked if _store_of(column, plan) is not None]
    for column in served:  # what cannot be evaluated is said before hours of pretraining
        TASKS[column.task].splits(*_served_by(column, plan))
    runs = {row: _runs(variant, plan) for row, variant in variants.items()}
    log_slow_precision(
        [run.settings for of_row in runs.values() for of_stream in of_row.values() for run in of_stream], log
    )
    trained = _pretrain(runs, plan, log, map_fn)
    rows: dict[str, dict[str, Any]] = {}
    baselines: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    untrained = _untrained_beside(variants, runs)
    for row, of_row in runs.items():
        rows[row] = {}
        for column in served:
            if not variants[row].has(column):
                continue
            known = column.head in baselines.get(untrained[row], {})
            titled = partial(_log_of_row, row, log)
            # Raw coordinates stand once in a table, beside the untrained encoder without an addition to its name.
            of_untrained, raw = 0 if known else plan.seeds, untrained[row] == UNTRAINED
            evaluation = _evaluated(of_row, variants[row], column, plan, of_untrained, raw, titled, map_fn)
            rows[row][column.head] = _cell(evaluation["rows"][0], column)
            notes += evaluation["notes"]
            for other in evaluation["rows"][1:]:
                baseline = untrained[row] if other["name"] == UNTRAINED else other["name"]
                baselines.setdefault(baseline, {})[column.head] = _cell(other, column)
    published_heads, beside = table.beside(plan.store.kind, plan.protocol, UNTRAINED)
    result = {
        "table": name,
        "title": table.title,
        "rows": rows,
        "baselines": {name: baselines[name] for name in sorted(baselines, key=lambda of: UNTRAINED not in of)},
        "untrained_beside": untrained,
        "columns": [column.head for column in served],
        "tested_on": list(dict.fromkeys(store.kind for column in served if (store := _store_of(column, plan)))),
        "published": {"heads": table.heads, **{row: list(values) for row, values in table.published.items()}},
        "published_heads": published_heads,
        "beside": beside,
        "presets": {
            row: variant.preset + ("-small" if plan.scaled else "")
            for row, variant in variants.items()
            if variant.preset
        },
        "authors_heads": {
            row: variant.head
            for row, variant in variants.items()
            if variant.head and any(c.authors_head for c in served)
        },
        "conditions": _conditions(plan, sum(result.seconds for result in trained.values()) / 3600),
        "pretraining": {
            row: {
                stream: [asdict(trained[run.folder]) | {"run": run.folder.name} for run in of_stream]
                for stream, of_stream in of_row.items()
            }
            for row, of_row in runs.items()
        },
        "not_served": [column.head for column in asked if column not in served],
        "not_asked": [column.head for column in not_asked],
        "notes": list(dict.fromkeys(notes)),
    }
    data, text, picture, losses = (plan.out / f"{name}{suffix}" for suffix in (".json", ".md", ".png", "-loss.png"))
    write_json(data, result)
    write_atomically(text, lambda file: file.write(as_markdown(result).encode()))
    draw(result, picture)
    loss_curves(_metrics_by_method(runs), losses, f"loss on {plan.store.kind}, {counted(plan.seeds, 'seed')}")
    return result | {"written": [str(data), str(text), str(picture), str(losses)]}


def _metrics_by_method(runs: dict[str, Runs]) -> dict[str, dict[str, list[Path]]]:
    """Method → row → the metrics of its seeds, of a row of several streams those of the first."""
    methods: dict[str, dict[str, list[Path]]] = {}
    for row, of_row in runs.items():
        of_stream = next(iter(of_row.values()))
        of_method = methods.setdefault(name_of_method(of_stream[0].settings.method), {})
        of_method[row] = [RunFolder(run.folder).metrics for run in of_stream]
    return methods


def check_served(name: str, untrimmed: bool) -> None:
    """Raises ConfigError for a table of untrimmed recordings alone where there are none."""
    if not untrimmed and all(TASKS[column.task].of_recordings for column in TABLES[name].columns):
        raise ConfigError(f"--untrimmed: expected a store of untrimmed recordings, which all of {name} is of, got none")


def check_asked(name: str, tasks: TaskSettings) -> None:
    """Raises ConfigError where none of a table's columns is among the figures that the settings ask for."""
    columns = TABLES[name].columns
    if not any(_is_asked(column, tasks) for column in columns):
        heads, subset = ", ".join(column.head for column in columns), tasks.subset
        raise ConfigError(
            f"--subset.shares, --subset.kinds: expected one at least that {name} has a column of ({heads}), got "
            f"shares {', '.join(f'{share:g}' for share in subset.shares)}, {' and '.join(subset.kinds)}"
        )


def _is_asked(column: Column, tasks: TaskSettings) -> bool:
    """Whether the settings ask for a column's figure: of few labels there is one for each subset that they name."""
    few = [f"top1_{of}" for of in few_label_names(tasks.subset)]
    return column.task != "semi" or column.figure in few


def _log_of_row(row: str, log: Callable[[str], object], what: str) -> None:
    log(f"evaluate {row}: {what}")


def sized(plan: Plan, log: Callable[[str], object]) -> Plan:
    """The plan with one width, batch and length for all its runs: none that a run would choose without the others.

    Where only the minutes are given, each run measures how many steps fit into them, since not all are equally fast.
    """
    clips = len(training_clips(plan.store, replace(plan.settings, protocol=plan.protocol)))
    settings, why = with_sizes(plan.settings, clips)
    for reason in why:
        log(reason)
    if settings.epochs == 0 and settings.steps is None:
        settings = replace(settings, minutes=settings.minutes or MINUTES)
    values = flat(settings)
    sizes = {name: values[name] for name in SIZES} if plan.scaled else plan.sizes
    return replace(plan, settings=settings, sizes=sizes)


PREDICTION_WEIGHT = 1.0
"""Of the prediction where a preset leaves it out: beside a normalised error of about 1, as one contrastive term."""


def with_all_parts(settings: PretrainSettings, kind: Literal["domain", "both"] = "both") -> PretrainSettings:
    """The settings with all parts of PCM³ that the preset leaves out: views, distillation, prediction, such prompts."""
    objective, prompts = pcm3_of(settings.method).objective, pcm3_of(settings.method).prompts
    changes: dict[str, Any] = {"objective.positives": list(POSITIVES)}
    if not objective.prediction_weight:
        changes["objective.prediction_weight"] = PREDICTION_WEIGHT
    if not objective.distillation_weight:
        changes["objective.distillation_weight"] = type(objective)().distillation_weight
    if prompts.kind == "none":
        changes["prompts.kind"] = kind
    return changed(settings, changes)


Runs = dict[str, list[Run]]
"""Stream → its run of each seed."""


def begins_with(variant: Variant, plan: Plan) -> PretrainSettings:
    """What a variant changes: the plan's settings, or the preset of another method at the plan's size."""
    if variant.preset is None:
        return plan.settings
    preset = settings_of_preset(variant.preset + ("-small" if plan.scaled else ""))
    return changed(preset, {"seed": plan.settings.seed, "device": plan.settings.device} | plan.sizes)


def run_folder(variant: Variant, plan: Plan, seed: int) -> Path:
    """Where a variant's run lies: one place for equal settings, whichever table asks for them."""
    begins = replace(begins_with(variant, plan), protocol=plan.protocol)
    settings = replace(changed(begins, variant.changes), seed=seed)
    return plan.out / "runs" / run_name(settings, begins, plan.store)


def _runs(variant: Variant, plan: Plan) -> Runs:
    """The runs of a variant."""
    runs: Runs = {}
    own = begins_with(variant, plan).stream
    for name in STREAMS if variant.streams and not variant.at_once else [own]:
        of_stream = variant if name == own else replace(variant, changes=variant.changes | {"stream": name})
        settings = replace(changed(begins_with(variant, plan), of_stream.changes), protocol=plan.protocol)
        clips = len(training_clips(plan.store, settings))
        if settings.batch > clips:  # a variant's batch is that of a larger data set
            settings = with_sizes(replace(settings, batch=0), clips)[0]
        settings = with_threads(settings)
        runs[name] = [
            Run(run_folder(of_stream, plan, seed), replace(settings, seed=seed)) for seed in range(plan.seeds)
        ]
    return runs


def _untrained_beside(variants: dict[str, Variant], runs: dict[str, Runs]) -> dict[str, str]:
    """`untrained_names`; the plain one stands beside PCM³'s first row, or the first row where none is of PCM³."""
    shapes = {
        row: ([untrained_from(of_stream[0].settings) for of_stream in of_row.values()], variants[row].streams)
        for row, of_row in runs.items()
    }
    usual = next((row for row, variant in variants.items() if variant.preset is None), next(iter(variants)))
    return untrained_names(shapes, usual)


def _pretrain(
    runs: dict[str, Runs], plan: Plan, log: Callable[[str], object], map_fn: MapFunction
) -> dict[Path, PretrainResult]:
    """Makes the runs of all rows, or ends those that were begun."""
    titles: dict[Path, str] = {}
    for row, of_row in runs.items():
        for stream, of_stream in of_row.items():
            for run in of_stream:
                titles.setdefault(run.folder, f"{row}, {stream}, seed {run.settings.seed}")
    all_runs = [run for of_row in runs.values() for of_stream in of_row.values() for run in of_stream]
    trained = {}
    for run, result in each_folder_once(pretrain_in, all_runs, plan.store.path, map_fn):
        log(f"pretrained {titles[run.folder]}: {result.seconds:.0f} s, {run.folder}")
        trained[run.folder] = result
    return trained


def _store_of(column: Column, plan: Plan) -> ClipStore | None:
    """The store that serves a column, if there is one."""
    return plan.untrimmed if TASKS[column.task].of_recordings else plan.store


def _served_by(column: Column, plan: Plan) -> tuple[ClipStore, str]:
    """The store and the protocol of a column that one serves."""
    store = _store_of(column, plan)
    assert store is not None
    return store, plan.untrimmed_protocol if TASKS[column.task].of_recordings else plan.protocol


def _evaluated(
    runs: Runs,
    variant: Variant,
    column: Column,
    plan: Plan,
    baselines: int,
    raw: bool,
    log: Callable[[str], object],
    map_fn: MapFunction,
) -> dict[str, Any]:
    """The evaluation of a variant's runs on a column's task, with one head for each run; kept beside the first run.

    `baselines`, `raw`: seeds of the untrained encoder beside it (0: no baselines), and whether raw coordinates stand
    there, too; as of `pcm3.tasks.evaluate`.
    """
    task = CACHED_TASKS.get(column.task, column.task) if plan.cached else column.task
    store, protocol = _served_by(column, plan)
    settings = plan.tasks
    if column.authors_head:
        settings = replace(settings, head=replace(settings.head, **variant.head))
    folders = [run.folder for of_stream in runs.values() for run in of_stream]
    # Of what is not the protocol's, as in `run_name`, and only of this task's settings.
    not_default = settings.non_default_settings(TASKS[task].groups)
    asked = [task, [str(folder) for folder in folders], store.checksum, protocol, not_default, baselines]
    asked += ["no raw"] * (not raw and baselines > 0)
    asked += ["streams"] * (variant.streams and variant.at_once)  # of the same runs as one stream alone
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
    kept = folders[0] / "results" / f"{task}-{file_name(protocol)}-{digest}.json"
    if kept.is_file():
        return read_checked_json(kept, CheckpointError, "remove it, and run again to have it made anew")
    log(f"{task} on {store.kind} {protocol}")
    named: dict[str, Any] = {"settings": settings, "seeds": 1, "baselines": baselines, "raw": raw, "map_fn": map_fn}
    if variant.streams:
        each = {name: [run.folder for run in of_stream] for name, of_stream in runs.items()}
        by_stream = stream_runs(folders, of_runs=True) if variant.at_once else each
        evaluation = evaluate_streams(task, by_stream, store, protocol, **named).to_dict()
    else:
        evaluation = evaluate(task, folders, store, protocol, **named).to_dict()
    kept.parent.mkdir(exist_ok=True)
    write_json(kept, with_checksum(evaluation))
    return evaluation


def _cell(row: dict[str, Any], column: Column) -> dict[str, Any] | None:
    """A figure of an evaluation's row: its mean and spread over the runs."""
    if column.figure not in row:
        return None
    names = {"mean": "", "sd": "_sd", "values": "_values"}
    cell = {name: row[column.figure + suffix] for name, suffix in names.items()}
    return cell | {"best_on_test": row.get(f"best_{column.figure}")}


def _conditions(plan: Plan, hours: float) -> dict[str, Any]:
    """What a reader must know, so that a small run is never taken for the paper's."""
    settings = plan.settings
    return {
        "store": plan.store.kind,
        "protocol": plan.protocol,
        "clips": len(plan.store),
        "untrimmed_store": plan.untrimmed.kind if plan.untrimmed is not None else None,
        "hidden_size": settings.encoder.hidden_size,
        "layers": settings.encoder.layers,
        "direction": settings.encoder.direction,
        "batch": settings.batch,
        "steps": settings.steps,
        "epochs": None if settings.steps or settings.epochs == 0 else settings.epochs,
        "minutes_a_run": settings.minutes,
        "seeds": plan.seeds,
        "hours_of_pretraining": round(hours, 2),
        "cached": plan.cached,
        "tasks": asdict(plan.tasks),
        "not_the_protocols": plan.tasks.non_default_settings(field.name for field in fields(plan.tasks)),
    }
