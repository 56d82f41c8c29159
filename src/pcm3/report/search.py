"""What a search found: a page with a table for each question, and one picture of all differences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcm3.report.paired import base_of, difference, on_store, runs_of
from pcm3.report.pictures import INK, OTHER, PALE, TRAINED, save_figure
from pcm3.report.tables import markdown_table
from pcm3.summary import mean_and_spread, mean_of
from pcm3.tasks.result_table import header

METRICS = ("linear", "retrieval")
FEW_LABELS = ("top1_1pc_stratified", "top1_10pc_stratified")
HEADS = ("linear %", "1-NN %", "score %", "over the base", "s a run")


def search_page(report: Mapping[str, Any]) -> str:
    """The log of a search (`tune`) as Markdown."""
    stores = ", ".join(report["stores"])
    several = any(rung["seeds"] > 1 for rung in report["rungs"])
    spread = " and seeds, ± its standard deviation over the seeds" if several else ", of one seed"
    interval = ", ± half of its 95 % interval (Student's t)" if several else ""
    lines = [
        f"# {_what(report)} on {stores}",
        "",
        f"{_splits(report)} The score is the mean of linear evaluation and 1-NN (last epoch) over stores{spread}. "
        "Differences are to the base in the same rung, over the same subjects "
        "and seeds; different rungs do not compare.",
        "",
        markdown_table(
            ["rung", "steps a run", "seeds", "candidates"],
            [
                [f"{number}", _steps(rung), rung["seeds"], len(rung["candidates"])]
                for number, rung in enumerate(report["rungs"], 1)
            ],
        ),
    ]
    if not report["finished"]:
        lines += ["", "The search is not finished."]
    lines += ["", "## How they stand in the last rung", "", markdown_table(*standing_table(report))]
    if report["winner"] is not None:
        lines += ["", f"The best: **{report['winner']}**; its settings are in `winner.yaml`."]
    if differences := store_differences(report):
        lines += [
            "", "## Over the base, store by store", "",
            f"Mean over the seeds of the difference to the base with the same seed{interval}.",
            "", markdown_table(*differences),
        ]  # fmt: skip
    groups: dict[str, list[str]] = {}
    for title, candidate in report["candidates"].items():
        groups.setdefault(candidate["group"], []).append(title)
    (base,) = groups.pop("")
    for group, titles in groups.items():
        rows = [
            [candidate["name"] or group, _changes(candidate), str(candidate["rung"]), *_cells(candidate)]
            for candidate in (report["candidates"][title] for title in titles)
        ]
        lines += ["", f"## {group}", "", markdown_table(["", "changed", "rung", *HEADS], rows)]
    about = report["candidates"][base]["runs"]
    if all("failed" not in run for rung in about for run in rung):
        lines += ["", "## The base, rung by rung", "", markdown_table(["rung", "linear %", "1-NN %"], [
            [str(number), *(f"{np.mean([run[metric] for run in rung]):.1f}" for metric in METRICS)]
            for number, rung in enumerate(about, 1)
        ])]  # fmt: skip
    if few := few_labels_table(report):
        lines += [
            "", "## With few labels", "",
            "Of the same encoders, logistic regression on frozen features with a share of the training labels of each "
            f"class (task `semi-frozen`): mean over the seeds, and over the base with the same seed{interval}.",
            "", markdown_table(["", "store", "1 % of labels", "over the base", "10 %", "over the base"], few),
        ]  # fmt: skip
    if report.get("tasks"):
        lines += [
            "", "## Tasks asked for", "",
            "By the settings given; linear and 1-NN above are `linear-cached` and `retrieval` by their defaults.",
        ]  # fmt: skip
    for task in report.get("tasks", []):
        lines += ["", f"### {task}", "", markdown_table(*task_table(report, task))]
    if report.get("not_the_protocols"):
        lines += ["", f"Not the protocols' settings: {', '.join(report['not_the_protocols'])}."]
    return "\n".join(lines) + "\n"


def task_table(report: Mapping[str, Any], task: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a further task: mean ± sd of every metric, of each candidate and baseline on each store."""
    runs = runs_of(report)
    there = list(dict.fromkeys(
        name for of_title in runs.values() for run in of_title for name in run if name.startswith(f"{task}_")
    ))  # fmt: skip
    rows = []
    for title, of_title in runs.items():
        for store in report["stores"]:
            mine = [run for run in on_store(of_title, store) if there and there[0] in run]
            if mine:
                rows.append([title, store, *(mean_and_spread([run[name] for run in mine]) for name in there)])
    return ["", "store", *header([name.removeprefix(f"{task}_") for name in there])[1:]], rows


