"""``pcm3 demo``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pcm3.cli.places import check_folder
from pcm3.errors import command, install, program
from pcm3.limits import MOST, check_range
from pcm3.summary import mean_and_spread

MINUTES = 4.0
"""Of pretraining: with all else the demo takes less than eight on two cores."""


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where everything goes")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of pretraining, where no steps are given")
    parser.add_argument("--steps", type=int | None, default=None,
                        help="pretraining steps; null: as many as fit into the minutes")  # fmt: skip
    parser.add_argument("--encoder.hidden_size", type=int, default=0,
                        help="width of each half of the encoder; 0: chosen from the number of clips")  # fmt: skip
    parser.add_argument("--subjects", type=int, default=10, help="simulated people")
    parser.add_argument("--repetitions", type=int, default=2, help="times that everyone does each action")
    parser.add_argument("--actions", type=int, default=20, help="the first so many; 29 and later are done by two")
    parser.add_argument("--seed", type=int, default=0, help="of the people and of the training")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Runs the demo, and says where its page is."""
    from pcm3.experiments.demo import METRICS, demo
    from pcm3.report.tables import text_table
    from pcm3.settings.presets import settings_of_preset
    from pcm3.settings.pretrain import changed
    from pcm3.tasks.result_table import header

    asked = {
        "steps": options.steps,
        "minutes": options.minutes if options.steps is None else None,
        "encoder.hidden_size": options["encoder.hidden_size"],
        "seed": options.seed,
        "protocol": "xsub",
    }
    settings = changed(settings_of_preset("small"), asked)
    settings.check()
    check_range("minutes", options.minutes, 0, MOST)
    check_folder("--folder", options.folder)

    def log(line: str) -> None:
        print(line, flush=True)

    result = demo(
        options.folder,
        settings,
        log,
        subjects=options.subjects,
        repetitions=options.repetitions,
        actions=options.actions,
        seed=options.seed,
    )
    for task, evaluation in result["tasks"].items():
        counts = (
            f"{evaluation['train_clips']:,} training clips, {evaluation['test_clips']:,} test clips of other people"
        )
        print(f"\n{task}: {counts}")
        rows = [_cells(row) for row in evaluation["rows"]]
        print(text_table(header(METRICS)[: len(rows[0])], rows))
    print(f"\nthe page: {result['report']}   ({result['seconds'] / 60:.1f} minutes in all)")
    explore = command(program("pcm3"), "explore", options.folder / "run", options.folder / "store")
    print(f"to look at the clips themselves: {explore}   (--export DIR: a copy for a web host)")
    if any(find_spec(library) is None for library in ("fastapi", "uvicorn")):
        print(f"which needs two more libraries: {install('web')}")
    sys.stdout.flush()
    return 0, result


def _cells(row: dict[str, Any]) -> list[str]:
    best = [f"{row['best_top1']:.1f}"] if "best_top1" in row else []  # of tasks that have epochs
    return [row["name"], mean_and_spread(row["values"]), *best]
