"""The one training loop: any method, any number of processes, the same bits after any interruption.

Everything random is a function of (seed, step, rank), and of the micro-batch where there are several: which clips a
step sees, and the generators of its views. So a checkpoint is {networks, method state, optimisers, step}, and a run
that was killed goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.clips import ClipBatch
from pcm3.methods.protocol import Method, Progress, StepOutput
from pcm3.train.clock import Clock
from pcm3.train.metrics_log import Metrics
from pcm3.train.schedule import Schedule

LOG_STEPS = 10
"""Steps between looks at the losses; a look makes a GPU wait, so it is not made every step."""
T = TypeVar("T")
V = TypeVar("V")


@runtime_checkable
class Processes(Protocol):
    """What the loop needs of Lightning's Fabric."""

    @property
    def device(self) -> torch.device: ...  # noqa: D102
    @property
    def global_rank(self) -> int: ...  # noqa: D102
    @property
    def world_size(self) -> int: ...  # noqa: D102
    def backward(self, tensor: Tensor, **how: object) -> None: ...  # noqa: D102
    def broadcast(self, obj: T, src: int = 0) -> T: ...  # noqa: D102
    def no_backward_sync(self, module: nn.Module) -> AbstractContextManager[None]: ...  # noqa: D102


def generator_for(seed: int, step: int, rank: int, device: torch.device, micro_batch: int = 0) -> torch.Generator:
    """The generator that everything random in one micro-batch of one step of one process is drawn from."""
    digest = hashlib.sha256((f"{seed} {step} {rank}" + f" {micro_batch}" * (micro_batch > 0)).encode()).digest()
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
        batch = self._order[place * self.batch : (place + 1) * self.batch]
        return batch[rank::ranks]


class LoopPlan(NamedTuple):
    """Which steps a run makes."""

    order: BatchOrder
    schedule: Schedule
    steps: int
    """After which it is over."""
    seed: int
    """Everything random follows from it, the step and the rank."""
    micro_batches: int = 1
    """Pieces that each process's share of a batch is worked through in, one after the other."""
    checkpoint_steps: int = 500


@dataclass(frozen=True)
class Learner(Generic[V]):
    """A method with all that it learns by."""

    method: Method[V]
    module: nn.Module
    """The method again, as Fabric has set it up: its forward pass runs in the run's precision, in every process."""
    optimisers: Mapping[str, torch.optim.Optimizer]
    """Of `method.optimisers`, as Fabric has set them up."""


class MicroBatch(NamedTuple):
    """Clips that are worked through together."""

    clips: ClipBatch
    generator: torch.Generator
    """Everything random in them is drawn from it."""


def train_step(
    fabric: Processes,
    learner: Learner[V],
    micro_batches: Sequence[MicroBatch],
    progress: Progress,
    on_phase: Callable[[str], object] = lambda phase: None,
) -> dict[str, Float[Tensor, ""]]:
    """One step of all processes: gradients from every micro-batch, then weights and state; the host never waits.

    `on_phase` is told when one of `PHASES` begins.

    Returns:
        The loss and its terms, mean over the micro-batches.
    """
    for optimiser in learner.optimisers.values():
        optimiser.zero_grad(set_to_none=True)
    outputs = []
    for number, (clips, generator) in enumerate(micro_batches):
        last = number == len(micro_batches) - 1
        # What dropout draws from. On the CPU its generator alone: to seed all that there may be takes milliseconds.
        seed = torch.default_generator.manual_seed if generator.device.type == "cpu" else torch.manual_seed
        seed(generator.initial_seed())
        on_phase("views")
        views = learner.method.views(clips, generator)
        with nullcontext() if last else fabric.no_backward_sync(learner.module):
            on_phase("forward")
            output: StepOutput = learner.module(views, progress, generator)
            on_phase("backward")
            _backward(fabric, learner, output.losses, len(micro_batches))
        outputs.append(output)
    on_phase("optimisers")
    for optimiser in learner.optimisers.values():
        optimiser.step()
    on_phase("after_step")
    state = {name: torch.cat([output.state[name] for output in outputs]) for name in outputs[0].state}
    learner.method.after_step({name: _of_all_processes(fabric, of) for name, of in state.items()}, progress)
    logged = [{"loss": sum_of(output.losses).detach()} | output.terms for output in outputs]
    return {name: torch.stack([terms[name] for terms in logged]).mean(dim=0) for name in logged[0]}


PHASES = ("views", "forward", "backward", "optimisers", "after_step")
"""Of a step, in their order; the first three for each micro-batch."""


