"""Several processes that train together: started, agreed with their launcher, and ended when one of them is gone."""

from __future__ import annotations

import atexit
import inspect
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from pcm3.errors import ConfigError, RunFailed
from pcm3.settings.pretrain import PretrainSettings

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others, which may be reading a store or writing a checkpoint, before it gives up."""


def launched() -> tuple[str, int, int] | None:
    """Who started this process and those beside it: name, processes a machine, machines; None: nobody did."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        each = int(os.environ["LOCAL_WORLD_SIZE"])
        return "torchrun", each, int(os.environ["WORLD_SIZE"]) // each
    if "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return "SLURM", int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return None


def agree_with_launcher(devices: int, nodes: int) -> None:
    """Raises ConfigError where torchrun or SLURM started other processes than the settings say."""
    launcher = launched()
    if launcher is None:
        if nodes > 1 and "MASTER_ADDR" not in os.environ:
            raise ConfigError(
                f"setting nodes: {nodes} machines need a launcher; start the command on each with torchrun or with srun"
            )
        return
    name, each, machines = launcher
    if (each, machines) != (devices, nodes):
        raise ConfigError(
            f"{name} started {each} processes on each of {machines} machines, the settings say {devices} on each of "
            f"{nodes}: add --devices {each} --nodes {machines}, or start other processes"
        )


def make_fabric(settings: PretrainSettings) -> Any:
    """Lightning's Fabric for the devices and the precision of the settings, launched.

    Raises:
        ConfigError: torchrun or SLURM started other processes than the settings say.
    """
    import logging

    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_utilities.core import rank_zero

    from pcm3.device import choose_device
    from pcm3.train.precision import Bfloat16Networks

    agree_with_launcher(settings.devices, settings.nodes)
    # What it would announce, precision and devices, stands in settings.json.
    rank_zero.log.setLevel(logging.WARNING)
    several = settings.devices * settings.nodes > 1
    ddp: dict[str, Any] = {
        "timeout": PATIENCE,
        # Ablations leave parts of the method without a gradient. It also keeps the gradients in the same buckets from
        # the first step on: where they are parted anew, three and more of them are added up in another order, and a
        # resumed run has other bits.
        "find_unused_parameters": True,
        "gradient_as_bucket_view": True,  # no second copy of the gradients
        # The queue is the same everywhere because all push the same keys; the running statistics of BatchNorm are
        # read by no training step. Nothing has to be sent, and the queue would be 8 MB a step.
        _buffers_sent(): False,
    }
    fabric = Fabric(
        accelerator=settings.device,
        devices=settings.devices,
        num_nodes=settings.nodes,
        precision="32-true" if settings.precision == "32" else None,
        plugins=[Bfloat16Networks(choose_device(settings.device).type)] if settings.precision == "bf16" else None,
        strategy=DDPStrategy(**ddp) if several else "auto",
    )
    if several:
        # The gradient of a 1×1 convolution, as the A-GCN has them, has other strides than the bucket that it is copied
        # into. The values are the same, and so is the copy.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    if several and launched() is None:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            os.environ[FIRST_PROCESS] = str(os.getpid())
        else:
            _end_with_parent(int(os.environ.get(FIRST_PROCESS, os.getppid())))
    fabric.launch()
    return fabric


def _buffers_sent() -> str:
    """What torch calls the sending of all buffers before every step: it changed the name, and warns of the old one."""
    from torch.nn.parallel import DistributedDataParallel

    known = inspect.signature(DistributedDataParallel).parameters
    return "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"


FIRST_PROCESS = "PCM3_FIRST_PROCESS"
"""Variable of the environment in which the first process tells its number to those that it starts."""


def _end_with_parent(parent: int, seconds: float = 1.0) -> None:
    """Lets this process, which the first one (`parent`) started, end when the first is gone, whatever it waits for."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        time.sleep(seconds)  # it may be about to say so itself
        sys.stderr.write(f"pcm3: the first process of the run is gone, so this one ends too. {GO_ON}\n")
        _leave()

    threading.Thread(target=watch, daemon=True).start()


def _leave() -> None:
    """Ends the process at once: to take apart a group whose other members are gone may abort, or wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


GO_ON = "The last checkpoint is intact: run the same command again to go on"


@contextmanager
def reporting_lost_processes(several: bool) -> Iterator[None]:
    """Inside, an error of the connection between the processes becomes one line: another process has ended.

    Raises:
        RunFailed: instead of the backend's error.
    """
    try:
        yield
    except RuntimeError as error:
        # gloo's errors have no class of their own, but the file of its source in their text.
        kind = type(error).__name__
        if not several or not (kind.startswith("Dist") or "gloo" in str(error).lower() or "NCCL" in str(error)):
            raise
        if dist.is_initialized():
            atexit.register(_leave)
        reason = str(error).splitlines()[0].partition(". ")[0].rpartition(": ")[2]
        raise RunFailed(
            f"another process of the run has ended or cannot be reached, so this one ends too ({reason}). {GO_ON}"
        ) from error
