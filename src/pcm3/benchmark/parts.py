"""Where the time of a pretraining step goes: part by part, forward and backward."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

PARTS = (
    "views",
    "encoder",
    "projector",
    "decoder",
    "key network",
    "losses",
    "other forward",
    "losses backward",
    "projector backward",
    "decoder backward",
    "encoder backward",
    "optimiser",
    "after step",
)
"""In the order of a step. What of the backward pass lies between two parts is counted to the one that came first."""

PHASE_PARTS = {
    "views": "views",
    "forward": "other forward",
    "backward": "losses backward",
    "optimisers": "optimiser",
    "after_step": "after step",
}
"""Phase of `train.loop.train_step` → the part that begins with it."""


class Stopwatch:
    """Always in one part; on a GPU it reads the GPU's clock, so that nothing waits."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[tuple[str, Any]] = []

    @property
    def part(self) -> str:
        """The part that the watch is in."""
        return self._marks[-1][0]

    def turn(self, part: str) -> None:
        """From now on it is this part."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((part, event))
        else:
            self._marks.append((part, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Seconds in each part, up to the last turn."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        spent: dict[str, float] = {}
        for (part, began), (_, ended) in zip(self._marks, self._marks[1:], strict=False):
            took = began.elapsed_time(ended) / 1000 if self._device.type == "cuda" else ended - began
            spent[part] = spent.get(part, 0) + took
        return spent


@contextmanager
def watched(method: nn.Module, watch: Stopwatch) -> Iterator[None]:
    """Inside, the watch is told whenever the method goes from one part to another, forward and backward.

    Autograd runs its nodes in the opposite of the order in which the forward pass made them, so a part's backward
    begins at the node of its output and lasts until that of an earlier part's.
    """
    owners = {"encoder": ("encode_views", "encoder"), "projector": ("forward", "projector"),
              "decoder": ("forward", "decoder")}  # fmt: skip
    calls: list[tuple[nn.Module, str, str]] = [
        (method.get_submodule(owner), name, part) for owner, (name, part) in owners.items()
    ]
    calls += [(method, "embed_keys", "key network"), (method, "contrast", "losses"), (method, "miss", "losses")]
    before = [vars(owner).get(name) for owner, name, _ in calls]
    for owner, name, part in calls:
        setattr(owner, name, _timed(getattr(owner, name), part, watch))
    try:
        yield
    finally:
        for (owner, name, _), own in zip(calls, before, strict=True):
            if own is None:  # it was the class's
                delattr(owner, name)
            else:
                setattr(owner, name, own)


def _timed(call: Callable[..., Any], part: str, watch: Stopwatch) -> Callable[..., Any]:
    def timed(*inputs: Any, **more: Any) -> Any:
        around = watch.part
        watch.turn(part)
        given = call(*inputs, **more)
        watch.turn(around)
        for tensor in _tensors(given):
            if tensor.grad_fn is not None:
                tensor.grad_fn.register_prehook(lambda _: watch.turn(f"{part} backward"))
        return given

    return timed


def _tensors(given: Any) -> Iterable[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, dict):
        yield from _tensors(list(given.values()))
    elif isinstance(given, list | tuple):
        for one in given:
            yield from _tensors(one)
