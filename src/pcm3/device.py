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


ONE_THREAD_UP_TO = 256
"""Width of the encoder up to which one thread trains faster than two do: a step of its GRU is a product too small to
share. Measured on two cores: 84 against 58 clips a second at 128, 33 against 23 at 256."""


def choose_threads(wanted: int | None, hidden: int, device: torch.device) -> int:
    """The CPU threads asked for; None is one for a narrow encoder on the CPU, else as many as torch has now."""
    if wanted is not None:
        return wanted
    return 1 if device.type == "cpu" and hidden <= ONE_THREAD_UP_TO else torch.get_num_threads()


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
