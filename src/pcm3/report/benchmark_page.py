"""Logs of `pcm3 reproduce rows` as one page with a picture: what each row comes to on each store, and over its base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pcm3.report.paired import Difference, base_of, difference, on_store, runs_of
from pcm3.report.pictures import INK, TRAINED, save_figure
from pcm3.report.tables import markdown_table
from pcm3.summary import mean_and_spread, mean_of

METRICS = {
    "linear": "linear %",
    "retrieval": "1-NN %",
    "top1_1pc_stratified": "1 % of labels",
    "top1_10pc_stratified": "10 % of labels",
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


def benchmark_page(logs: Mapping[str, Mapping[str, Any]], chosen: Mapping[str, str], picture: str) -> str:
    """The page, as Markdown.

    Args:
        logs: name → what ``log.json`` of `pcm3 reproduce rows` holds.
        chosen: name → what the file of rows says of itself in its first comment: what was chosen on what.
        picture: the file name of the picture beside the page.
    """
    lines = [
        "# Benchmark",
        "",
        "Written by `pcm3 reproduce page`, from logs of `pcm3 reproduce rows`, never by hand. Every row was pretrained "
        "without labels on the training side of a store and evaluated on its test side; nothing was chosen by these "
        "figures. Top-1 %: a linear head and 1-NN on frozen features, and logistic regression with few labels "
        "(`semi-frozen`). Mean ± standard deviation over the seeds; over the base: mean of the differences to the base "
        "with the same seed ± half of its 95 % interval (Student's t).",
        "",
        f"![By how much each row is over its base]({picture})",
    ]
    for name, log in logs.items():
        rung, there, called = log["rungs"][-1], _metrics(log), _store_names(log)
        low, high = rung["steps"]
        steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        otherwise = log.get("not_the_protocols", [])
        if rung.get("minutes"):
            steps += f" (as many as go into {rung['minutes']:g} minutes)"
        if log.get("learned"):
            steps += f", all learned from {log['learned']}"
        lines += [
            "", f"## {name}", "",
            *([chosen[name], ""] if chosen.get(name) else []),
            f"{_method(log)}, {steps} steps, {rung['seeds']} seed{'s' * (rung['seeds'] > 1)}.", "",
            *([f"Tasks otherwise than their protocols: {', '.join(otherwise)}.", ""] if otherwise else []),
            markdown_table(["", "store", *(METRICS[metric] for metric in there), "s a run"], _absolute(log)), "",
            "Over the base:", "",
            markdown_table(["", "store", *(METRICS[metric] for metric in there)], [
                [title, called[store], *(str(of.get(metric, "")) for metric in there)]
                for (title, store), of in over_base(log).items()
            ]),
        ]  # fmt: skip
        if learned := over_untrained(log):
            lines += [
                "", "Over its own encoder untrained: what each has learned.", "",
                markdown_table(["", "store", *(METRICS[metric] for metric in there)], [
                    [title, called[store], *(str(of.get(metric, "")) for metric in there)]
                    for (title, store), of in learned.items()
                ]),
            ]  # fmt: skip
    return "\n".join(lines) + "\n"


def is_log_of_rows(log: Any) -> bool:
    """Whether a ``log.json`` is of `pcm3 reproduce rows`, and whole; a search, which held people out, is not."""
    try:
        if log["held_out"] != 0:
            return False
        benchmark_page({"": log}, {}, "")
    except (LookupError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return False
    return True


def first_comment(rows: Path) -> str:
    """What a file of rows says of itself before its first setting; nothing where there is no such file."""
    if not rows.is_file():
        return ""
    lines = rows.read_text(encoding="utf-8").splitlines()
    said = [line.lstrip("# ") for line in lines[: next((at for at, line in enumerate(lines) if line[:1] != "#"), None)]]
    return " ".join(said)


def over_base(log: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Difference]]:
    """(row, store) → metric → its difference to the base, over the seeds that both have."""
    base = base_of(log)
    return _over(log, {title: base for title in runs_of(log) if title != base and title not in log["baselines"]})


def over_untrained(log: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Difference]]:
    """(row, store) → metric → its difference to its encoder with fresh weights; nothing of a log that names none."""
    titles = [title for title in runs_of(log) if title not in log["baselines"]]
    beside = {title: log["candidates"][title].get("untrained") for title in titles}
    return _over(log, {title: untrained for title, untrained in beside.items() if untrained is not None})


def _over(log: Mapping[str, Any], beside: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Difference]]:
    """Rows, each over the row or baseline that it stands beside."""
    runs = runs_of(log)
    return {
        (title, store): {
            metric: over
            for metric in METRICS
            if (over := difference(on_store(runs[title], store), on_store(runs[other], store), metric)) is not None
        }
        for title, other in beside.items()
        for store in log["stores"]
    }


def draw_over_base(logs: Mapping[str, Mapping[str, Any]], picture: Path) -> None:
    """A panel a metric: every row's difference to its base on every store, with its interval."""
    rows = [
        (f"{title}, {_store_names(log)[store]} ({name})", of)
        for name, log in logs.items()
        for (title, store), of in over_base(log).items()
    ]
    there = [metric for metric in METRICS if any(metric in _metrics(log) for log in logs.values())]
    figure = Figure(figsize=(max(10, 3 + 1.8 * len(there)), 1.2 + 0.3 * max(len(rows), 3)), layout="constrained")
    (panels,) = figure.subplots(1, len(there), sharex=True, sharey=True, squeeze=False)
    for axes, metric in zip(panels, there, strict=True):
        axes.axvline(0, color=INK, lw=0.8)
        for at, (_, of) in enumerate(rows):
            if metric in of:
                axes.errorbar(of[metric].mean, at, xerr=of[metric].half, fmt="o", ms=5, color=TRAINED, capsize=2)
        axes.set_title(METRICS[metric], fontsize=9)
        axes.set_xlabel("mm over the base" if metric.endswith("_mm") else "points over the base", fontsize=8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.15)
    panels[0].set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=7.5)
    panels[0].set_ylim(max(len(rows), 1) - 0.5, -0.5)
    save_figure(figure, picture)


def _absolute(log: Mapping[str, Any]) -> list[list[str]]:
    """What every row and baseline came to on every store."""
    return [
        [title, _store_names(log)[store], *(_over_seeds(runs, metric) for metric in _metrics(log)), _seconds(runs)]
        for title, of_title in runs_of(log).items()
        for store in log["stores"]
        if (runs := [run for run in on_store(of_title, store) if "failed" not in run])
    ]


def _over_seeds(runs: Sequence[Mapping[str, Any]], metric: str) -> str:
    values = [run[metric] for run in runs if metric in run]
    return mean_and_spread(values) if values else ""


def _seconds(runs: Sequence[Mapping[str, Any]]) -> str:
    values = [run["seconds"] for run in runs if "seconds" in run]
    return f"{mean_of(values):.0f}" if values else ""


def _metrics(log: Mapping[str, Any]) -> list[str]:
    """Those that any run of the log has."""
    return [metric for metric in METRICS if any(metric in run for runs in runs_of(log).values() for run in runs)]


def _store_names(log: Mapping[str, Any]) -> dict[str, str]:
    """What each store is called: its data set, where no other store is of the same."""
    kinds = [about["kind"] for about in log["stores"].values()]
    return {name: about["kind"] if kinds.count(about["kind"]) == 1 else name for name, about in log["stores"].items()}


def _method(log: Mapping[str, Any]) -> str:
    encoder = log["base"]["encoder"]
    return f"method {log['base']['method']}, encoder {encoder['kind']} of width {encoder['hidden_size']}"
