"""``pcm3 evaluate TASK --model RUN --store STORE --protocol xsub``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcm3.cli.parse import add_task_settings, check_task_settings, task_settings, values_among
from pcm3.cli.places import check_folder, check_writable
from pcm3.limits import MOST_PROCESSES, MOST_REPEATS, check_ranges

if TYPE_CHECKING:
    from pcm3.data.store import ClipStore
    from pcm3.settings.tasks import TaskSettings
    from pcm3.tasks.evaluate import LoadedEncoder

ALL = "all"


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    from pcm3.settings.pretrain import Device, Precision
    from pcm3.settings.tasks import TASK_WORDS

    tasks = "; ".join(f"{name}: {what}" for name, what in TASK_WORDS.items())
    parser.add_argument("task", type=str, help=f"{tasks}; {ALL}: every one of these that the store can serve")
    parser.add_argument("--model", type=Path, nargs="+", required=True,
                        help="run folder or checkpoint (the authors' too), or a folder with runs of several streams, "
                             "which are fused; several: the mean over them")  # fmt: skip
    parser.add_argument("--fuse", type=bool, default=False,
                        help="where a run of one method left an encoder for each stream, as cmd does: evaluate all of "
                             "them and fuse them, not the run's main one alone")  # fmt: skip
    parser.add_argument("--store", type=Path, required=True, help="labelled clips")
    parser.add_argument("--protocol", type=str, default="auto", help="the split; 'auto' is the store's first")
    parser.add_argument("--seeds", type=int, default=3, help="heads for each encoder, and untrained encoders")
    parser.add_argument("--device", type=Device, default="auto", help="where to compute")
    parser.add_argument("--precision", type=Precision, default="32",
                        help="of the encoders' products: bf16 is faster, its metrics all but the same")  # fmt: skip
    parser.add_argument(
        "--workers",
        type=int | None,
        default=None,
        help="processes that evaluate encoders; null: as many as the cores allow, 1 on a GPU",
    )
    parser.add_argument("--out", type=Path, default=None, help="folder for the results; null for results/ in the run")
    parser.add_argument("--save_heads", "--save-heads", type=Path | None, default=None,
                        help="folder for what the task fitted on the first model with the first seed, in folders of "
                             "the tasks' names; null keeps no heads")  # fmt: skip
    parser.add_argument("--without_leaks", "--without-leaks", type=bool, default=False,
                        help="leave test clips out that are copies of training clips")  # fmt: skip
    parser.add_argument("--quick", type=bool, default=False,
                        help="one seed and far fewer epochs than the protocols have: a first look in minutes, and told "
                             "so beside every metric; settings told beside it count")  # fmt: skip
    add_task_settings(parser)
    if _is_quick(words):
        from pcm3.settings.tasks import QUICK

        quick = {f"{group}.{name}": value for group, values in asdict(QUICK).items() for name, value in values.items()}
        parser.set_defaults(quick | {"seeds": 1})


def _is_quick(words: list[str]) -> bool:
    """Whether the words ask for a quick look, before they are parsed: then the defaults are others."""
    given = [value.lower() for value in values_among(words, "--quick")]
    alone = "--quick" in words
    return (alone or bool(given)) and not (given and given[-1] in ("false", "no"))


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Evaluates, prints the tables, writes them with pictures beside them."""
    from pcm3.data.store import ClipStore
    from pcm3.device import choose_device, slow_bf16
    from pcm3.errors import ConfigError, DataError, not_one_of
    from pcm3.parallel import worker_processes
    from pcm3.settings.tasks import CACHED_TASKS, TASK_WORDS
    from pcm3.tasks.evaluate import LoadedEncoder, useful_processes
    from pcm3.tasks.streams import stream_runs

    if options.task not in (*TASK_WORDS, ALL):
        raise ConfigError(not_one_of("a task", options.task, (*TASK_WORDS, ALL)))
    check_ranges(options, {"seeds": MOST_REPEATS, "workers": MOST_PROCESSES})
    for name, folder in (("--out", options.out), ("--save-heads", options.save_heads)):
        if folder is not None:
            check_folder(name, folder)
    settings = _settings(options)
    store = ClipStore.open(options.store)
    runs = stream_runs(options.model, options.fuse) or {"": options.model}
    if options.fuse and "" in runs:
        raise ConfigError(
            f"--fuse: expected a run with encoders of several streams, and {options.model[0]} has one: leave it "
            "out, or name a folder that pcm3 pretrain --streams '[joint,bone,motion]' wrote"
        )
    models = {stream: [LoadedEncoder.of(path) for path in paths] for stream, paths in runs.items()}
    left_out = {} if "" in runs else _not_fused(options)
    if options.task in left_out:
        raise ConfigError(left_out[options.task])
    if options.task == ALL and options.quick:
        left_out |= {task: f"--quick takes {cached} instead" for task, cached in CACHED_TASKS.items()}
    width = next(iter(models.values()))[0].spec.hidden_size
    check_writable("--out", _results(options))
    if (slow := slow_bf16(options.precision, choose_device(options.device))) is not None:
        print(slow, flush=True)
    with worker_processes(options.workers or useful_processes(width, options.device)) as map_fn:
        if options.task != ALL:
            return 0, _evaluated(options.task, models, options, store, settings, map_fn)
        result: dict[str, Any] = {"tasks": {}, "not_served": {}}
        for task in TASK_WORDS:
            if task in left_out:
                result["not_served"][task] = left_out[task]
                continue
            try:
                result["tasks"][task] = _evaluated(task, models, options, store, settings, map_fn)
            except DataError as error:
                result["not_served"][task] = str(error)
            print(flush=True)
    for task, reason in result["not_served"].items():
        print(f"not run: {task}: {reason}")
    return 0, result


