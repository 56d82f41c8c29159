"""The loss terms of a run as JSON lines: looked at now and then, and a loss that is not finite stops the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pcm3.errors import RunFailed
from pcm3.files import write_atomically

NOT_TERMS = ("step", "epoch", "lr", "seconds", "loss")
"""What a line tells beside the terms of the loss."""


class Metrics:
    """Loss terms of the steps, looked at every `LOG_STEPS`, written as JSON lines; a bad one stops the run."""

    def __init__(self, path: Path | None, step: int, together: Callable[[Tensor], Tensor] = lambda own: own) -> None:
        """Open the file for writing on after `step`; None: look, but do not write (processes but the first).

        `together`: the mean over all processes, so that a term that is not finite in one stops them all.
        """
        self._together = together
        self._waiting: list[tuple[int, dict[str, Tensor]]] = []
        self._file = None
        self.unreadable = 0
        """Lines of before that a bad disk had spoilt, and that are gone now."""
        self.loss: float | None = None
        """Mean loss of the steps that were looked at last, in this session or before."""
        if path is not None:
            kept, self.unreadable = read_metrics(path, step)
            text = "".join(json.dumps(line) + "\n" for line in kept)
            write_atomically(path, lambda file: file.write(text.encode()))
            self.loss = kept[-1].get("loss") if kept else None
            self._file = path.open("a", encoding="utf-8")

    def add(self, step: int, terms: dict[str, Tensor]) -> None:
        """Remember the terms of a step; nothing waits for the device yet."""
        self._waiting.append((step, terms))

    def flush(self, **more: float) -> dict[str, int | float]:
        """Look at what was added, and write one line: means of the terms, and `more`.

        Raises:
            RunFailed: a term is not finite; says at which step, and all its terms.
        """
        if not self._waiting:
            return {}
        names = list(self._waiting[0][1])
        values = torch.stack([torch.stack([terms[name].float() for name in names]) for _, terms in self._waiting])
        table = self._together(values).cpu().numpy()
        for (step, _), row in zip(self._waiting, table, strict=True):
            if not np.isfinite(row).all():
                terms = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, row, strict=True))
                raise RunFailed(
                    f"the loss is not finite at step {step}: {terms}. The last checkpoint is from before; a lower "
                    "--optimiser.lr or --precision 32 in another --run may help"
                )
        line: dict[str, int | float] = {"step": self._waiting[-1][0]} | more
        line |= {name: float(mean) for name, mean in zip(names, table.mean(axis=0), strict=True)}
        self._waiting.clear()
        self.loss = line.get("loss")
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        return line

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def read_metrics(path: Path, step: int | None = None) -> tuple[list[dict[str, int | float]], int]:
    """The lines of a run's metrics up to ``step``, and how many cannot be read.

    What a killed process left of its last line is not counted.
    """
    kept: list[dict[str, int | float]] = []
    texts = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for text in texts[:-1]:
        line = _metrics_line(text)
        if line is not None and (not kept or line["step"] > kept[-1]["step"]):
            kept.append(line)
    return [line for line in kept if step is None or line["step"] <= step], len(texts) - 1 - len(kept)


def _metrics_line(text: bytes) -> dict[str, int | float] | None:
    """The numbers of a line; None where a bad disk has left something else."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or type(line.get("step")) is not int or line["step"] < 1:
        return None
    return line if all(type(value) in (int, float) and math.isfinite(value) for value in line.values()) else None
