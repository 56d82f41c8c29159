"""``pcm3 pretrain``: a store and settings in, a run folder with an encoder out; run again, it resumes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pcm3.data.store import ClipStore
from pcm3.device import first_process, threads
from pcm3.errors import RunFailed
from pcm3.files import DISK_FULL, write_json
from pcm3.methods.build import build_method
from pcm3.settings.pretrain import PretrainSettings
from pcm3.train.distributed import reporting_lost_processes
from pcm3.train.pace import measure_pace
from pcm3.train.plan import FILE, RunPlan, plan_run
from pcm3.train.run_folder import RunFolder, locked
from pcm3.train.session import Session


@dataclass(frozen=True)
class PretrainResult:
    """What a run came to."""

    run: str
    clips: int
    """Clips trained on."""
    steps: int
    epochs: float
    seconds: float
    """Seconds spent training, earlier sessions of the run included."""
    clips_per_s: float
    """Clips a second in this session; 0 where there was nothing left to do."""
    loss: float | None
    """Mean loss of the last steps that were looked at."""


def pretrain(
    store: ClipStore,
    run_path: Path,
    settings: PretrainSettings,
    progress: bool = True,
    log: Callable[[str], object] = lambda line: None,
) -> PretrainResult:
    """Pretrain on the training side of a protocol, or go on with the run that the folder holds.

    Args:
        store: clips to learn from; their labels are not looked at.
        run_path: the run folder; made if it does not exist.
        settings: of the run.
        progress: show a progress bar on stderr.
        log: is told each size that was chosen, and why, and what is slow on this machine.

    Raises:
        ConfigError: settings make no sense together or here, or the folder holds another run.
        CheckpointError: the folder's checkpoint is damaged.
        DataError: the store's bytes are not what was written.
        RunFailed: the loss is not finite, the disk is full, or another process of the run has ended.
    """
    plan = plan_run(store, run_path, settings, measure_pace, log)
    method = build_method(plan.spec.build, store.layout, plan.settings)  # what it refuses, before anything is written
    with locked(run_path) if first_process() else nullcontext():
        run = RunFolder(run_path)
        try:
            if first_process():
                _begin(run, store, plan)
            several = plan.settings.devices * plan.settings.nodes > 1
            with threads(plan.settings.threads or 1), reporting_lost_processes(several):
                return _train(Session(store, plan, method, run), progress, log)
        except OSError as error:
            reason = error.strerror or error
            if error.errno == errno.ENOMEM:
                raise RunFailed(f"out of memory ({reason}); the last checkpoint of {run.path} is intact") from error
            remedy = "make room" if error.errno in DISK_FULL else "let it be written"
            place = Path(error.filename).parent if error.filename else run.path
            raise RunFailed(
                f"{place} cannot be written ({reason}); the last checkpoint is intact, so {remedy} "
                "and run the same command again"
            ) from error


def _begin(run: RunFolder, store: ClipStore, plan: RunPlan) -> None:
    """Write down what the run is, or see that it is the one that the folder holds."""
    described = {"path": str(store.path), "kind": store.kind, "clips": len(store), "checksum": store.checksum}
    run.begin(plan.settings, described)
    if plan.reasons and not (run.goes_on and (run.path / FILE).exists()):
        write_json(run.path / FILE, list(plan.reasons))


def _train(session: Session, progress: bool, log: Callable[[str], object]) -> PretrainResult:
    """Train to the end of the plan, and leave the encoders behind."""
    plan, run, first = session.plan, session.run, session.first_step
    steps, seconds = session.train(log, visible=progress)
    if steps == first:  # a run that was finished has taken no time since: tables made again are the same to the byte
        seconds = session.seconds_before
    if steps > first or not run.encoder.exists():
        session.save(steps, seconds, finished=True)
    elif first_process():
        session.export(steps, finished=True)
    spent, batch = seconds - session.seconds_before, plan.settings.batch
    return PretrainResult(
        run=str(run.path),
        clips=len(plan.clips),
        steps=steps,
        epochs=round(steps / plan.loop.order.steps_per_epoch, 3),
        seconds=round(seconds, 3),
        clips_per_s=round((steps - first) * batch / spent, 1) if steps > first else 0.0,
        loss=session.loss,
    )
