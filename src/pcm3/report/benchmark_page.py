"""Logs of `pcm3 reproduce rows` as one page: what each row comes to on each store, over its base, and over nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pcm3.errors import DataError
from pcm3.report.all_stores import ALL, SCORE, over_all_stores
from pcm3.report.paired import Difference, base_of, difference, on_store, runs_of
from pcm3.report.published_order import Published, order_of
from pcm3.report.search import FEW_LABELS
from pcm3.report.tables import Cell, markdown_table
from pcm3.summary import mean_and_spread, mean_of

ONE_PERCENT, TEN_PERCENT = FEW_LABELS
METRICS = {
    "linear": "linear %",
    "retrieval": "1-NN %",
    ONE_PERCENT: "1 % of labels",
    TEN_PERCENT: "10 % of labels",
    **{
        f"{task}_top1_{what}": f"{what} occlusion %"
        for task in ("occlusion", "occlusion-cached")
        for what in ("spatial", "temporal")
    },
    "robustness_top1_harmed": "clips made worse %",
    **{f"{task}_map_a_voc": "detection mAP_a %" for task in ("detection", "detection-frozen")},
    **{f"{task}_mpjpe_mm": "prediction mm, less is better" for task in ("prediction", "prediction-frozen")},
}
"""Metric of a run → its column; one that a run lacks has an empty cell."""


def benchmark_page(
    logs: Mapping[str, Mapping[str, Any]],
    chosen: Mapping[str, str],
    pictures: Mapping[str, str],
    published: Sequence[Published] = (),
) -> str:
    """The page, as Markdown.

    Args:
        logs: name → what ``log.json`` of `pcm3 reproduce rows` holds.
        chosen: name → what the file of rows says of itself in its first comment: what was chosen on what.
        pictures: name → the file name of its picture (`draw_over_base`) beside the page.
        published: figures of a paper, whose order the rows are held to where they are of these methods.
    """
    lines = [
        "# Benchmark",
        "",
        "Written by `pcm3 reproduce page`, from logs of `pcm3 reproduce rows`, never by hand. Every row was pretrained "
        "without labels on the training side of a store and evaluated on its test side; nothing was chosen by these "
        "figures. Top-1 %: a linear head and 1-NN on frozen features, and logistic regression with few labels "
        f"(`semi-frozen`). Rows stand by the mean of linear and 1-NN. {_spreads(logs)}",
        "",
        *_overview(logs),
    ]
    for name, log in logs.items():
        lines += ["", f"## {name}", ""]
        if chosen.get(name):
            lines += [chosen[name], ""]
        lines += [f"{_method(log)}, {_length(log)}.", ""]
        if otherwise := log.get("not_the_protocols", []):
            lines += [f"Tasks otherwise than their protocols: {', '.join(otherwise)}.", ""]
        if failed := _failed(log):
            lines += [failed, ""]
        lines += [f"![By how much each row is over its base]({quote(pictures[name])})"]
        of_stores = _of_stores(log)
        store_by_store = [
            line
            for store, called in named_stores(log).items()
            for line in ("", f"### {name}: {called}", *of_stores[store])
        ]
        if len(log["stores"]) > 1:
            lines += ["", f"### {name}: {ALL}", *_of_stores(over_all_stores(log))[ALL], *_beyond(log)]
            store_by_store = _folded("Store by store", store_by_store)
        lines += [*store_by_store, *_orders(log, published)]
    return "\n".join(lines) + "\n"


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines that a page of Markdown shows once their title is clicked; elsewhere they stand as they are."""
    return ["", "<details>", f"<summary>{title}</summary>", *lines, "", "</details>"]


def _spreads(logs: Mapping[str, Mapping[str, Any]]) -> str:
    """What the figures and differences are of; of one seed there is no spread."""
    if all(log["rungs"][-1]["seeds"] == 1 for log in logs.values()):
        return "Figures are of one seed; differences are to the run with the same seed."
    return (
        "Mean ± standard deviation over the seeds; differences are means over the seeds, each to the run with the same "
        "seed, ± half of their 95 % interval (Student's t)."
    )