def _what(report: Mapping[str, Any]) -> str:
    return "A search for a recipe" if _held_out(report) else "Rows compared"


def _held_out(report: Mapping[str, Any]) -> int:
    """Training subjects that each seed held out; older searches do not tell that it was one."""
    return int(report.get("held_out", 1))


def _splits(report: Mapping[str, Any]) -> str:
    """Who was learned from, and who tested."""
    count = _held_out(report)
    if count == 0:
        of = f" of {report['learned']}" if report.get("learned") else ""
        return (
            f"Learned from the training side{of}, evaluated on the test side: nothing may be chosen by these figures."
        )
    single = count == 1
    return (
        f"Learned from the clips of the training subjects but {'one' if single else count}, evaluated on the "
        f"clips of {'that one' if single else 'those'}; {'which one is' if single else 'who are'} held out changes "
        "with the seed. Clips of the test side were not looked at."
    )


def store_differences(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """Head and rows of the last rung's differences to the base with intervals; None where there is nothing to tell."""
    heads = ["", "score, all", *(f"{store}, {name}" for store in report["stores"] for name in ("linear", "1-NN"))]
    rows = []
    for title in report["standing"]:
        candidate = report["candidates"][title]
        if candidate["group"] and "store_differences" in candidate:
            of_stores = [candidate["store_differences"][store][of] for store in report["stores"] for of in METRICS]
            pairs = [(candidate["difference"], candidate["difference_interval"])]
            pairs += [(difference["mean"], difference["interval"]) for difference in of_stores]
            rows.append([title, *(_with_spread(mean, interval, "+") for mean, interval in pairs)])
    return (heads, rows) if rows else None


def few_labels_table(report: Mapping[str, Any]) -> list[list[str]]:
    """Of each candidate of the last rung, and each baseline, a row for each store; none of an older search."""
    base, runs = base_of(report), runs_of(report)
    if not all(metric in run for of_title in runs.values() for run in of_title for metric in FEW_LABELS):
        return []
    rows = []
    for title, of_title in runs.items():
        for store in report["stores"]:
            mine, others = on_store(of_title, store), on_store(runs[base], store)
            cells = [title, store]
            for metric in FEW_LABELS:
                gain = None if title == base else difference(mine, others, metric)
                cells += [f"{mean_of([run[metric] for run in mine]):.1f}", "" if gain is None else str(gain)]
            rows.append(cells)
    return rows


def standing_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the last rung, the best first, and of the baselines; the score of each store apart."""
    stores = list(report["stores"]) if len(report["stores"]) > 1 else []
    rows = [
        [title, *_cells(candidate), *(f"{candidate['stores'][name]:.1f}" for name in stores)]
        for title, candidate in [
            *((title, report["candidates"][title]) for title in report["standing"]),
            *report["baselines"].items(),
        ]
    ]
    return ["", *HEADS, *stores], rows


def _steps(rung: Mapping[str, Any]) -> str:
    low, high = rung["steps"]
    minutes = "" if rung["minutes"] is None else f" ({rung['minutes']:g} minutes)"
    return f"{low:,}{minutes}" if low == high else f"{low:,} to {high:,}{minutes}"


def _cells(candidate: Mapping[str, Any]) -> list[str]:
    """The cells under `HEADS`."""
    if "failed" in candidate:
        return ["failed", "", "", "", ""]
    return [
        f"{candidate['linear']:.1f}",
        f"{candidate['retrieval']:.1f}",
        _with_spread(candidate["score"], candidate["spread"]),
        _with_spread(candidate.get("difference"), candidate.get("difference_spread"), "+"),
        "" if candidate["seconds"] is None else f"{candidate['seconds']:.0f}",
    ]


def _with_spread(value: float | None, spread: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    return f"{value:{sign}.1f}" + ("" if spread is None else f" ± {spread:.1f}")


def _changes(candidate: Mapping[str, Any]) -> str:
    words = [f"preset {candidate['preset']}"] if candidate.get("preset") else []
    changes = candidate["changes"].items()
    return ", ".join(words + [f"{name} {_plain(now)} ({_plain(before)})" for name, (before, now) in changes])


def _plain(value: Any) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


def differences(report: Mapping[str, Any], picture: Path) -> None:
    """Every candidate's score over the base's in the last rung that it reached, under the heading of its question."""
    rows: list[tuple[str, Mapping[str, Any] | None]] = []
    candidates = [candidate for candidate in report["candidates"].values() if candidate["group"]]
    for group in dict.fromkeys(candidate["group"] for candidate in candidates):
        rows.append((group, None))
        rows += [(candidate["name"], candidate) for candidate in candidates if candidate["group"] == group]
    last = len(report["rungs"])
    figure = Figure(figsize=(7.5, 1.3 + 0.21 * max(len(rows), 4)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=INK, lw=0.8)
    for at, (_, candidate) in enumerate(rows):
        if candidate is None:
            continue
        if candidate.get("difference") is None:
            axes.text(0, at, " failed" if "failed" in candidate else " no base", va="center", fontsize=7, color=OTHER)
            continue
        gain, spread = candidate["difference"], candidate["difference_spread"]
        colour = TRAINED if candidate["rung"] == last else PALE
        axes.barh(at, gain, 0.68, color=colour)
        if spread is not None:
            axes.errorbar(gain, at, xerr=spread, color=INK, lw=0.9, capsize=2)
        end = gain + (spread or 0.0) * (1 if gain >= 0 else -1)
        axes.annotate(f"{gain:+.1f}", (end, at), (4 if gain >= 0 else -4, 0), textcoords="offset points",
                      ha="left" if gain >= 0 else "right", va="center", fontsize=7, color=INK)  # fmt: skip
        if report["winner"] is not None and candidate is report["candidates"][report["winner"]]:
            axes.plot(0, at, marker="*", ms=8, color=OTHER)
    axes.set_yticks(range(len(rows)), [name if candidate is None else f"   {name}" for name, candidate in rows])
    for label, (_, candidate) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set(fontsize=7.5, fontweight="bold" if candidate is None else "normal")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.12)
    spread = " (± sd over seeds)" if any(rung["seeds"] > 1 for rung in report["rungs"]) else ""
    axes.set_xlabel(f"score over the base in the same rung, points{spread}", fontsize=8.5)
    tested = "held-out training subjects" if _held_out(report) else "the test side"
    axes.set_title(f"{', '.join(report['stores'])}: mean of linear and 1-NN on {tested}", fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    told = [(_patch(TRAINED), f"reached rung {last}"), (_patch(PALE), "fell before")] if last > 1 else []
    if report["winner"] is not None:
        told.append((Line2D([], [], marker="*", ls="", color=OTHER), "the best"))
    if told:
        figure.legend(*zip(*told, strict=True), fontsize=7.5, frameon=False, ncols=3, loc="outside lower center")
    save_figure(figure, picture)


def _patch(colour: str) -> Line2D:
    return Line2D([], [], marker="s", ls="", color=colour)
