"""All that is decided before a run: what is left to the program is chosen from the store, the time and the machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcm3.data.protocol import hold_out, split
from pcm3.data.store import ClipStore
from pcm3.data.verified import check_unchanged
from pcm3.device import choose_device, choose_precision, choose_threads, first_process, slow_bf16
from pcm3.encoders.spec import ClipFormat, EncoderSpec, Provenance, format_of
from pcm3.errors import ConfigError
from pcm3.settings.methods import name_of_method
from pcm3.settings.pretrain import Device, PretrainSettings, flat
from pcm3.skeleton import Layout
from pcm3.summary import counted, in_digits
from pcm3.train.distributed import agree_with_launcher
from pcm3.train.footprint import check_memory
from pcm3.train.loop import BatchOrder, LoopPlan
from pcm3.train.run_folder import RunFolder, changes, decisive
from pcm3.train.schedule import Schedule

BATCH = 64
"""Clips a step, where the store has twice as many."""
WIDTH = 128
"""H, where there are few clips."""
WIDE, WIDE_CLIPS = 256, 10_000
"""H where there are so many clips that a narrow encoder is what limits the features."""
MOST_EPOCHS = 2000
"""No run is longer: more brings nothing."""
MINUTES = 15.0
"""Of a run whose length nothing tells."""
FILE = "sizes.json"
"""In the run folder: what was chosen and why, a list of lines."""
SAFETY = 0.95
"""Share of the time that the steps are planned for: the machine may be slower later than while it was measured."""


@dataclass(frozen=True)
class RunPlan:
    """A run with nothing left to decide: the same in every process, and in the run that goes on with it."""

    settings: PretrainSettings
    """Nothing in them is "auto", or 0 where that means chosen by the program."""
    clips: NDArray[np.int64]
    """(N,) numbers in the store of the clips to learn from."""
    spec: EncoderSpec
    """The encoder, and what it is pretrained on."""
    reasons: tuple[str, ...] = ()
    """What the program chose, and why; a line each."""

    @property
    def loop(self) -> LoopPlan:
        """The steps of the run."""
        settings, chosen = self.settings, self.settings.optimiser
        order = BatchOrder(len(self.clips), settings.batch, settings.seed)
        steps = settings.steps or settings.epochs * order.steps_per_epoch
        schedule = Schedule(
            chosen.schedule, chosen.lr, tuple(chosen.drop_epochs), order.steps_per_epoch, steps, chosen.warmup_steps,
            chosen.decay, chosen.decay_steps, chosen.drop, chosen.cosine_end,
        )  # fmt: skip
        return LoopPlan(order, schedule, steps, settings.seed, settings.micro_batches, settings.checkpoint_steps)

    @property
    def seconds(self) -> float:
        """That training may take; inf: as long as it takes."""
        return self.settings.minutes * 60 if self.settings.minutes else math.inf


def plan_run(
    store: ClipStore,
    run_path: Path,
    settings: PretrainSettings,
    pace: Callable[[ClipStore, RunPlan], float],
    log: Callable[[str], object],
) -> RunPlan:
    """What a run with these settings is; what the folder's run chose for itself stays.

    `pace`: seconds of a step of a run, on this machine now. `log` is told what was chosen and what is slow or odd.

    Raises:
        ConfigError: settings make no sense together or here.
        CheckpointError: the folder's settings are damaged.
        DataError: the store's bytes are not what was written, or it cannot serve the protocol.
    """
    settings.check()
    agree_with_launcher(settings.devices, settings.nodes)
    settings = resolve(settings, store)
    device, clips = choose_device(settings.device), training_clips(store, settings)
    if (slow := slow_bf16(settings.precision, device)) is not None:
        log(slow)
    for doubt in check_unchanged(store) if first_process() else ():
        log(f"note: {doubt}")
    held = _held(run_path, settings)
    settings, reasons = with_sizes(settings, len(clips), held)
    settings.check()
    if len(clips) < settings.batch:
        raise ConfigError(
            f"setting batch: expected at most the {len(clips)} training clips of the store, got {settings.batch}"
        )
    settings = replace(settings, threads=choose_threads(settings.threads, settings.encoder.hidden_size, device))
    spec = spec_for(store, settings)
    check_memory(spec, settings, device)
    settings, why_so_long = with_length(settings, len(clips), lambda of: pace(store, RunPlan(of, clips, spec)), held)
    for reason in reasons + why_so_long:
        log(reason)
    return RunPlan(settings, clips, spec, (*reasons, *why_so_long))


def _held(run_path: Path, settings: PretrainSettings) -> PretrainSettings | None:
    """The settings of the run that the folder holds, if it is the one to go on with."""
    run = RunFolder(run_path)
    held = run.read_settings()[0] if run.settings.exists() else None
    if (
        held is not None
        and not run.goes_on
        and set(changes(held, settings)) - {"encoder.hidden_size", "batch", "threads"}
    ):
        return None  # another run takes its place
    return held


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
    origin = Provenance(
        method=name_of_method(settings.method),
        settings=decisive(settings),
        store_checksum=store.checksum,
        protocol=settings.protocol,
        version=version("pcm3"),
    )
    gaps = store.has_gaps or loses_joints(settings)
    return replace(spec.fed_with(format_of(store)), gaps=gaps, provenance=origin)


def loses_joints(settings: PretrainSettings) -> bool:
    """Whether the method's views lack single joints that the clips have."""
    return bool(flat(settings).get("views.flicker"))


