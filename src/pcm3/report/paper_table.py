"""A table of the paper beside ours, from the result of `experiments.reproduce` alone: as Markdown, and as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pcm3.report.pictures import table_bars
from pcm3.report.tables import markdown_table
from pcm3.summary import counted, mean_and_spread, over_seeds


def as_markdown(result: dict[str, Any]) -> str:
    """The table for people."""
    about, columns, beside = result["conditions"], result["columns"], result["beside"]
    if about["steps"]:
        length = counted(about["steps"], "step")
    elif about["epochs"]:
        length = counted(about["epochs"], "epoch")
    else:
        length = f"as many steps as fit into {counted(about['minutes_a_run'], 'minute')} a run"
    lines = [
        f"# {result['table']}: {result['title']}",
        "",
        f"Ours on **{about['store']}** {about['protocol']} ({counted(about['clips'], 'clip')})"
        + (f", detection on **{about['untrimmed_store']}**" if about["untrimmed_store"] else "")
        + (f"; {_encoder(about)}" if set(result["rows"]) - set(result["presets"]) else "")
        + f"; {length} of {about['batch']} clips; {over_seeds(about['seeds'])}; "
        f"{about['hours_of_pretraining']} h of pretraining in all. The paper: NTU RGB+D at 2 x 1024 units and "
        "450 epochs. The two are not the same experiment.",
        "",
        markdown_table(["ours", *columns], [
            [row, *(_cell_text(cells.get(column), beside.get(row, {}).get(column)) for column in columns)]
            for row, cells in [*result["rows"].items(), *result["baselines"].items()]
        ]),
    ]  # fmt: skip
    if result["presets"]:
        presets = ", ".join(f"{row} {preset}" for row, preset in result["presets"].items())
        lines += [
            "",
            f"Other systems, each with the encoder, views and schedule of its preset ({presets}); width, batch and "
            "length are ours where the presets are those for little data (-small).",
            "",
            "An untrained encoder has the shape and the inputs of its rows' encoders, and fresh weights of its own. "
            f"Compare {_untrained_beside(result['untrained_beside'])}.",
        ]
    if result["authors_heads"]:
        heads = "; ".join(
            f"{row} {', '.join(f'{name} {value}' for name, value in head.items())}"
            for row, head in result["authors_heads"].items()
        )
        lines += ["", f"Their authors' heads: {heads}. The last epoch counts, also where they reported the best one."]
    if about["not_the_protocols"]:
        lines += ["", f"Not the protocols' settings: {', '.join(about['not_the_protocols'])}."]
    if result["published_heads"]:
        columns_of = "; ".join(
            f"{ours}: {theirs}" for ours, theirs in result["published_heads"].items() if ours in columns
        )
        lines += ["", f"In brackets: the paper's figures ({columns_of})."]
    chosen = [
        [row, *(_best(cells.get(column)) for column in columns)]
        for row, cells in [*result["rows"].items(), *result["baselines"].items()]
    ]
    if any(cell for row in chosen for cell in row[1:]):
        lines += [
            "",
            "## Best epoch on the test clips",
            "",
            "Chosen by looking at the test clips, as published tables do.",
        ]
        lines += ["", markdown_table(["ours", *columns], chosen)]
    if result["not_served"]:
        lines += ["", f"Not served by the stores given: {', '.join(result['not_served'])}."]
    if result["not_asked"]:
        lines += ["", f"Not asked for (subset.shares, subset.kinds): {', '.join(result['not_asked'])}."]
    if result["notes"]:
        lines += ["", "To be known of these figures:", "", *(f"- {note}" for note in result["notes"])]
    lines += ["", "## Pretraining", "", "Equal steps are not equal time.", ""]
    lines += [markdown_table(["ours", "seconds a run", "last loss"], [
        [row, *(mean_and_spread([run[of] for runs in of_row.values() for run in runs]) for of in ("seconds", "loss"))]
        for row, of_row in result["pretraining"].items()
    ])]  # fmt: skip
    lines += [
        "",
        "Losses are comparable only between rows of one method, and there as far as they have the same terms.",
    ]
    published = {row: values for row, values in result["published"].items() if row != "heads"}
    if published:
        lines += ["", "## As published", "", markdown_table(["", *result["published"]["heads"]], [
            [row, *("" if value is None else f"{value:.1f}" for value in values)]
            for row, values in published.items()
        ])]  # fmt: skip
    return "\n".join(lines) + "\n"


def _untrained_beside(names: dict[str, str]) -> str:
    """Every untrained encoder behind the rows that it stands beside."""
    rows: dict[str, list[str]] = {}
    for row, name in names.items():
        rows.setdefault(name, []).append(row)
    return "; ".join(f"{', '.join(of_name)} with “{name}”" for name, of_name in rows.items())


def _encoder(about: dict[str, Any]) -> str:
    """Of the rows of PCM³; other methods have those of their presets."""
    layers = counted(about["layers"], "layer")
    return f"encoder of 2 x {about['hidden_size']} units, {layers}, {about['direction']}"


def _best(cell: dict[str, Any] | None) -> str:
    """The mean of the best epochs, where a task looks at the test clips more than once."""
    return "" if cell is None or cell["best_on_test"] is None else f"{cell['best_on_test']:.1f}"


def draw(result: dict[str, Any], picture: Path) -> None:
    """Bars of our values in each column, with a mark where the paper's figure is of the same thing."""
    seeds = over_seeds(result["conditions"]["seeds"])
    drawn = {column: _bars(column, result) for column in result["columns"]}
    title = f"{result['title']}: ours on {', '.join(result['tested_on'])}, {seeds}"
    table_bars(drawn, picture, title, result["baselines"])


def _bars(column: str, result: dict[str, Any]) -> dict[str, tuple[Sequence[float], float | None]]:
    """Row → our values in a column, and the paper's figure where it has one that can stand beside."""
    return {
        row: (cells[column]["values"], result["beside"].get(row, {}).get(column))
        for row, cells in [*result["rows"].items(), *result["baselines"].items()]
        if cells.get(column) is not None
    }


def _cell_text(cell: dict[str, Any] | None, published: float | None) -> str:
    if cell is None:
        return ""
    spread = "" if cell["sd"] is None else f" ± {cell['sd']:.1f}"
    paper = "" if published is None else f" ({published:.1f})"
    return f"{cell['mean']:.1f}{spread}{paper}"
