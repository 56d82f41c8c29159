"""``pcm3 benchmark WHAT``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from pcm3.cli.places import check_file, check_folder
from pcm3.limits import MOST, MOST_PROCESSES, MOST_REPEATS, check_range, check_ranges

WHAT = ("import", "pretrain", "encode", "linear", "retrieval", "embed", "search", "live")
ALL = "all"
Rows = list[dict[str, Any]]
MOST_STREAMS, MOST_SECONDS = 10_000, 36_000
MOST_FILES = 1_000_000
"""More recordings than any data set has, and than most disks hold."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    from pcm3.settings.pretrain import Device

    parser.add_argument(
        "what",
        type=str,
        help="pretrain (training steps), encode (clips to features), linear (the head of linear-cached), retrieval "
        "(nearest neighbours), embed (clips in any form to features), search (one motion in so many windows), import "
        "(NTU RGB+D files), live (streams on one core), or all",
    )
    parser.add_argument("--steps", type=int, default=3, help="turns measured, in each of which everything has its go")
    parser.add_argument(
        "--warm", type=int, default=1, help="turns before them that do not count (0: a first step on 4 clips stays)"
    )
    parser.add_argument("--device", type=Device, default="auto", help="where to compute")
    parser.add_argument(
        "--out", type=Path, default=None, help="also write the result to this JSON file (all: into this folder)"
    )
    steps = parser.add_argument_group("pretrain, encode, embed")
    steps.add_argument(
        "--hidden_size",
        type=int,
        nargs="+",
        default=None,
        help="widths to time (default: 128 256 1024; of embed 128 256, a minute on one core)",
    )
    steps.add_argument(
        "--precision",
        type=Literal["32", "bf16"],
        nargs="+",
        default=None,
        help="32, bf16 or both (default: 32, and bf16 where the device computes in it natively)",
    )
    steps.add_argument("--preset", type=str, default="released", help="the rest of the settings")
    steps.add_argument("--batch", type=int, default=64, help="clips a step")
    training = parser.add_argument_group("pretrain")
    training.add_argument(
        "--micro_batches", type=int, default=1, help="micro-batches that a batch is worked through in"
    )
    training.add_argument(
        "--peer",
        type=Path,
        default=None,
        help="a checkout of the authors' PCM3 code; its training step is run and timed beside ours, in the same turns",
    )
    training.add_argument("--memory", type=bool, default=True, help="measure memory too, each in a fresh process")
    training.add_argument(
        "--epoch-of",
        type=int,
        default=None,
        help="extrapolate the hours of 450 epochs of so many clips (on a GPU, by default, NTU 60's 40091)",
    )
    features = parser.add_argument_group("linear, retrieval, search")
    features.add_argument("--clips", type=int, default=40000, help="training clips, the gallery, windows")
    features.add_argument("--tests", type=int, default=16000, help="test clips, or the queries")
    features.add_argument("--width", type=int, default=2048, help="values of a feature")
    features.add_argument("--classes", type=int, default=60, help="classes of the head")
    features.add_argument("--epochs", type=int, default=None, help="epochs of the head (default: the protocol's)")
    streams = parser.add_argument_group("live")
    streams.add_argument("--streams", type=int, default=10, help="streams that are fed in turn")
    streams.add_argument("--seconds", type=int, default=20, help="of frames, at 30 a second, for each of them")
    files = parser.add_argument_group("import")
    files.add_argument("--files", type=int, default=2000, help="about how many recordings")
    files.add_argument(
        "--workers", type=int, nargs="+", default=None, help="numbers of processes (default: 1, and all cores)"
    )


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Measures, and prints tables."""
    from pcm3.benchmark.machine import machine
    from pcm3.errors import ConfigError, not_one_of

    if options.what not in (*WHAT, ALL):
        raise ConfigError(not_one_of("what to measure", options.what, (*WHAT, ALL)))
    _check(options)
    where = machine()
    if options.what != ALL:
        return 0, _measured(options.what, options, where, options.out)
    results = {}
    for what in WHAT:
        results[what] = _measured(what, options, where, options.out and options.out / f"benchmark-{what}.json")
    return 0, {"benchmark": ALL, "machine": where} | {what: result["rows"] for what, result in results.items()}


def _check(options: Any) -> None:
    from pcm3.errors import ConfigError

    counts = dict.fromkeys(("clips", "tests", "width", "classes", "epoch_of", "micro_batches", "batch"), MOST)
    check_ranges(options, counts | {"steps": MOST_REPEATS, "epochs": MOST_REPEATS, "files": MOST_FILES})
    check_range("streams", options.streams, 1, MOST_STREAMS)
    check_range("seconds", options.seconds, 1, MOST_SECONDS)
    check_range("warm", options.warm, 0, MOST_REPEATS)
    # There is no store to choose a width from, as a 0 would ask elsewhere.
    for width in options.hidden_size or ():
        check_range("hidden_size", width, 1, MOST)
    for workers in options.workers or []:
        check_range("workers", workers, 1, MOST_PROCESSES)
    if options.out is not None:
        if options.what == ALL:
            check_folder("--out", options.out)
        else:
            check_file("--out", options.out, makes_folder=True)
    _check_features(options)
    if options.peer is not None and options.preset != "released":
        raise ConfigError(f"setting preset: expected released beside --peer, got {options.preset}")


def _check_features(options: Any) -> None:
    """Raises ConfigError where the features of linear or retrieval do not fit into memory."""
    from pcm3.device import choose_device
    from pcm3.errors import ConfigError
    from pcm3.train.footprint import GIB, memory_of

    room = memory_of(choose_device(options.device))
    needed = 4 * (options.clips + options.tests + options.classes) * options.width
    if needed > room:
        raise ConfigError(
            f"setting clips: expected features (clips + tests) x width that fit into the {room / GIB:,.0f} GiB of "
            f"memory here, got {options.clips:,}, {options.tests:,} and {options.width:,}: {needed / GIB:,.0f} GiB"
        )


def _measured(what: str, options: Any, where: dict[str, object], out: Path | None) -> dict[str, Any]:
    """One benchmark, printed, and written where that is asked for."""
    from pcm3.benchmark.tables import pretrain_tables, table
    from pcm3.device import choose_device
    from pcm3.files import write_json

    rows = _WAYS[what](options, choose_device(options.device))
    print(f"{what}: {where['cpu']}, {where['cores']} cores, {where['gpu'] or 'no GPU'}, torch {where['torch']}")
    print(pretrain_tables(rows) if what == "pretrain" else table(rows))
    result = {"benchmark": what, "machine": where, "rows": rows}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, result)
        print(f"written: {out}")
    return result


def _pretrain(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.pretrain import benchmark_pretrain, calls, entrants
    from pcm3.errors import ConfigError

    preset = replace(_preset(options), micro_batches=options.micro_batches)
    if options.peer is not None and options.micro_batches > 1:
        raise ConfigError(f"setting micro_batches: expected 1 beside --peer, got {options.micro_batches}")
    measured = entrants(preset, _widths(options), _precisions(options, device), options.peer)
    with _Bar("pretrain", calls(measured, options.steps, options.warm, options.memory)) as bar:
        speeds = benchmark_pretrain(measured, options.steps, options.warm, device, options.memory, bar.on_progress)
    rows: Rows = [asdict(row) for row in speeds]
    clips = options.epoch_of or (40091 if device.type == "cuda" else None)
    if clips is not None:
        for row, speed in zip(rows, speeds, strict=True):
            row |= {"epoch_of": clips, "hours_of_450_epochs": speed.hours(clips)}
    return rows


def _widths(options: Any) -> list[int]:
    return options.hidden_size or [128, 256, 1024]


def _encode(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.encode import benchmark_encode
    from pcm3.benchmark.pretrain import entrants

    timed = entrants(_preset(options), _widths(options), _precisions(options, device))
    asked = [entrant.settings for entrant in timed]
    with _Bar("encode", len(asked) * (options.warm + options.steps)) as bar:
        speeds = benchmark_encode(asked, options.steps, options.warm, device, bar.on_progress)
    return [asdict(row) for row in speeds]


def _linear(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.features import benchmark_linear
    from pcm3.settings.tasks import LinearSettings

    settings = LinearSettings() if options.epochs is None else LinearSettings(epochs=options.epochs)
    with _Bar("linear", 1 + settings.epochs * options.steps, unit="epoch") as bar:
        speeds = benchmark_linear(_sizes(options), settings, options.steps, device, bar.on_progress)
    return [asdict(row) for row in speeds]


def _retrieval(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.features import benchmark_retrieval

    with _Bar("retrieval", 3 * (options.warm + options.steps)) as bar:
        speeds = benchmark_retrieval(_sizes(options), options.steps, options.warm, device, bar.on_progress)
    return [asdict(row) for row in speeds]


def _embed(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.at_work import benchmark_embed
    from pcm3.benchmark.pretrain import entrants

    asked = [entrant.settings for entrant in entrants(_preset(options), options.hidden_size or [128, 256], ["32"])]
    asked = list({settings.encoder.hidden_size: settings for settings in asked}.values())
    with _Bar("embed", 3 * len(asked) * (options.warm + options.steps)) as bar:
        speeds = benchmark_embed(asked, options.steps, options.warm, device, bar.done)
    return [asdict(row) for row in speeds]


def _search(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.at_work import benchmark_search

    with _Bar("search", 2 * (options.warm + options.steps)) as bar:
        speed = benchmark_search(options.clips, options.width, options.steps, options.warm, device, bar.done)
    return [asdict(speed)]


def _live(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.live import benchmark_live

    with _Bar("live", 2 * len(_widths(options))) as bar:
        speeds = benchmark_live(_widths(options), options.streams, options.seconds, device, bar.on_progress)
    return [asdict(row) for row in speeds]


def _import(options: Any, device: Any) -> Rows:
    from pcm3.benchmark.importing import benchmark_import
    from pcm3.benchmark.machine import machine

    workers = options.workers or sorted({1, machine()["cores"]})
    with _Bar("import", (3 + len(workers)) * options.steps) as bar:
        speeds = benchmark_import(options.files, workers, options.steps, bar.done)
    return [asdict(row) for row in speeds]


_WAYS: dict[str, Callable[[Any, Any], Rows]] = {
    "pretrain": _pretrain,
    "encode": _encode,
    "linear": _linear,
    "retrieval": _retrieval,
    "embed": _embed,
    "search": _search,
    "import": _import,
    "live": _live,
}


def _precisions(options: Any, device: Any) -> list[str]:
    """The precisions that were asked for, with a word on what is slow here; or all that the device is quick at."""
    from pcm3.device import has_bf16, slow_bf16

    if options.precision is None:
        if has_bf16(device):
            return ["32", "bf16"]
        print("bf16 is skipped: it is not native to this machine (--precision 32 bf16 times it all the same)")
        return ["32"]
    for precision in options.precision:
        if (slow := slow_bf16(precision, device)) is not None:
            print(slow, flush=True)
    return list(options.precision)


def _preset(options: Any) -> Any:
    from pcm3.settings.presets import settings_of_preset

    return replace(settings_of_preset(options.preset), batch=options.batch)


def _sizes(options: Any) -> Any:
    from pcm3.benchmark.features import Sizes

    return Sizes(options.clips, options.tests, options.width, options.classes)


class _Bar:
    """A progress bar that says what is being measured."""

    def __init__(self, name: str, total: int, unit: str = "go") -> None:
        from tqdm import tqdm

        self._total, self._bar = total, tqdm(total=total, desc=name, unit=unit, delay=1, dynamic_ncols=True)
        self._begun = False

    def on_progress(self, what: str) -> None:
        """What comes next; what was told before is done."""
        self._bar.set_postfix_str(what)
        if self._begun:
            self.done()
        self._begun = True

    def done(self) -> None:
        """One more is done."""
        self._bar.update()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, kind: object, *raised: object) -> None:
        if kind is None:
            self._bar.update(self._total - self._bar.n)
        self._bar.close()