def _overview(logs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each log: how much was compared, and its best row beside its base."""
    rows: list[list[Cell]] = []
    for name, log in logs.items():
        runs, of = runs_of(log), runs_of(over_all_stores(log))
        base = base_of(log)
        hours = sum(run.get("seconds", 0.0) for of_title in runs.values() for run in of_title) / 3600
        compared: list[Cell] = [
            f"[{name}](#{_anchor(name)})",
            len(log["standing"]),
            ", ".join(named_stores(log).values()),
            f"{hours:.1f}",
        ]
        scored = {title: of[title] for title in log["standing"] if any(SCORE in run for run in of[title])}
        if not scored:  # nothing has finished on every store
            rows.append([*compared, "", "", "", ""])
            continue
        best = max(scored, key=lambda title: mean_of([run[SCORE] for run in scored[title] if SCORE in run]))
        gain = "" if best == base else str(difference(of[best], of[base], SCORE) or "")
        scores = [_over_seeds(of[title], SCORE) for title in (best, base)]
        rows.append([*compared, title_of(log, best), *scores, gain])
    heads = ["", "rows", "stores", "hours of training", "best row", "its score", "the base's", "over it"]
    words = "The score: mean of linear and 1-NN, over all stores. Hours: of pretraining, all rows and seeds together."
    return [markdown_table(heads, rows), "", words]


def _anchor(heading: str) -> str:
    """What a link to a heading says, where pages of Markdown are shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _failed(log: Mapping[str, Any]) -> str:
    """Which runs failed, and so are in no figure; nothing where none did."""
    of_row: dict[tuple[str, str], list[int]] = {}
    for title, runs in runs_of(log).items():
        for run in runs:
            if "failed" in run:
                of_row.setdefault((title, run["store"]), []).append(run["seed"])
    called = named_stores(log)
    rows = [
        f"{title_of(log, title)} on {called[store]} with seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        for (title, store), seeds in of_row.items()
    ]
    return f"Failed, and in no figure: {'; '.join(rows)}." if rows else ""


def _of_stores(log: Mapping[str, Any]) -> dict[str, list[str]]:
    """The tables of each store: what everything came to, and differences, by what is said of them."""
    differences = {
        "Over the base:": over_base(log),
        "Over its own encoder untrained, what each has learned:": over_untrained(log),
    }
    return {store: _of_store(log, store, differences) for store in log["stores"]}


def _of_store(
    log: Mapping[str, Any], store: str, differences: Mapping[str, Mapping[tuple[str, str], Mapping[str, Difference]]]
) -> list[str]:
    there, titles = _metrics(log, store), standing(log, store)
    heads = [METRICS[metric] for metric in there]
    lines = ["", markdown_table(["", *heads, "s a run"], _absolute(log, store, titles, there))]
    for words, by_row in differences.items():
        rows = [
            [title_of(log, title), *(str(of.get(metric, "")) for metric in there)]
            for title in titles
            if (of := by_row.get((title, store)))
        ]
        lines += ["", words, "", markdown_table(["", *heads], rows)] if rows else []
    if store != ALL and _few_labels_are_the_same(log, store):
        lines += ["", "1 % and 10 % of the labels are the same clips here: at least one of each class is taken."]
    return lines


def _few_labels_are_the_same(log: Mapping[str, Any], store: str) -> bool:
    """Whether all runs came to the same with 1 % and 10 % of the labels, as where a class has few clips."""
    runs = [run for of_title in runs_of(log).values() for run in on_store(of_title, store)]
    pairs = [(run[ONE_PERCENT], run[TEN_PERCENT]) for run in runs if ONE_PERCENT in run and TEN_PERCENT in run]
    return bool(pairs) and all(one == ten for one, ten in pairs)


def _beyond(log: Mapping[str, Any]) -> list[str]:
    """How many of a row's figures are better or worse than the base's beyond the interval; nothing of single seeds."""
    rows: list[list[Cell]] = []
    gains = over_base(log)
    alike = [store for store in log["stores"] if _few_labels_are_the_same(log, store)]
    for title in standing(over_all_stores(log), ALL):
        of_row = [
            (-gain.mean if metric.endswith("_mm") else gain.mean, gain.half)
            for store in log["stores"]
            for metric, gain in gains.get((title, store), {}).items()
            if gain.half is not None and not (metric == TEN_PERCENT and store in alike)
        ]
        better = sum(mean > half for mean, half in of_row)
        worse = sum(-mean > half for mean, half in of_row)
        rows += [[title_of(log, title), better, worse, len(of_row)]] if of_row else []
    words = (
        "Of a row's figures, store by store and column by column (below), those that are better than the base's beyond "
        "the interval, and those that are worse:"
    )
    return ["", words, "", markdown_table(["", "better", "worse", "of"], rows)] if rows else []


def _length(log: Mapping[str, Any]) -> str:
    """How long the runs are, and how many."""
    rung = log["rungs"][-1]
    low, high = rung["steps"]
    words = f"{low:,} steps" if low == high else f"{low:,} to {high:,} steps"
    if rung.get("minutes"):
        words += f" (as many as go into {rung['minutes']:g} minutes)"
    if log.get("learned"):
        words += f", learned from {log['learned']} for all stores"
    return f"{words}, {rung['seeds']} seed{'s' * (rung['seeds'] > 1)}"


def _orders(log: Mapping[str, Any], published: Sequence[Published]) -> list[str]:
    """How far the rows stand in the order that a paper has; nothing where fewer than three of them are in it."""
    rows = [
        [of.title, called, *order.cells()]
        for of in published
        for store, called in named_stores(log).items()
        if (order := order_of(log, store, of)) is not None
    ]
    if not rows:
        return []
    words = (
        "The order of the paper, pair by pair: of so many pairs of methods, how many stand as published, and of which "
        "that is beyond the interval; Kendall's tau is 1 where all do, and -1 where all stand the other way. The "
        "paper's figures are of NTU RGB+D 60, at the published sizes."
    )
    heads = ["of the paper", "store", "pairs", "as published", "beyond", "the other way", "beyond", "tau"]
    return ["", words, "", markdown_table(heads, rows)]


def is_log_of_rows(log: Any) -> bool:
    """Whether a ``log.json`` is of `pcm3 reproduce rows`, and whole; a search, which held people out, is not."""
    try:
        if log["held_out"] != 0:
            return False
        benchmark_page({"": log}, {}, {"": ""})
    except (LookupError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return False
    return True


def first_comment(rows: Path) -> str:
    """What a file of rows says of itself before its first setting; nothing where there is no such file.

    Raises:
        DataError: it is not text in UTF-8.
    """
    if not rows.is_file():
        return ""
    try:
        lines = rows.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{rows}: expected text in UTF-8, got other bytes: save it as UTF-8") from None
    comment = [
        line.lstrip("# ") for line in lines[: next((at for at, line in enumerate(lines) if line[:1] != "#"), None)]
    ]
    return " ".join(comment)


def over_base(log: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Difference]]:
    """(row, store) → metric → its difference to the base, over the seeds that both have."""
    base = base_of(log)
    return _differences(log, {title: base for title in runs_of(log) if title != base and title not in log["baselines"]})


def over_untrained(log: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Difference]]:
    """(row, store) → metric → its difference to its encoder with fresh weights; nothing of a log that names none."""
    titles = [title for title in runs_of(log) if title not in log["baselines"]]
    beside = {title: log["candidates"][title].get("untrained") for title in titles}
    return _differences(log, {title: untrained for title, untrained in beside.items() if untrained is not None})


