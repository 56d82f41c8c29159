"""Which device and which precision: decided once, written into the run's settings, never measured anew."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcm3.config import Device, Precision
from pcm3.errors import ConfigError


def first_process() -> bool:
    """Whether this process is the one, of those that train together, that writes files and talks to the user.

    Known before they are connected: Fabric's own launcher, torchrun and SLURM all say it in the environment.
    """
    rank = next((os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), "0")
    return rank == "0"


def choose_device(wanted: Device) -> torch.device:
    """The device asked for; "auto" is the GPU if there is one.

    Raises:
        ConfigError: a GPU was asked for where there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("expected a CUDA GPU for --device cuda, found none: use --device cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(wanted: Precision, device: torch.device) -> Precision:
    """The precision asked for; "auto" is "bf16" where the device computes in it natively, else "32"."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "32"


NARROW = 256
"""Width of the encoder up to which its products are small, and little of a step can be shared between many threads."""
NARROW_THREADS = 4
"""Threads that such an encoder trains on at most. Measured on two cores, causal, bfloat16, batch 64: two threads are
1.3 times as fast as one at width 128, 1.45 times at 256."""


def choose_threads(wanted: int | None, hidden: int, device: torch.device) -> int:
    """The CPU threads asked for to train with; None is as many as torch has now, a few for a narrow encoder."""
    if wanted is not None:
        return wanted
    have = torch.get_num_threads()
    return min(have, NARROW_THREADS) if device.type == "cpu" and hidden <= NARROW else have


def judging_threads(hidden: int, device: torch.device) -> int:
    """The CPU threads to judge an encoder with: one for a narrow one, as then several are judged at a time."""
    return 1 if device.type == "cpu" and hidden <= NARROW else torch.get_num_threads()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside, torch computes on so many CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def allow_fast_matmul(device: torch.device) -> None:
    """Float32 products may use the chip's faster units where that keeps float32's accuracy: on CPUs only."""
    torch.set_float32_matmul_precision("medium" if device.type == "cpu" else "highest")


def frames_on(frames: NDArray[Any], device: torch.device, processes: int = 1) -> Tensor:
    """The store's frames (F, M, V, C) as a tensor: on the device where half its memory holds them, else mapped.

    Mapped frames stay on the disk; `augment.crop.crop_resize` gathers from them row by row. So many processes of this
    machine share the CPU's memory.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // processes
    if frames.nbytes <= free // 2:
        return torch.from_numpy(np.array(frames)).to(device)
    mapped: Any = frames
    while mapped is not None and not isinstance(mapped, np.memmap):
        mapped = mapped.base
    if mapped is None:
        return torch.from_numpy(np.array(frames))
    with warnings.catch_warnings():
        # Torch cannot know that nobody writes here. A map that could be written (copy-on-write) would be refused by
        # the system where it is larger than the memory.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(frames)
