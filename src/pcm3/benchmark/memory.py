"""What a pretraining step needs of memory, and what that is made of, measured in a fresh process."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pcm3.benchmark.peer import PeerStep
from pcm3.benchmark.step import Clips, Step, random_clips
from pcm3.errors import RunFailed

MIB = 2**20


@dataclass(frozen=True)
class StepMemory:
    """MiB of one training process beyond those of Python, torch and the clips."""

    peak: float
    """The most that a step needs at a time: on a GPU, of what was allocated; on a CPU, of resident memory."""
    weights: float
    """Of what learns."""
    key_network: float
    """Weights that follow them, and statistics."""
    queue: float
    gradients: float
    """All of them, as they are at the end of the backward pass; a peak before it holds fewer, and more activations."""
    optimiser: float
    rest: float
    """The rest of the peak: activations kept for the backward pass, and what lives for a moment."""


def step_memory(make: Callable[[Clips], Step | PeerStep], device: torch.device) -> StepMemory | None:
    """The memory of one step of what `make` builds; None where the system does not tell it (no Linux, no GPU).

    Args:
        make: takes clips (N, T, M, V, C); a function of the top level of a module, or a `partial` of one.
        device: where it computes.

    Raises:
        RunFailed: the process was ended, as it is where memory does not suffice.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_measured, make, device).result()
        except BrokenProcessPool as error:
            raise RunFailed("the process whose memory was measured ended, perhaps for want of memory") from error


def _measured(make: Callable[[Clips], Step | PeerStep], device: torch.device) -> StepMemory | None:
    import lightning_fabric  # noqa: F401 (that it takes memory is counted to the libraries)

    clips = random_clips()
    torch.ones(64, 64, device=device) @ torch.ones(64, 64, device=device)
    before = _held(device)
    if before is None:
        return None
    stepped = make(clips)
    _forget_peak(device)
    stepped.seconds(0)
    peak = (_peak(device) - before - stepped.clip_bytes) / MIB
    learning = [tensor for tensor in stepped.method.parameters() if tensor.requires_grad]
    buffers = list(stepped.method.buffers())
    queue = max(buffers, key=Tensor.numel)  # the largest that is no weight
    held = {
        "weights": _mib(learning),
        "key_network": _mib(tensor for tensor in stepped.method.parameters() if not tensor.requires_grad)
        + _mib(tensor for tensor in buffers if tensor is not queue),
        "queue": _mib([queue]),
        "gradients": _mib(learning),
        "optimiser": _mib(tensor for state in stepped.optimiser.state.values() for tensor in _tensors(state)),
    }
    parts = {name: round(size, 1) for name, size in held.items()}
    return StepMemory(peak=round(peak, 1), rest=round(peak - sum(held.values()), 1), **parts)


def _tensors(state: dict[str, object]) -> list[Tensor]:
    return [value for value in state.values() if isinstance(value, Tensor)]


def _mib(tensors: Iterable[Tensor]) -> float:
    return sum(tensor.nbytes for tensor in tensors) / MIB


def _held(device: torch.device) -> int | None:
    """Bytes that this process holds now; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    """The most bytes that it held since the last `_forget_peak`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM") or 0


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # where it is not allowed, the peak may be that of the building
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _status(name: str) -> int | None:
    """Bytes of a line of /proc/self/status (Linux)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
