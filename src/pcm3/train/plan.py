"""The sizes of a pretraining run that are left to the program: chosen from the store, the time and the machine."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pcm3.errors import ConfigError
from pcm3.settings.pretrain import PretrainSettings
from pcm3.train.run_folder import RunFolder

PACE_STEPS, WARM_STEPS = 30, 10
"""Steps of the run that tells how long a step takes; of these the first, which take longer, are not counted."""
PACE_SHARE, PACE_SECONDS = 0.1, 1.0
"""Of the time, what that run may take at most, and what it may take in any case."""
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


def with_sizes(
    settings: PretrainSettings, clips: int, held: PretrainSettings | None = None
) -> tuple[PretrainSettings, list[str]]:
    """The settings without a 0 for width and batch, and why these were chosen.

    Args:
        settings: 0 where the choice is left to the program.
        clips: to train on.
        held: of the run to go on with, whose sizes stay.

    Raises:
        ConfigError: there are too few clips to choose a batch.
    """
    why: list[str] = []
    hidden, batch = settings.encoder.hidden_size, settings.batch
    if hidden == 0 and held is not None:
        hidden = held.encoder.hidden_size
    elif hidden == 0 and clips < WIDE_CLIPS:
        hidden = WIDTH
        why.append(f"hidden_size {hidden}: {clips:,} clips are fewer than {WIDE_CLIPS:,}")
    elif hidden == 0:
        hidden = WIDE
        why.append(f"hidden_size {hidden}: {clips:,} clips are {WIDE_CLIPS:,} or more; the published recipe for so "
                   "many, which takes a GPU, is --preset paper")  # fmt: skip
    if batch == 0 and held is not None:
        batch = held.batch
    elif batch == 0:
        batch, told = _batch(settings, clips)
        why.append(f"batch {batch}: {told}")
    return replace(settings, encoder=replace(settings.encoder, hidden_size=hidden), batch=batch), why


def _batch(settings: PretrainSettings, clips: int) -> tuple[int, str]:
    """Clips a step, and why so many: the usual number, or half of the clips, in whole parts."""
    parts, least = settings.pieces, settings.method.min_clips
    wanted = min(BATCH, clips // 2)
    batch = max(wanted // parts, least) * parts
    if batch > clips // 2:
        raise ConfigError(
            f"setting batch: expected at least {2 * least * parts} training clips to choose it, found {clips}: "
            "add clips, or choose --batch"
        )
    told = "the usual number" if wanted == BATCH else f"half of the {clips:,} clips"
    return batch, told if batch == wanted else f"{told}, as a multiple of {parts} micro-batches"


def with_length(
    settings: PretrainSettings,
    clips: int,
    pace: Callable[[PretrainSettings], float],
    held: PretrainSettings | None = None,
) -> tuple[PretrainSettings, list[str]]:
    """The settings with a number of steps where epochs are 0, and why so many.

    The schedule of the learning rate needs to know the end, so the time becomes a number of steps before the first.

    Args:
        settings: with sizes.
        clips: to train on, at least a batch.
        pace: seconds of a step of a run with these settings, on this machine now.
        held: of the run to go on with, whose steps stay: its schedule ends there.

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
    steps, told = _fitting(settings, clips, of_epoch, pace(settings))
    why = f"steps {steps:,}, {steps / of_epoch:,.3g} epochs of {clips:,} clips: {told}"
    return replace(settings, epochs=_epochs(steps, of_epoch), steps=steps), [why]


def _epochs(steps: int, of_epoch: int) -> int:
    """Epochs that hold so many steps."""
    return -(-steps // of_epoch)


def _fitting(settings: PretrainSettings, clips: int, of_epoch: int, seconds: float) -> tuple[int, str]:
    """The steps of so many seconds that fit into the minutes, and why so many."""
    assert settings.minutes is not None
    fit, most = max(int(settings.minutes * 60 * SAFETY / seconds), 1), MOST_EPOCHS * of_epoch
    measured = f"at the {settings.batch / seconds:,.0f} clips/s that were measured just now"
    if fit <= most:
        return fit, f"what fits into {in_words(settings.minutes)} {measured}"
    takes = most * seconds / 60
    return most, (
        f"more than {MOST_EPOCHS:,} epochs bring nothing; {measured} they take {in_words(takes)} of "
        f"{in_words(settings.minutes)}"
    )


def in_words(minutes: float) -> str:
    """As in "15 minutes"."""
    return f"{minutes:.3g} minute{'' if minutes == 1 else 's'}"


def pace_of(pretrain: Callable[[Path, PretrainSettings], object], settings: PretrainSettings) -> float:
    """Seconds of a step of a run with these settings, its share of the checkpoints included.

    Measured in a run of at most `PACE_STEPS`, which is thrown away.

    Args:
        pretrain: makes the run in a folder.
        settings: of the run, with sizes and minutes.
    """
    assert settings.minutes is not None
    most = max(PACE_SHARE * settings.minutes, PACE_SECONDS / 60)
    short = replace(settings, epochs=1, steps=PACE_STEPS, minutes=most, checkpoint_steps=PACE_STEPS, tensorboard=False)
    with tempfile.TemporaryDirectory(prefix="pcm3-pace-") as folder:
        pretrain(Path(folder), short)
        run = RunFolder(Path(folder))
        # Between the last line and the encoder lies what a checkpoint takes: for small networks more than a few steps.
        saving = max(run.encoder.stat().st_mtime - run.metrics.stat().st_mtime, 0.0)
        return measured_pace(run) + saving / settings.checkpoint_steps


def measured_pace(run: RunFolder) -> float:
    """Seconds of a step, from the metrics of a run of at most `PACE_STEPS` steps, without those that are warm-up."""
    lines = run.metrics.read_text(encoding="utf-8").splitlines()
    at = {line["step"]: line["seconds"] for line in map(json.loads, lines)}
    last = max(at)
    first = WARM_STEPS if last > WARM_STEPS else 0
    pace = (at[last] - at.get(first, 0.0)) / (last - first)
    return float(max(pace, math.ulp(1.0)))
