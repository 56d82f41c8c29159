"""The machine: what it is, its clock, and the matmul rate that everything is held against."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch

from pcm3.errors import ConfigError

MATMUL = {"cpu": 2048, "cuda": 8192}
"""Side of the square matrices whose product is the yardstick."""
AUTOCAST = {"32": torch.float32, "bf16": torch.bfloat16}


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    model = _cpu_name() or platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": model, "cores": cores, "gpu": gpu, "torch": torch.__version__}


def now(device: torch.device) -> float:
    """Seconds on a clock that starts anywhere, when the device has done all that it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def matmul_gflops(precision: str, device: torch.device) -> float:
    """Billions of multiplications and additions a second in a product of two square matrices, on all cores.

    In float32 it is as fast as `allow_fast_matmul` lets it be, as in training.
    """
    if precision not in AUTOCAST:
        raise ConfigError(f"setting precision: expected {' or '.join(AUTOCAST)} for a benchmark, got {precision}")
    side = MATMUL[device.type]
    matrix = torch.ones(side, side, dtype=AUTOCAST[precision], device=device)
    matrix @ matrix  # the libraries may make ready for a product of this size
    began = now(device)
    matrix @ matrix
    return float(2 * side**3 / (now(device) - began) / 1e9)


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
