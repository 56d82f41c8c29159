"""Which device and which precision: decided once, written into the run's settings, never measured anew.

What the machine can do is asked here and nowhere else. Whether bfloat16 is native follows from what the processor and
torch's library say, not from a clock: a resumed run must come to the same answer on a machine that is busy by then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import psutil
import torch

from pcm3.errors import ConfigError, not_one_of
from pcm3.limits import MOST_PROCESSES, check_range
from pcm3.parallel import cores
from pcm3.settings.pretrain import Device, Precision

BF16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""What a processor must have one of to multiply in bfloat16, by `torch.cpu.get_capabilities`' names: x86, then ARM."""
BF16_ISAS = ("BF16", "FP16", "AMX", "AVX10", "DEFAULT", "ALL")
"""A limit of oneDNN's that leaves bfloat16 its instructions holds one of these (each of them contains the former)."""
RATE_SIDE = 384
"""Side of the square matrices whose product tells how slow a precision is: a fifth of a second where it is very."""


def first_process() -> bool:
    """Whether this process is the one, of those that train together, that writes files and talks to the user.

    Known before they are connected: Fabric's own launcher, torchrun and SLURM all say it in the environment.
    """
    rank = next((os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ), "0")
    return rank == "0"


def choose_device(wanted: Device) -> torch.device:
    """The device asked for; "auto" is the GPU if there is one.

    Raises:
        ConfigError: a GPU was asked for where there is none, or another device.
    """
    if wanted not in get_args(Device):
        raise ConfigError(not_one_of("a device", str(wanted), get_args(Device)))
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("expected a CUDA GPU for --device cuda, found none: use --device cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(wanted: Precision, device: torch.device) -> Precision:
    """The precision asked for; "auto" is "bf16" where the device computes in it natively, else "32"."""
    if wanted != "auto":
        return wanted
    return "bf16" if has_bf16(device) else "32"


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 natively, by way of the libraries that torch uses here."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = _processor()
    return any(capabilities.get(unit) for unit in BF16_UNITS) and _library_has_bf16()


def _processor() -> Mapping[str, Any]:
    """What the processor can do, as torch names it."""
    if hasattr(torch.cpu, "get_capabilities"):
        return dict(torch.cpu.get_capabilities())
    # An older torch tells only these.
    return {"avx512_bf16": torch.cpu._is_avx512_bf16_supported(), "amx_bf16": torch.cpu._is_amx_tile_supported()}


def _library_has_bf16() -> bool:
    """Whether oneDNN, which has torch's products of bfloat16 on a CPU, is there, switched on, and not kept from it."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return False
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "DEFAULT")).upper()
    # It works with a limit below too, but by way of float32: a third of that one's speed.
    if not any(isa in limit for isa in BF16_ISAS):
        return False
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is None or bool(supported())


def slow_bf16(precision: Precision, device: torch.device) -> str | None:
    """What to say about bfloat16 where it was asked for and is not native: how slow it is. None where it is fine."""
    if precision != "bf16" or has_bf16(device):
        return None
    slow, usual = (product_gflops(dtype, device, RATE_SIDE) for dtype in (torch.bfloat16, torch.float32))
    where = "processor" if device.type == "cpu" else "GPU"
    return (
        f"note: precision bf16 is not native to this {where}: its products run at {slow:,.1f} GFLOP/s, those of "
        f"float32 at {usual:,.0f}, {max(usual / slow, 1):,.0f} times as fast; --precision 32 is the quick one here"
    )


def product_gflops(dtype: torch.dtype, device: torch.device, side: int) -> float:
    """Billions of multiplications and additions a second in a product of two square matrices, on all cores."""
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    matrix @ matrix  # the libraries may make ready for a product of this size
    began = _now(device)
    matrix @ matrix
    return float(2 * side**3 / (_now(device) - began) / 1e9)


def _now(device: torch.device) -> float:
    """Seconds, when the device has done all that it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


NARROW = 256
"""Width of the encoder up to which its products are small, and little of a step can be shared between many threads."""
NARROW_THREADS = 4
"""Threads that such an encoder trains on at most. Measured on two cores, causal, bfloat16, batch 64: two threads are
1.3 times as fast as one at width 128, 1.45 times at 256."""


def choose_threads(wanted: int | None, hidden: int, device: torch.device) -> int:
    """The CPU threads asked for to train with; None is as many as are of use, a few for a narrow encoder.

    Raises:
        ConfigError: more threads than any machine is helped by.
    """
    check_range("threads", wanted, 1, MOST_PROCESSES)
    if wanted is not None:
        return wanted
    have = useful_threads()
    return min(have, NARROW_THREADS) if device.type == "cpu" and hidden <= NARROW else have


def useful_threads() -> int:
    """As many CPU threads as torch has now, but no more than there are cores for: it does not know of a container's."""
    return min(torch.get_num_threads(), cores())


def evaluation_threads(hidden: int, device: torch.device) -> int:
    """The CPU threads to evaluate an encoder with: one for a narrow one, as then several are evaluated at a time."""
    return 1 if device.type == "cpu" and hidden <= NARROW else useful_threads()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside, torch computes on so many CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def free_bytes(device: torch.device) -> int:
    """Memory of the device that nobody uses now; on a CPU also what the system holds only for want of other use."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)
