"""The one training loop: any method, any number of processes, the same bits after any interruption.

Everything random is a function of (seed, step, rank), and of the part where a batch is worked through in parts: which
clips a step sees, and the generators of its views. So a checkpoint is {weights, queue, optimiser, step}, and a run that
was killed goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from pcm3.errors import RunFailed
from pcm3.files import write_atomically
from pcm3.train.clock import Clock

LOG_STEPS = 10
"""Steps between looks at the losses; a look makes a GPU wait, so it is not made every step."""


class StepLike(Protocol):
    """What the loop needs of a method's step."""

    @property
    def loss(self) -> Tensor: ...  # noqa: D102
    @property
    def terms(self) -> dict[str, Tensor]: ...  # noqa: D102
    @property
    def keys(self) -> Tensor: ...  # noqa: D102


def generator_for(seed: int, step: int, rank: int, device: torch.device, part: int = 0) -> torch.Generator:
    """The generator that everything random in one part of one step of one process is drawn from."""
    digest = hashlib.sha256((f"{seed} {step} {rank}" + f" {part}" * (part > 0)).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass
class BatchOrder:
    """Which clips each step sees: a new permutation every epoch, the last partial batch dropped."""

    clips: int
    batch: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _order: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64), init=False)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch."""
        return self.clips // self.batch

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> NDArray[np.int64]:
        """Numbers of the clips that process `rank` of `ranks` sees at `step` (0-based), (batch / ranks,)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.clips)
        whole = self._order[place * self.batch : (place + 1) * self.batch]
        return whole[rank::ranks]


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the run: a straight line up to it, then its schedule."""

    kind: str
    lr: float
    drop_epochs: tuple[int, ...]
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int = 0
    """The first of them has lr / warmup_steps, the last lr."""

    def at(self, step: int) -> float:
        """The rate at `step` (0-based)."""
        if 0 <= step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        return self.lr * SCHEDULES[self.kind](self, step)


def _step_factor(schedule: Schedule, step: int) -> float:
    epoch = step // schedule.steps_per_epoch
    return float(0.1 ** sum(epoch >= drop for drop in schedule.drop_epochs))


def _cosine_factor(schedule: Schedule, step: int) -> float:
    done, steps = step - schedule.warmup_steps, schedule.total_steps - schedule.warmup_steps
    return 0.5 * (1 + math.cos(math.pi * min(done / steps, 1))) if steps > 0 else 0.0


SCHEDULES: dict[str, Callable[[Schedule, int], float]] = {
    "step": _step_factor,
    "cosine": _cosine_factor,
    "constant": lambda schedule, step: 1.0,
}


class Metrics:
    """Loss terms of the steps, looked at every `LOG_STEPS`, written as JSON lines; a bad one stops the run."""

    def __init__(self, path: Path | None, step: int, together: Callable[[Tensor], Tensor] = lambda own: own) -> None:
        """Open the file for writing on after `step`.

        Args:
            path: the file; None: look, but do not write (processes but the first).
            step: lines after it are dropped.
            together: the mean over all processes, so that a term that is not finite in one stops them all.
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
                told = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, row, strict=True))
                raise RunFailed(
                    f"the loss is not finite at step {step}: {told}. The last checkpoint is from before; a lower "
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


def _schedule_step(fabric: Any, clock: Clock, step: int, spent: float, before: int | None) -> int:
    """The step at which the schedule stands; several processes ask the first, every `LOG_STEPS`, so as to agree."""
    if clock.seconds == math.inf or fabric.world_size == 1:
        return clock.at(step, spent)
    if before is None or step % LOG_STEPS == 0:
        return int(fabric.broadcast(clock.at(step, spent), src=0))
    return max(step, before)


def _time_is_up(fabric: Any, step: int, spent: float, seconds: float) -> bool:
    """Whether the budget of seconds is spent; several processes ask the first, every `LOG_STEPS`, so as to agree."""
    if seconds == math.inf or fabric.world_size == 1:
        return spent >= seconds
    return step % LOG_STEPS == 0 and bool(fabric.broadcast(spent >= seconds, src=0))


def train_step(
    fabric: Any,
    method: Any,
    optimiser: Any,
    draw: Callable[[Tensor, torch.Generator], Any],
    parts: list[tuple[Tensor, torch.Generator]],
) -> dict[str, Tensor]:
    """One step of all processes: gradients from every part of the batch, then weights and queue; the host never waits.

    Args:
        fabric: as for `train`.
        method: as for `train`.
        optimiser: as for `train`.
        draw: as for `train`.
        parts: clip numbers (B / parts,) on the device, and the generator, of each part of this process's batch.

    Returns:
        The loss and its terms, mean over the parts.
    """
    optimiser.zero_grad(set_to_none=True)
    keys, told = [], []
    for number, (clips, generator) in enumerate(parts):
        last = number == len(parts) - 1
        with nullcontext() if last else fabric.no_backward_sync(method):
            result: StepLike = method(draw(clips, generator), generator, first=number == 0)
            fabric.backward(result.loss / len(parts))
        keys.append(result.keys)
        told.append({"loss": result.loss.detach()} | result.terms)
    optimiser.step()
    method.queue.push(_of_all_processes(fabric, torch.cat(keys)))
    return {name: torch.stack([terms[name] for terms in told]).mean(dim=0) for name in told[0]}


def _of_all_processes(fabric: Any, keys: Tensor) -> Tensor:
    """The keys of every process's clips (B, E) → those of the whole batch, in its order, in every process."""
    if fabric.world_size == 1:
        return keys
    gathered = [torch.empty_like(keys) for _ in range(fabric.world_size)]
    dist.all_gather(gathered, keys.contiguous())
    return torch.stack(gathered, dim=1).flatten(0, 1)  # process r has every ranks-th clip from the r-th on


def _sent(numbers: NDArray[np.int64], device: torch.device) -> Tensor:
    """The numbers on the device, without waiting for it."""
    tensor = torch.from_numpy(numbers)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def train(
    fabric: Any,
    method: Any,
    optimiser: Any,
    *,
    draw: Callable[[Tensor, torch.Generator], Any],
    order: BatchOrder,
    schedule: Schedule,
    steps: int,
    clock: Clock,
    seed: int,
    first_step: int,
    seconds_before: float,
    accumulate: int = 1,
    checkpoint_steps: int,
    save: Callable[[int, float], None],
    metrics: Metrics,
    show: Callable[[int, dict[str, int | float]], None],
) -> tuple[int, float]:
    """Train until the steps are done or the time is spent.

    Args:
        fabric: Lightning's Fabric, launched; `method` and `optimiser` are set up by it.
        method: module whose forward takes (views, generator, first: whether they are the first part of a step's
            batch) and gives a step with loss, terms, keys; has `queue`.
        optimiser: of the method's parameters.
        draw: (clip numbers (B,), generator) → views.
        order: which clips each step sees.
        schedule: the learning rate.
        steps: after which it is over.
        clock: knows the seconds after which it is over, and where the schedule stands then.
        seed: everything random follows from it, the step and the rank.
        first_step: steps done before, 0 for a new run.
        seconds_before: seconds spent before.
        accumulate: parts that each process's share of a batch is worked through in, one after the other.
        checkpoint_steps: steps between calls of `save`.
        save: (steps done, seconds spent) writes a checkpoint; not called after the last of the `steps`.
        metrics: takes the loss terms.
        show: (steps done, metrics if the losses were looked at) tells the user.

    Returns:
        Steps done and seconds spent, both since the run first began.
    """
    method.train()
    began, step, device = time.monotonic() - seconds_before, first_step, fabric.device
    rank, ranks = fabric.global_rank, fabric.world_size
    stands, lr = None, schedule.at(max(step - 1, 0))
    while step < steps and not _time_is_up(fabric, step, time.monotonic() - began, clock.seconds):
        parts = [
            (_sent(clips, device), generator_for(seed, step, rank, device, part))
            for part, clips in enumerate(np.split(order.at(step, rank, ranks), accumulate))
        ]
        stands = _schedule_step(fabric, clock, step, time.monotonic() - began, stands)
        lr = schedule.at(stands)
        for group in optimiser.param_groups:
            group["lr"] = lr
        terms = train_step(fabric, method, optimiser, draw, parts)
        step += 1
        metrics.add(step, terms)
        at_checkpoint = step % checkpoint_steps == 0 and step < steps
        line: dict[str, int | float] = {}
        if step % LOG_STEPS == 0 or at_checkpoint or step == steps:
            seconds = time.monotonic() - began
            line = metrics.flush(epoch=step / order.steps_per_epoch, lr=lr, seconds=seconds)
            if at_checkpoint:
                save(step, seconds)
        show(step, line)
    # What a spent time budget left unlooked at.
    metrics.flush(epoch=step / order.steps_per_epoch, lr=lr, seconds=time.monotonic() - began)
    return step, time.monotonic() - began
