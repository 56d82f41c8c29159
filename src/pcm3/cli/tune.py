"""``pcm3 tune STORE … --candidates FILE --out DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcm3.cli.candidates import PRESET, SEARCHED, read_candidates, search_file, search_names, with_changes
from pcm3.cli.places import check_folder
from pcm3.cli.pretrain_settings import check_names
from pcm3.settings.methods import name_of_method
from pcm3.settings.presets import settings_of_preset
from pcm3.settings.pretrain import PretrainSettings, flat, from_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pcm3.data.store import ClipStore
    from pcm3.experiments.search import Candidate, Search

STEPS = 60
"""Of a run in the first rung, where neither steps nor minutes are given."""
SEARCHED_BY = (*SEARCHED, "steps", "minutes")
"""What a candidate that begins with another preset has as the base, always."""
OWN = (
    "stores",
    "candidates",
    "out",
    "preset",
    "seeds",
    "factor",
    "share",
    "keep",
    "held_out",
    "tasks",
    "workers",
    "json",
)


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments; the preset's values and the base's of the candidates become the defaults."""
    from pcm3.cli.parse import value_among
    from pcm3.cli.pretrain_settings import add_pretrain_settings, check_words
    from pcm3.settings.presets import preset_names

    parser.usage = "pcm3 tune STORE … --out DIR [--candidates FILE] [--preset NAME] [--seeds LIST] [--SETTING VALUE …]"
    parser.add_argument(
        "stores", type=Path, nargs="+", help="labelled stores, whose training clips know their subjects"
    )
    parser.add_argument("--candidates", type=str, default="small",
                        help=f"a YAML file (docs/SEARCH.md), or one of: {', '.join(search_names())}")  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the log and the runs; a search goes on there"
    )
    parser.add_argument("--preset", type=str, default="small", help=", ".join(preset_names()))
    parser.add_argument("--seeds", type=list[int], default=[1, 2, 3],
                        help="seeds of each candidate in each rung, as many rungs as numbers; each seed holds out "
                             "another training subject")  # fmt: skip
    parser.add_argument("--factor", type=float, default=2.0, help="steps, or minutes, of a rung over those before")
    parser.add_argument("--share", type=float, default=0.5, help="the best of a rung that go on")
    parser.add_argument("--keep", type=int, default=3, help="at least so many go on, and the base")
    parser.add_argument("--held_out", type=int, default=1, help="training subjects that each seed holds out")
    parser.add_argument("--tasks", type=list[str], default=[],
                        help="tasks of pcm3 evaluate that every run is evaluated on, too; none counts")  # fmt: skip
    parser.add_argument("--workers", type=int | None, default=None,
                        help="runs at a time, each in a process; null: what keeps the cores busy")  # fmt: skip
    base = settings_of_preset(value_among(words, "--preset") or "small")
    method = name_of_method(base.method)
    check_words(words, method)
    add_pretrain_settings(parser, method)
    file = search_file(value_among(words, "--candidates") or "small")
    base = with_changes(base, read_candidates(file, method)[0], f"{file}: base")
    for mine, other in (("steps", "minutes"), ("minutes", "steps")):  # the one that is given counts
        if value_among(words, f"--{mine}") is not None:
            setattr(base, other, None)
    parser.set_defaults(flat(base))


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Searches, and prints how the best stand."""
    from pcm3.errors import command
    from pcm3.experiments.search import check_progress
    from pcm3.limits import MOST_PROCESSES, MOST_REPEATS, check_ranges

    check_ranges(options, {"workers": MOST_PROCESSES, "held_out": MOST_REPEATS})
    check_progress(options.seeds, options.factor, options.share, options.keep)
    check_folder("--out", options.out, options.stores, exclusive=True)
    search = _search(options)
    report = run_search(search, options.workers)
    print(f"the best: {report['winner']}")
    files = ("log.json", "log.md", "search.png", "winner.yaml")
    print(f"written: {', '.join(str(search.out / name) for name in files)}")
    recipe = search.out / "winner.yaml"
    print(f"next: {command('pcm3', 'pretrain', options.stores[0], '--run', 'RUN', '--config', recipe)}")
    return 0, report


def run_search(search: Search, workers: int | None) -> dict[str, Any]:
    """Runs a search in so many processes, or in as many as keep the cores busy, and prints how its recipes stand."""
    from pcm3.experiments.tune import tune
    from pcm3.parallel import worker_processes
    from pcm3.report.search import standing_table
    from pcm3.report.tables import text_table
    from pcm3.tasks.evaluate import useful_processes

    base = search.base
    with worker_processes(workers or useful_processes(base.encoder.hidden_size, base.device)) as map_fn:
        report = tune(search, lambda line: print(line, flush=True), map_fn)
    print()
    print(text_table(*standing_table(report)))
    return report


def read_search(file: Path, base: PretrainSettings, preset: PretrainSettings) -> list[Candidate]:
    """The candidates of a file, each a change of the base, or of another preset changed as the base is.

    Args:
        file: of candidates.
        base: with what the file and the command line change.
        preset: what the base began with.

    Raises:
        ConfigError: the file cannot be read, or a candidate makes no sense; says which.
    """
    from pcm3.experiments.search import Candidate

    of_base, candidates = read_candidates(file, name_of_method(base.method))
    before, now = flat(preset), flat(base)
    stated = {name for name in now if name in of_base or name in SEARCHED_BY or now[name] != before[name]}
    made = []
    for group, of_group in candidates.items():
        for name, changes in of_group.items():
            where = f"{file}: candidate '{group}: {name}'"
            begins, begins_with = base, changes.pop(PRESET, None)
            if begins_with is not None:
                begins = settings_of_preset(begins_with)
                shared = {of: value for of, value in now.items() if of in stated}
                check_names(shared, name_of_method(begins.method), f"{file}: base, as {where} has it too: ")
                begins = with_changes(begins, shared, where)
            settings = with_changes(begins, changes, where)
            values = flat(settings)
            made.append(Candidate(group, name, {of: values[of] for of in changes}, settings, begins, begins_with))
    return made


def _search(options: Any) -> Search:
    """The search that the options ask for."""
    base = from_dict({name: value for name, value in options.as_dict().items() if name not in OWN})
    rungs = {"seeds": options.seeds, "factor": options.factor, "share": options.share, "keep": options.keep}
    preset = settings_of_preset(options.preset)
    tasks = known_tasks(options.tasks)
    return make_search(
        options.stores, options.candidates, base, preset, options.out, options.held_out, tasks=tasks, **rungs
    )


def known_tasks(names: Sequence[str]) -> tuple[str, ...]:
    """Each once.

    Raises:
        ConfigError: there is no task of a name.
    """
    from pcm3.errors import ConfigError, not_one_of
    from pcm3.tasks.task_table import TASKS

    for name in names:
        if name not in TASKS:
            raise ConfigError(f"--tasks: {not_one_of('a task', name, TASKS)}")
    return tuple(dict.fromkeys(names))


def make_search(
    paths: Sequence[Path],
    candidates: str,
    base: PretrainSettings,
    preset: PretrainSettings,
    out: Path,
    held_out: int,
    learned: Path | None = None,
    **more: Any,
) -> Search:
    """The search on these stores, whose base began with a preset; further fields of `Search` by their names.

    Raises:
        ConfigError: a store is given twice, or the candidates make no sense.
    """
    from dataclasses import replace

    from pcm3.data.store import ClipStore
    from pcm3.data.verified import check_unchanged
    from pcm3.errors import ConfigError
    from pcm3.experiments.search import Search

    base.check()
    if base.steps is None and base.minutes is None:
        base = replace(base, steps=STEPS)
    stores: dict[str, ClipStore] = {}
    for path in paths:
        if path.resolve() in [store.path.resolve() for store in stores.values()]:
            raise ConfigError(f"expected stores that differ, got {path} twice")
        name, store = path.resolve().name, ClipStore.open(path)
        for other in (other for other in stores.values() if other.checksum == store.checksum):
            raise ConfigError(f"expected stores that differ, but {other.path} and {path} hold the same clips")
        stores[str(path) if name in stores else name] = store
    for doubt in (doubt for store in stores.values() for doubt in check_unchanged(store)):
        print(f"note: {doubt}")
    pretraining = None if learned is None else ClipStore.open(learned)
    sizing = stores if pretraining is None else {"": pretraining}
    read = [
        replace(candidate, settings=_sized(candidate.settings, sizing, held_out)[0])
        for candidate in read_search(search_file(candidates), base, preset)
    ]
    base, why = _sized(base, sizing, held_out)
    for reason in why:
        print(reason, flush=True)
    return Search(stores=stores, base=base, candidates=read, out=out, held_out=held_out, learned=pretraining, **more)


def _sized(
    settings: PretrainSettings, stores: dict[str, ClipStore], held_out: int
) -> tuple[PretrainSettings, list[str]]:
    """The settings with one width and batch for all stores, so that a recipe is the same on all, and why."""
    from pcm3.experiments.trial import fewest_clips
    from pcm3.train.plan import with_sizes

    if settings.encoder.hidden_size > 0 and settings.batch > 0:
        return settings, []
    return with_sizes(settings, min(fewest_clips(store, settings, held_out) for store in stores.values()))
