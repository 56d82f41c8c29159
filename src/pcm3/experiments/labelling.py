"""How many labels it takes: a session of labelling with an oracle, clips as the explorer asks for them or at random.

``pcm3 reproduce labelling --model RUN --store STORE --out DIR``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from pcm3.api import Model
from pcm3.api.teaching import directions, next_clips, teach
from pcm3.checksums import with_checksum
from pcm3.data.protocol import split
from pcm3.data.recording import UNKNOWN
from pcm3.data.store import ClipStore
from pcm3.errors import DataError
from pcm3.files import write_json
from pcm3.report.pictures import OTHER, TRAINED, save_figure
from pcm3.report.tables import markdown_table

CLICKS = 100
"""Labels of a session."""
BATCHES = (1, 9)
"""Clips that are asked for at a time: one, and as many as the page shows."""
REPORTED = (10, 20, 30, 40, 50, 60, 80, 100)
"""After so many labels the table tells the accuracy."""
Rows = Float[np.ndarray, "N D"]


@dataclass(frozen=True, eq=False)
class Session:
    """Whose clips are labelled, and whose are to be told."""

    rows: Rows
    """Of all clips, see `pcm3.api.teaching.directions`."""
    label: Int[np.ndarray, " N"]
    pool: Int[np.ndarray, " P"]
    """Clips that the oracle labels when it is asked: of the training side."""
    test: Int[np.ndarray, " Q"]
    """Clips of other people."""

    @classmethod
    def of(cls, model: Model, store: ClipStore, protocol: str) -> Session:
        """A session on the clips of a store that have a label.

        Raises:
            DataError: a side has none.
        """
        train, test = (side[store.label[side] != UNKNOWN] for side in split(store, protocol))
        if len(train) <= CLICKS or len(test) == 0:
            raise DataError(
                f"{store.path}: expected more than {CLICKS} labelled clips to train on, and some to test on, got "
                f"{len(train)} and {len(test)}"
            )
        return cls(directions(model.embed(store)), store.label.astype(np.int64), train, test)

    def at_random(self, seed: int) -> list[float]:
        """Per cent of the test clips that are classified correctly after each label, in random order."""
        order = self.pool[np.random.default_rng(seed).permutation(len(self.pool))[:CLICKS]]
        return [self._right(order[:count]) for count in range(1, CLICKS + 1)]

    def as_asked(self, batch: int) -> list[float]:
        """The same, of clips as `next_clips` asks for them, so many at a time."""
        mine = self.rows[self.pool]
        labelled, right = np.zeros(0, np.int64), list[float]()
        while len(right) < CLICKS:
            taught = teach(mine, labelled, self.label[self.pool[labelled]]) if len(labelled) else None
            for clip in next_clips(mine, labelled, taught, min(batch, CLICKS - len(right))):
                labelled = np.append(labelled, clip)
                right.append(self._right(self.pool[labelled]))
        return right

    def _right(self, labelled: Int[np.ndarray, " K"]) -> float:
        taught = teach(self.rows, labelled, self.label[labelled])
        return 100 * float(np.mean(taught.label[self.test] == self.label[self.test]))


def label_by_oracle(
    sessions: Mapping[str, Session], seeds: int, out: Path, log: Callable[[str], None]
) -> dict[str, Any]:
    """Runs the sessions, and writes ``labelling.json``, ``labelling.md`` and ``labelling.png``.

    Args:
        sessions: by the names of their stores.
        seeds: random orders, over which their mean is taken; the other order has no chance in it.
        out: a folder; made where it is not there.
        log: called with each line of the results.
    """
    results: dict[str, Any] = {}
    for name, session in sessions.items():
        curves = {"random": [session.at_random(seed) for seed in range(seeds)]}
        curves |= {_asked(batch): [session.as_asked(batch)] for batch in BATCHES}
        goal = float(np.mean(curves["random"], axis=0)[-1])
        reached = {how: _reached(np.mean(runs, axis=0), goal) for how, runs in curves.items()}
        about = {"classes": len(np.unique(session.label)), "pool": len(session.pool), "test": len(session.test)}
        results[name] = about | {"curves": curves, "goal": goal, "reached": reached}
        log(f"{name}: {goal:.1f} % after {CLICKS} random labels; "
            + "; ".join(f"{how}: after {reached[how]}" for how in curves if how != "random"))  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "labelling.json", with_checksum({"clicks": CLICKS, "seeds": seeds, "stores": results}))
    (out / "labelling.md").write_text(_page(results, seeds), encoding="utf-8")
    _draw(results, out / "labelling.png")
    return results


def _asked(batch: int) -> str:
    return "as asked, one at a time" if batch == 1 else f"as asked, {batch} at a time"


def _reached(curve: Sequence[float] | np.ndarray, goal: float) -> int | None:
    """After how many labels a curve comes to the goal for the first time."""
    above = np.flatnonzero(np.asarray(curve) >= goal)
    return int(above[0]) + 1 if len(above) else None


def _orders(seeds: int) -> str:
    return f"the mean of {seeds} orders ± their standard deviation" if seeds > 1 else "one order"


def _page(results: Mapping[str, Any], seeds: int) -> str:
    lines = [
        "# Labels by an oracle",
        "",
        "A classifier on frozen features (`pcm3.api.teaching`) learns from one more label at a time; per cent of the "
        f"clips of other people that it classifies correctly. At random: {_orders(seeds)}. As the explorer asks: the "
        "clips that stand for most that are in doubt, without chance.",
    ]
    for name, of in results.items():
        rows = []
        for how, runs in of["curves"].items():
            curve = np.array(runs)
            spread = [f" ± {deviation:.1f}" if len(runs) > 1 else "" for deviation in curve.std(axis=0)]
            cells = [f"{curve[:, count - 1].mean():.1f}{spread[count - 1]}" for count in REPORTED]
            rows.append([how, *cells, str(of["reached"][how] or "never")])
        lines += ["", f"## {name}", "",
                  f"{of['classes']} classes, {of['pool']} clips to label, {of['test']} to test on.", "",
                  markdown_table(["labels", *map(str, REPORTED), f"labels to {of['goal']:.1f} %"], rows)]  # fmt: skip
    return "\n".join(lines) + "\n"


def _draw(results: Mapping[str, Any], picture: Path) -> None:
    figure = Figure(figsize=(4.4 * len(results), 3.4), layout="constrained")
    for axes, (name, of) in zip(np.atleast_1d(figure.subplots(1, len(results))), results.items(), strict=True):
        clicks = np.arange(1, CLICKS + 1)
        random, mean = np.array(of["curves"]["random"]), np.mean(of["curves"]["random"], axis=0)
        axes.fill_between(clicks, random.min(axis=0), random.max(axis=0), color=OTHER, alpha=0.2, lw=0)
        axes.plot(clicks, mean, color=OTHER, lw=1.4, label="at random")
        for batch, style in zip(BATCHES, ("-", ":"), strict=True):
            axes.plot(clicks, of["curves"][_asked(batch)][0], style, color=TRAINED, lw=1.4, label=_asked(batch))
        axes.axhline(of["goal"], color="#999999", lw=0.7, ls="--")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("labels")
        axes.set_ylabel("classified correctly, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
    save_figure(figure, picture)
