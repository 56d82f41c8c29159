"""The machine: what it is, its clock, and the matmul rate that everything is held against."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import torch

from pcm3.device import has_bf16, product_gflops
from pcm3.errors import ConfigError
from pcm3.parallel import cores

MATMUL = {"cpu": 2048, "cuda": 8192}
"""Side of the square matrices whose product is the yardstick."""
SMALLER = 4
"""The side is so many times smaller where the precision is not native, or every product would take a minute."""
AUTOCAST = {"32": torch.float32, "bf16": torch.bfloat16}


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    model = _cpu_name() or platform.processor() or platform.machine()
    return {"cpu": model, "cores": cores(), "gpu": gpu, "torch": torch.__version__}


def now(device: torch.device) -> float:
    """Seconds on a clock that starts anywhere, when the device has done all that it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def matmul_gflops(precision: str, device: torch.device) -> float:
    """Billions of multiplications and additions a second in a product of two square matrices, on all cores."""
    if precision not in AUTOCAST:
        raise ConfigError(f"setting precision: expected {' or '.join(AUTOCAST)} for a benchmark, got {precision}")
    slow = precision == "bf16" and not has_bf16(device)
    return product_gflops(AUTOCAST[precision], device, MATMUL[device.type] // (SMALLER if slow else 1))


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
