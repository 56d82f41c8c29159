"""``pcm3 reproduce table7 --store STORE --out DIR``, ``pcm3 reproduce rows --store STORE … --candidates FILE``."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcm3.cli.parse import add_task_settings, check_task_settings, task_settings
from pcm3.cli.places import check_folder
from pcm3.limits import MOST_PROCESSES, MOST_REPEATS, check_ranges

if TYPE_CHECKING:
    from pcm3.experiments.paper_tables import PaperTable

PAPER, SMALL = "pcm3-small", "small"
"""Presets that are meant where none is named: of all of PCM³, which tables take apart, and of contrast alone."""
MODEL = "simulated-model"
ROWS = "rows"
PAGE = "page"
LABELLING = "labelling"
USED_BY = {
    "model": LABELLING,
    "logs": PAGE,
    "candidates": ROWS,
    "learn": ROWS,
    "tasks": ROWS,
    "rows": "tables",
    "untrimmed": "tables",
}
"""Option → what alone goes by it."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    from pcm3.experiments.paper_tables import TABLES
    from pcm3.settings.presets import preset_names
    from pcm3.settings.pretrain import SIZES

    titles = "; ".join(f"{name}: {table.title}" for name, table in TABLES.items())
    parser.add_argument(
        "table",
        type=str,
        help=f"{titles}; {ROWS}: recipes of a file beside each other, on several stores (docs/SEARCH.md); {PAGE}: "
        f"logs of {ROWS} as one page, BENCHMARK.md; {LABELLING}: how many labels it takes, at random and as the "
        f"explorer asks for them; {MODEL}: the model that comes with pcm3, from simulated people",
    )
    parser.add_argument("--model", type=Path, nargs="+", default=[], help=f"{LABELLING}: a model for each store")
    parser.add_argument("--logs", type=Path, nargs="+", default=[], help=f"{PAGE}: folders that {ROWS} wrote")
    parser.add_argument("--store", type=Path, nargs="+", default=[],
                        help=f"pretrains, and serves the tasks of clips; all but {MODEL} need one, {ROWS} takes "
                             "several")  # fmt: skip
    parser.add_argument("--candidates", type=str | None, default=None,
                        help=f"{ROWS}: a YAML file, a base and what is compared with it")  # fmt: skip
    parser.add_argument("--learn", type=Path | None, default=None,
                        help=f"{ROWS}: a store that pretrains each row, once for all stores, on which it is then "
                             "tested; null: each store pretrains its own")  # fmt: skip
    parser.add_argument("--tasks", type=list[str], default=[],
                        help=f"{ROWS}: tasks of pcm3 evaluate beside recognition, as [occlusion-cached, "
                             "prediction-frozen]; detection is tested on stores of untrimmed recordings")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder for the table and its runs; goes on there")
    parser.add_argument("--protocol", type=str, default="auto", help="the split; 'auto' is the store's first")
    parser.add_argument("--rows", type=list[str], default=[],
                        help="rows of the table that are run, as [CMD, PCM3]; none named: all")  # fmt: skip
    parser.add_argument("--untrimmed", type=Path, default=None, help="untrimmed recordings, for detection")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each row")
    parser.add_argument("--preset", type=str | None, default=None,
                        help=f"{', '.join(preset_names())}; null: {PAPER} for the paper's tables, {SMALL} for all "
                             "else")  # fmt: skip
    for name, kind in SIZES.items():
        more = "; epochs or steps that are given leave its minutes out" if name == "minutes" else ""
        parser.add_argument(f"--{name}", type=kind | None, default=None, help=f"null: as in the preset{more}")
    parser.add_argument("--cached", type=bool, default=True,
                        help="take linear-cached and occlusion-cached: minutes instead of hours")  # fmt: skip
    parser.add_argument("--workers", type=int | None, default=None,
                        help="runs at a time, each in a process; null: what keeps the cores busy")  # fmt: skip
    add_task_settings(parser)


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Makes the table, and prints it."""
    from pcm3.data.store import ClipStore
    from pcm3.data.verified import check_unchanged
    from pcm3.errors import ConfigError, not_one_of
    from pcm3.experiments.paper_tables import TABLES
    from pcm3.experiments.reproduce import Plan, check_asked, check_served, reproduce, sized
    from pcm3.parallel import worker_processes
    from pcm3.settings.presets import settings_of_preset
    from pcm3.settings.pretrain import changed
    from pcm3.tasks.evaluate import useful_processes

    _check_used(options)
    if options.table == MODEL:
        return 0, _simulated_model(options)
    if options.table == PAGE:
        return 0, _page(options)
    if options.table not in (*TABLES, ROWS, LABELLING):
        raise ConfigError(not_one_of("a table", options.table, [*TABLES, ROWS, PAGE, LABELLING, MODEL]))
    if not options.store:
        raise ConfigError("--store: expected a store that pcm3 import wrote, got none")
    check_ranges(options, {"seeds": MOST_REPEATS, "workers": MOST_PROCESSES})
    stores = [path for path in (*options.store, options.untrimmed) if path is not None]
    check_folder("--out", options.out, stores, exclusive=True)
    if options.table == ROWS:
        return 0, _rows(options)
    if options.table == LABELLING:
        return 0, _labelling(options)
    if len(options.store) > 1:
        raise ConfigError(f"--store: expected one store for {options.table}, got {len(options.store)}")
    preset = settings_of_preset(options.preset or (SMALL if TABLES[options.table].all_parts is None else PAPER))
    settings = changed(preset, _sizes(options))
    settings.check()
    tasks = task_settings(options)
    check_served(options.table, options.untrimmed is not None)
    check_asked(options.table, tasks)
    store = ClipStore.open(options.store[0])
    untrimmed = None if options.untrimmed is None else ClipStore.open(options.untrimmed)
    if untrimmed is not None and untrimmed.recordings is None:
        raise ConfigError(f"{options.untrimmed}: expected a store of untrimmed recordings, got one of trimmed clips")
    for doubt in check_unchanged(store) + (check_unchanged(untrimmed) if untrimmed is not None else []):
        print(f"note: {doubt}")
    plan = Plan(
        store=store,
        protocol=next(iter(store.protocols), "all") if options.protocol == "auto" else options.protocol,
        untrimmed=untrimmed,
        untrimmed_protocol=next(iter(untrimmed.protocols), "") if untrimmed is not None else "",
        settings=settings,
        tasks=tasks,
        seeds=options.seeds,
        cached=options.cached,
        out=options.out,
        scaled=preset.encoder.hidden_size == 0,
        sizes=_sizes(options),
        rows=_chosen_rows(options.rows, TABLES[options.table]),
    )
    plan = sized(plan, print)
    with worker_processes(
        options.workers or useful_processes(plan.settings.encoder.hidden_size, settings.device)
    ) as map_fn:
        written = reproduce(options.table, plan, lambda line: print(line, flush=True), map_fn)
    print()
    print((options.out / f"{options.table}.md").read_text(encoding="utf-8"), end="")
    print(f"written: {', '.join(written['written'])}")
    return 0, written


def _check_used(options: Any) -> None:
    """Raises ConfigError for an option that would be ignored."""
    from pcm3.errors import ConfigError

    kind = options.table if options.table in (ROWS, PAGE, LABELLING, MODEL) else "tables"
    for name, of in USED_BY.items():
        if options[name] not in (None, []) and kind != of:
            raise ConfigError(f"--{name}: expected for {of} alone, got it for {options.table}; leave it out")


def _chosen_rows(asked: list[str], table: PaperTable) -> tuple[str, ...]:
    """The rows of a table that are asked for; a small figure may be written as a large one (PCM3)."""
    from pcm3.errors import ConfigError, not_one_of

    plain = {unicodedata.normalize("NFKC", row).casefold(): row for row in table.variants}
    rows = []
    for name in asked:
        row = plain.get(unicodedata.normalize("NFKC", name).casefold())
        if row is None:
            raise ConfigError(f"--rows: {not_one_of('a row that is run', name, list(table.variants))}")
        rows.append(row)
    return tuple(rows)


def _sizes(options: Any) -> dict[str, Any]:
    """What the command line says of the sizes of a run; steps or epochs leave the preset's minutes out."""
    from pcm3.settings.pretrain import SIZES

    sizes: dict[str, Any] = {name: options[name] for name in SIZES if options[name] is not None}
    if "epochs" in sizes or "steps" in sizes:
        sizes.setdefault("minutes", None)
    return sizes


