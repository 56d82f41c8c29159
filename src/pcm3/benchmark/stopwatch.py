"""Seconds spent in each phase of a step."""

from __future__ import annotations

import time
from typing import Any

import torch


class Stopwatch:
    """Always in one phase; on a GPU it reads the GPU's clock, so that nothing waits."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, Any]] = []

    def start(self, phase: str) -> None:
        """From now on it is this phase."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((phase, event))
        else:
            self._marks.append((phase, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Seconds in each phase but the last one, which goes on."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        spent: dict[str, float] = {}
        for (phase, began), (_, ended) in zip(self._marks, self._marks[1:], strict=False):
            took = began.elapsed_time(ended) / 1000 if self._device.type == "cuda" else ended - began
            spent[phase] = spent.get(phase, 0.0) + took
        return spent