def _settings(options: Any) -> TaskSettings:
    """The settings of the tasks.

    Raises:
        ConfigError: a value makes no sense, or is of a setting that the task does not go by.
    """
    from pcm3.settings.tasks import QUICK
    from pcm3.tasks.task_table import TASKS

    settings = task_settings(options)
    if options.task != ALL:
        check_task_settings(settings, TASKS[options.task].groups, options.task, QUICK if options.quick else None)
    return settings


def _not_fused(options: Any) -> dict[str, str]:
    """Task → why the streams of the models cannot be fused in it, and what to do."""
    from pcm3.settings.tasks import TASK_WORDS
    from pcm3.tasks.streams import not_fused, stream_runs

    each_alone = not stream_runs(options.model)  # each model is one, too, where nothing is fused
    reasons = {task: not_fused(task, each_alone) for task in TASK_WORDS}
    return {task: reason for task, reason in reasons.items() if reason is not None}


def _evaluated(
    task: str,
    models: dict[str, list[LoadedEncoder]],
    options: Any,
    store: ClipStore,
    settings: TaskSettings,
    map_fn: Any,
) -> dict[str, Any]:
    """Evaluates one task on the models of each stream, or of "" alone; prints its table, and gives it as JSON."""
    from functools import partial

    from tqdm import tqdm

    from pcm3.report.results import write_evaluation
    from pcm3.report.tables import text_table
    from pcm3.summary import counted
    from pcm3.tasks.evaluate import evaluate, work
    from pcm3.tasks.streams import evaluate_streams

    def progress(model: str) -> None:
        bar.set_postfix_str(model)
        bar.update()

    protocol = next(iter(store.protocols), "auto") if options.protocol == "auto" else options.protocol
    heads = work(task, len(options.model), options.seeds, settings) * len(models)
    with tqdm(total=heads, desc=task, unit="head", delay=1) as bar:
        alone = models.get("")
        run = partial(evaluate, task, alone) if alone else partial(evaluate_streams, task, models)
        evaluation = run(
            store,
            protocol,
            settings=settings,
            seeds=options.seeds,
            device=options.device,
            on_progress=progress,
            without_leaks=options.without_leaks,
            precision=options.precision,
            map_fn=map_fn,
            keep_heads=options.save_heads is not None,
        )
    written = write_evaluation(evaluation, store, _results(options))
    for name, head in evaluation.first.heads.items():
        written.append(options.save_heads / task / name)
        head.save(written[-1])
    print(
        f"{evaluation.name}, {store.kind} {evaluation.protocol}: {evaluation.train_clips:,} training "
        f"{evaluation.what}, {evaluation.test_clips:,} test; {counted(evaluation.seeds, 'seed')}"
    )
    print(text_table(evaluation.header, evaluation.table()))
    for note in evaluation.notes:
        print(f"note: {note}")
    print(f"written: {', '.join(str(path) for path in written)}")
    return evaluation.to_dict() | {"written": [str(path) for path in written]}


def _results(options: Any) -> Path:
    """The folder of the results."""
    first: Path = options.model[0]
    if not first.exists():  # one that comes with the package
        return options.out or Path("results")
    return options.out or (first.parent if first.is_file() else first) / "results"