def _rows(options: Any) -> dict[str, Any]:
    """Compares the recipes of a file on the test side of every store, with the same seeds, and prints by how much."""
    from pcm3.cli.candidates import read_candidates, search_file, with_changes
    from pcm3.cli.tune import known_tasks, make_search, run_search
    from pcm3.errors import ConfigError
    from pcm3.settings.methods import name_of_method
    from pcm3.settings.presets import settings_of_preset
    from pcm3.settings.pretrain import changed
    from pcm3.tasks.task_table import groups_of

    if options.candidates is None:
        raise ConfigError(f"--candidates: expected a file of what is compared (docs/SEARCH.md) for {ROWS}, got none")
    preset = settings_of_preset(options.preset or SMALL)
    file = search_file(options.candidates)
    base = with_changes(preset, read_candidates(file, name_of_method(preset.method))[0], f"{file}: base")
    base = changed(base, {"protocol": options.protocol} | _sizes(options))
    tasks, asked = known_tasks(options.tasks), task_settings(options)
    check_task_settings(asked, groups_of(tasks), f"the tasks asked for, {' and '.join(tasks) or 'none'}")
    rung = {"seeds": [options.seeds], "factor": 1.0, "share": 1.0, "keep": 1}
    search = make_search(
        options.store, options.candidates, base, preset, options.out, held_out=0, learned=options.learn,
        tasks=tasks,
        task_settings=asked,
        **rung,
    )  # fmt: skip
    report = run_search(search, options.workers)
    print(f"written: {', '.join(str(options.out / name) for name in ('log.json', 'log.md', 'search.png'))}")
    return report