def encoder_spec(layout: Layout, bodies: int, settings: PretrainSettings) -> EncoderSpec:
    """The encoder that the settings ask for, for clips of this layout with room for so many bodies."""
    return EncoderSpec.of(settings.encoder, ClipFormat(layout, bodies), settings.stream, settings.frames)


def with_sizes(
    settings: PretrainSettings, clips: int, held: PretrainSettings | None = None
) -> tuple[PretrainSettings, list[str]]:
    """The settings without a 0 for width and batch, and why these were chosen; a run that is `held` keeps its own.

    Raises:
        ConfigError: there are too few clips to choose a batch.
    """
    why: list[str] = []
    hidden_size, batch = settings.encoder.hidden_size, settings.batch
    if hidden_size == 0 and held is not None:
        hidden_size = held.encoder.hidden_size
    elif hidden_size == 0 and clips < WIDE_CLIPS:
        hidden_size = WIDTH
        why.append(f"hidden_size {hidden_size}: {clips:,} clips are fewer than {WIDE_CLIPS:,}")
    elif hidden_size == 0:
        hidden_size = WIDE
        why.append(f"hidden_size {hidden_size}: {clips:,} clips are {WIDE_CLIPS:,} or more; the published recipe for "
                   "so many, which takes a GPU, is --preset paper")  # fmt: skip
    if batch == 0 and held is not None:
        batch = held.batch
    elif batch == 0:
        batch, reason = _batch(settings, clips)
        why.append(f"batch {batch}: {reason}")
    return replace(settings, encoder=replace(settings.encoder, hidden_size=hidden_size), batch=batch), why


def _batch(settings: PretrainSettings, clips: int) -> tuple[int, str]:
    """Clips a step, and why so many: the usual number, or half of the clips, in whole micro-batches."""
    pieces, least = settings.pieces, settings.method.min_clips
    wanted = min(BATCH, clips // 2)
    batch = max(wanted // pieces, least) * pieces
    if batch > clips // 2:
        raise ConfigError(
            f"setting batch: expected at least {2 * least * pieces} training clips to choose it, found {clips}: "
            "add clips, or choose --batch"
        )
    reason = "the usual number" if wanted == BATCH else f"half of the {clips:,} clips"
    return batch, reason if batch == wanted else f"{reason}, as a multiple of {pieces} micro-batches"


def with_length(
    settings: PretrainSettings,
    clips: int,
    pace: Callable[[PretrainSettings], float],
    held: PretrainSettings | None = None,
) -> tuple[PretrainSettings, list[str]]:
    """The settings with a number of steps where epochs are 0, and why so many.

    The schedule of the learning rate needs to know the end, so the time becomes a number of steps before the first.

    Raises:
        ConfigError: several processes would each measure another number.
    """
    of_epoch = clips // settings.batch
    if settings.epochs > 0:
        return settings, []
    if settings.steps is not None:
        return replace(settings, epochs=_epochs(settings.steps, of_epoch)), []
    if held is not None:
        minutes = settings.minutes or held.minutes
        length = f"steps {held.steps:,}" if held.steps else f"epochs {held.epochs}"
        why = f"{length}, as the run began, whose schedule ends there; other minutes only stop it before or later"
        changed = minutes != held.minutes
        return replace(settings, epochs=held.epochs, steps=held.steps, minutes=minutes), [why] if changed else []
    if settings.devices * settings.nodes > 1:
        raise ConfigError(
            f"setting steps: expected steps or epochs where {settings.devices * settings.nodes} processes train "
            "together, got neither: how many fit into the minutes is measured in one process only"
        )
    minutes = settings.minutes or MINUTES
    settings = replace(settings, minutes=minutes)
    steps, reason = _fitting(settings, clips, of_epoch, pace(settings))
    why = f"steps {steps:,}, {counted(steps / of_epoch, 'epoch')} of {clips:,} clips: {reason}"
    return replace(settings, epochs=_epochs(steps, of_epoch), steps=steps), [why]


def _epochs(steps: int, of_epoch: int) -> int:
    """Epochs that hold so many steps."""
    return -(-steps // of_epoch)


def _fitting(settings: PretrainSettings, clips: int, of_epoch: int, seconds: float) -> tuple[int, str]:
    """The steps of so many seconds that fit into the minutes, and why so many."""
    assert settings.minutes is not None
    fit, most = max(int(settings.minutes * 60 * SAFETY / seconds), 1), MOST_EPOCHS * of_epoch
    measured = f"at the {in_digits(settings.batch / seconds)} clips/s that were measured just now"
    if fit <= most:
        return fit, f"what fits into {counted(settings.minutes, 'minute')} {measured}"
    takes = most * seconds / 60
    return most, (
        f"more than {MOST_EPOCHS:,} epochs bring nothing; {measured} they take {counted(takes, 'minute')} of "
        f"{counted(settings.minutes, 'minute')}"
    )