def sum_of(losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """The losses of all optimisers together."""
    first, *others = losses.values()
    return sum(others, start=first)


def _backward(fabric: Processes, learner: Learner[V], losses: Mapping[str, Float[Tensor, ""]], share: int) -> None:
    """Gradients of each loss divided by `share`, for the weights of its own optimiser."""
    if len(losses) == 1:
        fabric.backward(sum_of(losses) / share)
        return
    for number, (name, loss) in enumerate(losses.items()):
        own = [weight for group in learner.optimisers[name].param_groups for weight in group["params"]]
        fabric.backward(loss / share, inputs=own, retain_graph=number < len(losses) - 1)


def _of_all_processes(fabric: Processes, own: Shaped[Tensor, "b ..."]) -> Shaped[Tensor, "B ..."]:
    """What every process has of its clips → that of the whole batch, in its order, in every process."""
    if fabric.world_size == 1:
        return own
    gathered = [torch.empty_like(own) for _ in range(fabric.world_size)]
    dist.all_gather(gathered, own.contiguous())
    return torch.stack(gathered, dim=1).flatten(0, 1)  # process r has every ranks-th clip from the r-th on


def train(
    fabric: Processes,
    learner: Learner[V],
    plan: LoopPlan,
    *,
    clips_of: Callable[[Int[Tensor, " B"]], ClipBatch],
    clock: Clock,
    first_step: int,
    seconds_before: float,
    save: Callable[[int, float], None],
    metrics: Metrics,
    show: Callable[[int, dict[str, int | float]], None],
) -> tuple[int, float]:
    """Train until the steps are done or the time is spent.

    Args:
        fabric: Lightning's Fabric, launched.
        learner: what is trained.
        plan: which steps.
        clips_of: numbers of `plan.order` on the device → the clips.
        clock: tells the time, knows the seconds after which it is over, and where the schedule stands then.
        first_step: steps done before, 0 for a new run.
        seconds_before: seconds spent before.
        save: (steps done, seconds spent) writes a checkpoint; not called after the last of the steps.
        metrics: takes the loss terms.
        show: (steps done, metrics if the losses were looked at) tells the user.

    Returns:
        Steps done and seconds spent, both since the run first began.

    Raises:
        RunFailed: the loss is not finite.
    """
    learner.method.train()
    began, step, steps_per_epoch = clock.now() - seconds_before, first_step, plan.order.steps_per_epoch
    stands, lr = None, plan.schedule.at(max(step - 1, 0))
    while step < plan.steps and not _time_is_up(fabric, step, clock.now() - began, clock.seconds):
        micro_batches = list(_micro_batches(fabric, plan, step, clips_of))
        stands = _schedule_step(fabric, clock, step, clock.now() - began, stands)
        lr = plan.schedule.at(stands)
        for optimiser in learner.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = lr
        progress = Progress(step, step // steps_per_epoch, min(stands / plan.steps, 1.0))
        terms = train_step(fabric, learner, micro_batches, progress)
        step += 1
        metrics.add(step, terms)
        at_checkpoint = step % plan.checkpoint_steps == 0 and step < plan.steps
        line: dict[str, int | float] = {}
        if step % LOG_STEPS == 0 or at_checkpoint or step == plan.steps:
            seconds = clock.now() - began
            line = metrics.flush(epoch=step / steps_per_epoch, lr=lr, seconds=seconds)
            if at_checkpoint:
                save(step, seconds)
        show(step, line)
    # What a spent time budget left unlooked at.
    metrics.flush(epoch=step / steps_per_epoch, lr=lr, seconds=clock.now() - began)
    return step, clock.now() - began


def _micro_batches(
    fabric: Processes, plan: LoopPlan, step: int, clips_of: Callable[[Int[Tensor, " B"]], ClipBatch]
) -> Iterator[MicroBatch]:
    """This process's share of a step's batch."""
    rank, device = fabric.global_rank, fabric.device
    indices = plan.order.at(step, rank, fabric.world_size)
    for number, some in enumerate(np.split(indices, plan.micro_batches)):
        yield MicroBatch(clips_of(_sent(some, device)), generator_for(plan.seed, step, rank, device, number))


def _sent(indices: NDArray[np.int64], device: torch.device) -> Int[Tensor, " B"]:
    """The numbers on the device, without waiting for it."""
    tensor = torch.from_numpy(indices)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _schedule_step(fabric: Processes, clock: Clock, step: int, spent: float, before: int | None) -> int:
    """The step at which the schedule stands; several processes ask the first, every `LOG_STEPS`, so as to agree."""
    if clock.seconds == math.inf or fabric.world_size == 1:
        return clock.at(step, spent)
    if before is None or step % LOG_STEPS == 0:
        return fabric.broadcast(clock.at(step, spent), src=0)
    return max(step, before)


def _time_is_up(fabric: Processes, step: int, spent: float, seconds: float) -> bool:
    """Whether the budget of seconds is spent; several processes ask the first, every `LOG_STEPS`, so as to agree."""
    if seconds == math.inf or fabric.world_size == 1:
        return spent >= seconds
    return step % LOG_STEPS == 0 and fabric.broadcast(spent >= seconds, src=0)