def _page(options: Any) -> dict[str, Any]:
    """Writes the page of several logs, and a picture of each."""
    from pcm3.checksums import read_checked_json
    from pcm3.errors import ConfigError, DataError
    from pcm3.experiments.paper_tables import published_columns
    from pcm3.report.benchmark_page import benchmark_page, first_comment, is_log_of_rows
    from pcm3.report.benchmark_picture import draw_over_base

    if not options.logs:
        raise ConfigError(f"--logs: expected folders that pcm3 reproduce {ROWS} wrote, got none")
    check_folder("--out", options.out)
    logs: dict[str, Any] = {}
    for folder in options.logs:
        if (name := folder.resolve().name) in logs:
            raise ConfigError(f"--logs: expected folders of different names, which head their tables, got two '{name}'")
        if not (folder / "log.json").is_file():
            raise DataError(f"{folder}: expected a folder that pcm3 reproduce {ROWS} wrote, but {_why_no_log(folder)}")
        log = read_checked_json(folder / "log.json", cure=f"the command pcm3 reproduce {ROWS} writes it anew")
        if not is_log_of_rows(log):
            raise DataError(f"{folder}: expected a log of pcm3 reproduce {ROWS}, got another")
        logs[name] = log
    page = options.out / "BENCHMARK.md"
    pictures = {name: options.out / f"benchmark-{name}.png" for name in logs}
    chosen = {folder.resolve().name: first_comment(folder / "rows.yaml") for folder in options.logs}
    options.out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        draw_over_base(logs[name], picture)
    names = {name: picture.name for name, picture in pictures.items()}
    page.write_text(benchmark_page(logs, chosen, names, published_columns()), encoding="utf-8")
    print(f"written: {', '.join(map(str, [page, *pictures.values()]))}")
    return {"page": str(page), "pictures": [str(picture) for picture in pictures.values()], "logs": list(logs)}


def _why_no_log(folder: Path) -> str:
    """What is there in place of a log."""
    if not folder.is_dir():
        return "it is a file" if folder.exists() else "it does not exist"
    if any((folder / name).is_dir() for name in ("runs", "baselines")):
        return "its rows are not finished: run that command again, which goes on there"
    return "it holds no log.json"


def _labelling(options: Any) -> dict[str, Any]:
    """Labels clips of each store by an oracle."""
    from pcm3 import api
    from pcm3.data.store import ClipStore
    from pcm3.errors import ConfigError
    from pcm3.experiments.labelling import Session, label_by_oracle

    if len(options.model) != len(options.store):
        raise ConfigError(
            f"--model: expected one for each store ({len(options.store)}), in their order, got {len(options.model)}"
        )
    sessions = {}
    for model, path in zip(options.model, options.store, strict=True):
        store = ClipStore.open(path)
        protocol = next(iter(store.protocols), "all") if options.protocol == "auto" else options.protocol
        sessions[path.absolute().name] = Session.of(api.load(model), store, protocol)
    results = label_by_oracle(sessions, options.seeds, options.out, lambda line: print(line, flush=True))
    print(f"written: {', '.join(str(options.out / f'labelling.{ending}') for ending in ('json', 'md', 'png'))}")
    return {name: {"goal": of["goal"], "reached": of["reached"]} for name, of in results.items()}


def _simulated_model(options: Any) -> dict[str, Any]:
    """Makes the model that comes with the package anew."""
    from pcm3.experiments.simulated_model import STEPS, SUBJECTS, make

    check_folder("--out", options.out)
    folder = make(options.out, options.steps or STEPS, SUBJECTS, lambda line: print(line, flush=True))
    print(f"{folder}: pcm3.load reads it")
    return {"model": str(folder)}