def _differences(log: Mapping[str, Any], beside: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Difference]]:
    """Rows, each over the row or baseline that it stands beside."""
    runs = runs_of(log)
    return {
        (title, store): {
            metric: gain
            for metric in METRICS
            if (gain := difference(on_store(runs[title], store), on_store(runs[other], store), metric)) is not None
        }
        for title, other in beside.items()
        for store in log["stores"]
    }


def _absolute(log: Mapping[str, Any], store: str, titles: Sequence[str], metrics: Sequence[str]) -> list[list[str]]:
    """What every row and baseline came to on a store."""
    runs = runs_of(log)
    return [
        [title_of(log, title), *(_over_seeds(finished, metric) for metric in metrics), _seconds(finished)]
        for title in [*titles, *log["baselines"]]
        if (finished := [run for run in on_store(runs[title], store) if "failed" not in run])
    ]


def standing(log: Mapping[str, Any], store: str) -> list[str]:
    """The titles of base and rows, the best on a store first: by the mean of linear and 1-NN; failed ones last."""

    def score(title: str) -> float:
        finished = [run for run in on_store(runs[title], store) if "failed" not in run]
        return mean_of([run["linear"] + run["retrieval"] for run in finished]) if finished else -math.inf

    runs = runs_of(log)
    return sorted((title for title in runs if title not in log["baselines"]), key=score, reverse=True)


def title_of(log: Mapping[str, Any], title: str) -> str:
    """A title without its group, where all rows are of one."""
    groups = {candidate["group"] for candidate in log["candidates"].values() if candidate["group"]}
    return title.replace(f"{groups.pop()}: ", "") if len(groups) == 1 else title


def _over_seeds(runs: Sequence[Mapping[str, Any]], metric: str) -> str:
    values = [run[metric] for run in runs if metric in run]
    return mean_and_spread(values) if values else ""


def _seconds(runs: Sequence[Mapping[str, Any]]) -> str:
    values = [run["seconds"] for run in runs if "seconds" in run]
    return f"{mean_of(values):.0f}" if values else ""


def _metrics(log: Mapping[str, Any], store: str) -> list[str]:
    """Those that any run on the store has."""
    runs = [run for of_title in runs_of(log).values() for run in on_store(of_title, store)]
    return [metric for metric in METRICS if any(metric in run for run in runs)]


def named_stores(log: Mapping[str, Any]) -> dict[str, str]:
    """What each store is called: its data set, where no other store is of the same."""
    datasets = [about["kind"] for about in log["stores"].values()]
    return {
        name: about["kind"] if datasets.count(about["kind"]) == 1 else name for name, about in log["stores"].items()
    }


def _method(log: Mapping[str, Any]) -> str:
    encoder = log["base"]["encoder"]
    return f"method {log['base']['method']}, encoder {encoder['kind']} of width {encoder['hidden_size']}"
