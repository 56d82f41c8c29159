"""``pcm3 benchmark WHAT``."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

WHAT = ("pretrain", "import", "leaks")


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    from pcm3.config import Device

    parser.add_argument(
        "what",
        type=str,
        help="pretrain (training steps), import (NTU RGB+D files) or leaks (how many planted copies the audit finds)",
    )
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 256, 1024], help="widths to time")
    parser.add_argument(
        "--precision", type=Literal["32", "bf16"], nargs="+", default=["32", "bf16"], help="32, bf16 or both"
    )
    parser.add_argument("--preset", type=str, default="released", help="the rest of the settings")
    parser.add_argument("--batch", type=int, default=64, help="clips a step")
    parser.add_argument("--steps", type=int, default=3, help="steps measured, after a warm-up; import: turns")
    parser.add_argument("--device", type=Device, default="auto", help="where to compute")
    parser.add_argument("--files", type=int, default=2000, help="import, leaks: about how many recordings")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=None, help="import: numbers of processes (default: 1, and all cores)"
    )
    parser.add_argument("--out", type=Path, default=None, help="also write the result to this JSON file")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Measures and prints a table."""
    from pcm3.benchmark import machine
    from pcm3.errors import ConfigError, not_one_of
    from pcm3.files import write_json
    from pcm3.report.tables import text_table

    if options.what not in WHAT:
        raise ConfigError(not_one_of("what to measure", options.what, WHAT))
    for name in ("steps", "files"):
        if getattr(options, name) < 1:
            raise ConfigError(f"setting {name}: expected at least 1, got {getattr(options, name)}")
    rows = {"pretrain": _pretrain, "import": _import, "leaks": _leaks}[options.what](options)
    where = machine()
    told = {"benchmark": options.what, "machine": where, "rows": rows}
    print(f"{where['cpu']}, {where['cores']} cores, {where['gpu'] or 'no GPU'}, torch {where['torch']}")
    print(text_table(list(rows[0]), [list(row.values()) for row in rows]))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.out, told)
        print(f"written: {options.out}")
    return 0, told


def _pretrain(options: Any) -> list[dict[str, Any]]:
    from tqdm import tqdm

    from pcm3.benchmark import benchmark_pretrain
    from pcm3.cli.parse import settings_of_preset

    preset = settings_of_preset(options.preset)
    asked = []
    for hidden, precision in product(options.hidden, options.precision):
        prompts = replace(preset.prompts, width=max(min(preset.prompts.width, hidden), 1))
        settings = replace(preset, hidden=hidden, precision=precision, batch=options.batch, prompts=prompts)
        settings.check()
        asked.append(settings)
    rows = []
    with tqdm(total=len(asked) * (options.steps + 1), desc="pretrain", unit="step", delay=1) as bar:
        for settings in asked:
            bar.set_postfix_str(f"hidden {settings.hidden}, {settings.precision}")
            rows.append(asdict(benchmark_pretrain(settings, options.steps, bar.update, options.device)))
    return rows


def _import(options: Any) -> list[dict[str, Any]]:
    from tqdm import tqdm

    from pcm3.benchmark import machine
    from pcm3.data.import_timing import benchmark_import

    workers = options.workers or sorted({1, machine()["cores"]})
    with tqdm(total=(3 + len(workers)) * options.steps, desc="import", unit="run", delay=1) as bar:
        return [asdict(row) for row in benchmark_import(options.files, workers, options.steps, bar.update)]


def _leaks(options: Any) -> list[dict[str, Any]]:
    import tempfile

    from pcm3.data.audit.leak_benchmark import leak_benchmark
    from pcm3.data.importer import import_recordings
    from pcm3.data.simulate import ACTIONS, simulate
    from pcm3.data.store import ClipStore

    with tempfile.TemporaryDirectory(prefix="pcm3-benchmark-") as folder:
        raw, store = Path(folder, "raw"), Path(folder, "store")
        # Four subjects are the fewest of which some train and some test.
        simulate(raw, subjects=max(options.files // (4 * 3 * len(ACTIONS)), 4), repetitions=4, cameras=3)
        import_recordings("ntu60", raw, store)
        found = leak_benchmark(ClipStore.open(store), "xsub", max(options.files // 200, 1), Path(folder, "planted"))
    same = {"clips": found.clips, "false_pairs": len(found.false_pairs), "seconds": round(found.seconds, 1)}
    return [asdict(row) | same for row in found.rows]
