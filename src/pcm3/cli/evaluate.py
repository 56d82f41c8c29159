"""``pcm3 evaluate TASK --model RUN --store STORE --protocol xsub``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TASK_WORDS = {
    "linear": "a linear head on frozen features, training crops encoded anew each epoch",
    "linear-cached": "the same on features of the centre crop, taken once: seconds instead of minutes",
    "retrieval": "each test clip takes the label of its nearest training clip (1-NN, cosine)",
}


def add_arguments(parser: Any, words: list[str]) -> None:
    """Adds the command's arguments."""
    from pcm3.config import Device, LinearSettings

    told = "; ".join(f"{name}: {what}" for name, what in TASK_WORDS.items())
    parser.add_argument("task", type=str, help=told)
    parser.add_argument("--model", type=Path, nargs="+", required=True,
                        help="run folder or checkpoint (the authors' too); several: the mean over them")  # fmt: skip
    parser.add_argument("--store", type=Path, required=True, help="labelled clips")
    parser.add_argument("--protocol", type=str, default="auto", help="the split; 'auto' is the store's first")
    parser.add_argument("--seeds", type=int, default=3, help="heads for each encoder, and untrained encoders")
    parser.add_argument("--device", type=Device, default="auto", help="where to compute")
    parser.add_argument("--out", type=Path, default=None, help="folder for the results; null for results/ in the run")
    parser.add_argument("--without_leaks", "--without-leaks", type=bool, default=False,
                        help="leave test clips out that are copies of training clips")  # fmt: skip
    parser.add_class_arguments(LinearSettings, "head")


def run(options: Any) -> tuple[int, dict[str, Any]]:
    """Evaluates, prints the table, writes it with a confusion matrix beside it."""
    from difflib import get_close_matches

    from tqdm import tqdm

    from pcm3.config import LinearSettings
    from pcm3.data.store import ClipStore
    from pcm3.errors import ConfigError
    from pcm3.report.results import write_evaluation
    from pcm3.report.tables import text_table
    from pcm3.tasks.evaluate import evaluate, work

    if options.task not in TASK_WORDS:
        near = get_close_matches(options.task, TASK_WORDS, n=1)
        raise ConfigError(
            f"expected a task ({', '.join(TASK_WORDS)}), got '{options.task}'"
            + (f": did you mean {near[0]}?" if near else "")
        )
    if options.seeds < 1:
        raise ConfigError(f"setting seeds: expected at least 1, got {options.seeds}")
    store = ClipStore.open(options.store)
    protocol = next(iter(store.protocols), "auto") if options.protocol == "auto" else options.protocol
    head = LinearSettings(**options.head.as_dict())
    head.check()

    def tell(model: str) -> None:
        bar.set_postfix_str(model)
        bar.update()

    with tqdm(
        total=work(options.task, len(options.model), options.seeds), desc=options.task, unit="head", delay=1
    ) as bar:
        found = evaluate(
            options.task,
            options.model,
            store,
            protocol,
            head,
            options.seeds,
            options.device,
            tell,
            without_leaks=options.without_leaks,
        )
    first = options.model[0]
    folder = options.out or (first.parent if first.is_file() else first) / "results"
    written = write_evaluation(found, store, folder)
    print(
        f"{found.task}, {store.kind} {found.protocol}: {found.train_clips:,} training clips, {found.test_clips:,} test"
    )
    print(text_table(found.HEADER, found.table()))
    for note in found.notes:
        print(f"note: {note}")
    print(f"written: {', '.join(str(path) for path in written)}")
    return 0, found.to_dict() | {"written": [str(path) for path in written]}
