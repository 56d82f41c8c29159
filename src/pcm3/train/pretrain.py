"""``pcm3 pretrain``: a store and settings in, a run folder with an encoder out; run again, it resumes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcm3.clips import ClipBank, clips_to_fit, fit_readout, frames_on
from pcm3.data.protocol import hold_out, split
from pcm3.data.store import ClipStore
from pcm3.data.verified import check_unchanged
from pcm3.device import (
    allow_fast_matmul,
    choose_device,
    choose_precision,
    choose_threads,
    first_process,
    slow_bf16,
    threads,
)
from pcm3.errors import CheckpointError, ConfigError, RunFailed
from pcm3.files import write_json
from pcm3.methods.pcm3 import PCM3
from pcm3.methods.pcm3_views import ViewMaker, Views
from pcm3.settings.pcm3 import pcm3_of
from pcm3.settings.pretrain import Device, PretrainSettings
from pcm3.skeleton import Layout
from pcm3.train import loop, plan
from pcm3.train.checkpoint import EncoderSpec, load_checkpoint, save_checkpoint, save_encoder
from pcm3.train.clock import Clock
from pcm3.train.distributed import agree_with_launcher, make_fabric, told_of_lost_processes
from pcm3.train.footprint import check_memory
from pcm3.train.optimiser import build_optimiser
from pcm3.train.progress import Progress
from pcm3.train.run_folder import RunFolder, changes, locked
from pcm3.train.sync_batch_norm import normalise_over_processes


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
    say: Callable[[str], object] = lambda line: None,
) -> PretrainResult:
    """Pretrain PCM³ on the training side of a protocol, or go on with the run that the folder holds.

    Args:
        store: clips to learn from; their labels are not looked at.
        run_path: the run folder; made if it does not exist.
        settings: of the run.
        progress: show a progress bar on stderr.
        say: is told each size that was chosen, and why, and what is slow on this machine.

    Raises:
        ConfigError: settings make no sense together or here, or the folder holds another run.
        CheckpointError: the folder's checkpoint is damaged.
        DataError: the store's bytes are not what was written.
        RunFailed: the loss is not finite, the disk is full, or another process of the run has ended.
    """
    settings.check()
    agree_with_launcher(settings.devices, settings.nodes)
    settings = resolve(settings, store)
    clips = training_clips(store, settings)
    view_maker(store.layout, settings)  # says what this layout cannot do, before anything is written
    if (slow := slow_bf16(settings.precision, choose_device(settings.device))) is not None:
        say(slow)
    for doubt in check_unchanged(store) if first_process() else ():
        say(f"note: {doubt}")
    settings, why = _sized(store, len(clips), run_path, settings, say)
    with locked(run_path) if first_process() else nullcontext():
        run = RunFolder(run_path)
        described = {"path": str(store.path), "kind": store.kind, "clips": len(store), "checksum": store.checksum}
        try:
            if first_process():
                run.begin(settings, described)
                if why and not (run.goes_on and (run_path / plan.FILE).exists()):
                    write_json(run_path / plan.FILE, why)
            with threads(settings.threads or 1), told_of_lost_processes(settings.devices * settings.nodes > 1):
                return _run(store, clips, run, settings, progress, say)
        except OSError as error:
            told = error.strerror or error
            if error.errno == errno.ENOMEM:
                raise RunFailed(f"out of memory ({told}); the last checkpoint of {run.path} is intact") from error
            raise RunFailed(
                f"{run.path} cannot be written ({told}); the last checkpoint is intact, so make room and run the same "
                "command again"
            ) from error


def _sized(
    store: ClipStore, clips: int, run_path: Path, settings: PretrainSettings, say: Callable[[str], object]
) -> tuple[PretrainSettings, list[str]]:
    """The settings with no size left to choose, and why they were chosen; those of a run that the folder holds stay."""
    run = RunFolder(run_path)
    held = run.read_settings()[0] if run.settings.exists() else None
    if (
        held is not None
        and not run.goes_on
        and set(changes(held, settings)) - {"encoder.hidden_size", "batch", "threads"}
    ):
        held = None  # another run takes its place
    settings, why = plan.with_sizes(settings, clips, held)
    settings.check()
    if clips < settings.batch:
        raise ConfigError(
            f"setting batch: expected at most the {clips} training clips of the store, got {settings.batch}"
        )
    device = choose_device(settings.device)
    settings = replace(settings, threads=choose_threads(settings.threads, settings.encoder.hidden_size, device))
    check_memory(encoder_spec(store.layout, store.frames.shape[1], settings), settings, device)

    def pace(of: PretrainSettings) -> float:
        return plan.pace_of(lambda folder, short: pretrain(store, folder, short, progress=False), of)

    settings, why_so_long = plan.with_length(settings, clips, pace, held)
    for reason in why + why_so_long:
        say(reason)
    return settings, why + why_so_long


def resolve(settings: PretrainSettings, store: ClipStore) -> PretrainSettings:
    """The settings with nothing left on "auto": what the run folder keeps, so that a resumed run is the same.

    Raises:
        ConfigError: the store has no protocol to choose, or there is no such device.
    """
    device = choose_device(settings.device)
    protocol = settings.protocol
    if protocol == "auto":
        protocol = next(iter(store.protocols), "all")
    chosen: Device = "cuda" if device.type == "cuda" else "cpu"
    precision = choose_precision(settings.precision, device)
    return replace(settings, protocol=protocol, device=chosen, precision=precision)


def training_clips(store: ClipStore, settings: PretrainSettings) -> NDArray[np.int64]:
    """Numbers of the clips that the run learns from, (N,): the training side without the subjects that are left out.

    Raises:
        DataError: the store cannot serve the protocol, or does not tell the subjects that are to be left out.
        ConfigError: a subject to be left out is not on the training side, or is all that there is.
    """
    clips = np.arange(len(store)) if settings.protocol == "all" else split(store, settings.protocol)[0]
    return hold_out(store, clips, settings.exclude_subjects)[0]


def spec_for(store: ClipStore, settings: PretrainSettings) -> EncoderSpec:
    """The encoder that the settings ask for, for the clips of this store, and what it is pretrained on."""
    spec = encoder_spec(store.layout, store.frames.shape[1], settings)
    spec = replace(spec, store_checksum=store.checksum, gaps=store.has_gaps)
    return replace(spec, fps=store.fps, normalised=store.normalised, rule=store.rule)


def encoder_spec(layout: Layout, bodies: int, settings: PretrainSettings) -> EncoderSpec:
    """The encoder that the settings ask for, for clips of this layout with room for so many bodies."""
    chosen = settings.encoder
    return EncoderSpec(
        layout=layout.name,
        bodies=bodies,
        joints=len(layout.joints),
        hidden_size=chosen.hidden_size,
        layers=chosen.layers,
        direction=chosen.direction,
        pooling=chosen.pooling,
        stream=settings.stream,
        kind=chosen.kind,
        input_features=tuple(chosen.input_features),
        parents=layout.parents if chosen.kind == "graph" or "bone" in chosen.input_features else (),
        normalise_features=chosen.normalise_features,
        frames=settings.frames,
        protocol=settings.protocol,
    )


def build_method(spec: EncoderSpec, settings: PretrainSettings) -> PCM3:
    """PCM³ with fresh weights, which follow from the seed."""
    objective, prompts = pcm3_of(settings.method).objective, pcm3_of(settings.method).prompts
    encoder = spec.build(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return PCM3(
            encoder,
            embedding=objective.embedding,
            projector_norm=objective.projector_norm,
            decoder_hidden=objective.decoder_hidden,
            positives=tuple(objective.positives),
            queue=objective.queue,
            negatives=objective.negatives,
            momentum=objective.momentum,
            temperature=objective.temperature,
            student_temperature=objective.student_temperature,
            teacher_temperature=objective.teacher_temperature,
            contrast_weight=objective.contrast_weight,
            distillation_weight=objective.distillation_weight,
            prediction_weight=objective.prediction_weight,
            prediction_error=objective.prediction_error,
            predicted_view=objective.predicted_view,
            decoder_gradient=objective.decoder_gradient,
            prompts=prompts.kind,
            domain_place=prompts.domain,
            prompt_width=prompts.width,
            prompt_place=prompts.place,
        )


def view_maker(layout: Layout, settings: PretrainSettings, gaps: bool = False) -> ViewMaker:
    """What makes the views of a batch of clips of this layout; ``gaps``: single joints are absent from some frames."""
    views, mask = pcm3_of(settings.method).views, pcm3_of(settings.method).mask
    return ViewMaker(
        layout=layout,
        stream=settings.stream,
        frames=settings.frames,
        crop=views.crop,
        least_frames=views.min_frames,
        spatial=views.spatial,
        shear=views.shear,
        jitter=views.jitter_joint_ratio,
        jittered=views.jitter_prob,
        turn=views.yaw,
        limbs=views.bone_scale,
        mirror=views.flip_prob,
        mix_per_clip=views.mix_per_clip,
        mask=mask.kind,
        mask_ratio=mask.ratio,
        mask_per_clip=mask.per_clip,
        mask_bodies=mask.bodies,
        gaps=gaps,
    )


def batch_drawer(
    store: ClipStore, clips: NDArray[np.int64], maker: ViewMaker, device: torch.device, processes: int = 1
) -> Callable[[Tensor, torch.Generator], Views]:
    """What turns places in `clips` (B,) into views, with everything that it needs on the device already."""
    frames = frames_on(store.frames, device, processes)
    start = torch.from_numpy(store.start[clips].astype(np.int64)).to(device)
    length = torch.from_numpy(store.length[clips].astype(np.int64)).to(device)
    return lambda numbers, generator: maker(frames, start[numbers], length[numbers], generator)


def _run(
    store: ClipStore,
    clips: NDArray[np.int64],
    run: RunFolder,
    settings: PretrainSettings,
    progress: bool,
    say: Callable[[str], object],
) -> PretrainResult:
    fabric = make_fabric(settings)
    allow_fast_matmul(fabric.device)
    spec = spec_for(store, settings)
    method = build_method(spec, settings)
    order = loop.BatchOrder(len(clips), settings.batch, settings.seed)
    total = settings.steps or settings.epochs * order.steps_per_epoch
    chosen = settings.optimiser
    schedule = loop.Schedule(
        chosen.schedule, chosen.lr, tuple(chosen.drop_epochs), order.steps_per_epoch, total, chosen.warmup_steps
    )
    seconds = settings.minutes * 60 if settings.minutes else float("inf")
    clock = Clock(run.clock if fabric.is_global_zero else None, total, seconds)

    state = load_checkpoint(run) or {"step": 0, "seconds": 0.0}
    if "method" in state:
        _restore(method, state["method"], run)
    if settings.sync_batchnorm and fabric.world_size > 1:
        normalise_over_processes(method)
    method = method.to(fabric.device)
    optimiser = build_optimiser(method, settings.optimiser)
    if "optimiser" in state:
        _restore(optimiser, state["optimiser"], run)
    first = state["step"]
    fabric_method, fabric_optimiser = fabric.setup(method, optimiser)

    def save(step: int, seconds: float, finished: bool = False) -> None:
        if not all(bool(parameter.isfinite().all()) for parameter in method.parameters()):
            raise RunFailed(
                f"weights are not finite after step {step}. The last checkpoint is from before; a lower "
                "--optimiser.lr or --precision 32 in another --run may help"
            )
        if fabric.is_global_zero:
            save_checkpoint(
                run,
                {"step": step, "seconds": seconds, "method": method.state_dict(), "optimiser": optimiser.state_dict()},
            )
            keep(step, finished)

    def keep(step: int, finished: bool) -> None:
        encoder = method.encoder if pcm3_of(settings.method).objective.export == "online" else method.key_encoder
        if settings.encoder.normalise_features:
            encoder = deepcopy(encoder)  # the run goes on with one that was never fitted, so that resuming is exact
            bank = ClipBank.of(store, settings.stream, settings.frames, fabric.device)
            fit_readout(encoder, clips_to_fit(bank, clips))
        save_encoder(run, encoder, replace(spec, step=step, finished=finished))

    def together(values: Tensor) -> Tensor:
        return values if fabric.world_size == 1 else fabric.all_reduce(values, reduce_op="mean")

    with (
        loop.Metrics(run.metrics if fabric.is_global_zero else None, first, together) as metrics,
        Progress(first, total, settings, run, show=progress and fabric.is_global_zero) as bar,
    ):
        if metrics.unreadable:
            say(f"note: {metrics.unreadable} damaged lines of {run.metrics} are left out")
        steps, seconds = loop.train(
            fabric,
            fabric_method,
            fabric_optimiser,
            draw=batch_drawer(
                store, clips, view_maker(store.layout, settings, store.has_gaps), fabric.device, settings.devices
            ),
            order=order,
            schedule=schedule,
            steps=total,
            clock=clock,
            seed=settings.seed,
            first_step=first,
            seconds_before=state["seconds"],
            accumulate=settings.micro_batches,
            checkpoint_steps=settings.checkpoint_steps,
            save=save,
            metrics=metrics,
            show=bar.show,
        )
    if steps > first or not run.encoder.exists():
        save(steps, seconds, finished=True)
    elif fabric.is_global_zero:
        keep(steps, finished=True)
    session = seconds - state["seconds"]
    return PretrainResult(
        run=str(run.path),
        clips=len(clips),
        steps=steps,
        epochs=round(steps / order.steps_per_epoch, 3),
        seconds=round(seconds, 3),
        clips_per_s=round((steps - first) * settings.batch / session, 1) if steps > first else 0.0,
        loss=metrics.loss,
    )


def _restore(part: torch.nn.Module | torch.optim.Optimizer, state: dict[str, Any], run: RunFolder) -> None:
    try:
        part.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{run.checkpoint}: does not fit the run's settings ({error})") from None
