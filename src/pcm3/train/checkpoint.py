"""What a run needs to go on, on disk; read with ``weights_only=True``, so that no code is run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import torch
from torch import Tensor

from pcm3.encoders.files import read_tensors
from pcm3.errors import CheckpointError
from pcm3.files import write_atomically
from pcm3.train.run_folder import RunFolder


@dataclass(frozen=True)
class RunState:
    """What a run needs to go on, beside its settings."""

    step: int
    """Steps done."""
    seconds: float
    """Seconds spent."""
    method: dict[str, Tensor]
    """Networks and state of the method."""
    optimisers: dict[str, dict[str, Any]]
    """State of each, by the method's name for it."""


RUN_FORMAT = 3
"""Version of a run's checkpoint."""


def save_checkpoint(run: RunFolder, state: RunState) -> None:
    """The state, atomically: killed while writing, the one before is still there."""
    data = {"format": RUN_FORMAT, **vars(state)}
    identity = run.identity()
    if identity is not None:
        data["run"] = identity
    write_atomically(run.checkpoint, partial(_save, data))


def _save(data: dict[str, Any], file: BinaryIO) -> None:
    """`torch.save`, which tells that the file is cut short; what cut it, Ctrl-C or a full disk, is raised here."""
    try:
        torch.save(data, file)
    except RuntimeError as error:
        if isinstance(error.__context__, (KeyboardInterrupt, OSError)):
            raise error.__context__ from None
        raise


def load_checkpoint(run: RunFolder) -> RunState | None:
    """What `save_checkpoint` wrote, on the CPU; None where the run has not come that far.

    Raises:
        CheckpointError: it is damaged, of another run, or another version wrote it.
    """
    if not run.checkpoint.exists():
        return None
    anew = "to begin anew remove the folder or choose another --run"
    data: Any = read_tensors(run.checkpoint, f"damaged, {anew}")
    if isinstance(data, dict) and isinstance(data.get("format"), int) and data["format"] != RUN_FORMAT:
        newer = data["format"] > RUN_FORMAT
        raise CheckpointError(
            f"{run.checkpoint}: written by {'a newer' if newer else 'an earlier'} pcm3 (format {data['format']}, this "
            f"one goes on with {RUN_FORMAT}): {'update pcm3' if newer else f'go on with that version, or {anew}'}"
        )
    parts = {"format": int, "step": int, "seconds": float, "method": dict, "optimisers": dict}
    if not isinstance(data, dict) or not all(isinstance(data.get(name), kind) for name, kind in parts.items()):
        raise CheckpointError(f"{run.checkpoint}: damaged, expected {', '.join(parts)} in it; {anew}")
    if "run" in data and run.identity() not in (None, data["run"]):
        raise CheckpointError(f"{run.checkpoint}: damaged, it is of another run than settings.json beside it; {anew}")
    return RunState(data["step"], data["seconds"], data["method"], data["optimisers"])
