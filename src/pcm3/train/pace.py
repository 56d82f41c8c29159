"""How long a step of a run takes on this machine: some are made, and thrown away."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pcm3.data.store import ClipStore
from pcm3.device import threads
from pcm3.methods.build import build_method
from pcm3.train.plan import RunPlan
from pcm3.train.run_folder import RunFolder
from pcm3.train.session import Session

PACE_STEPS, WARM_STEPS = 30, 10
"""Steps that are made to tell how long one takes; of these the first, which take longer, are not counted."""
PACE_SHARE, PACE_SECONDS = 0.1, 1.0
"""Of the time, what they may take at most, and what they may take in any case."""


def measure_pace(store: ClipStore, plan: RunPlan, now: Callable[[], float] = time.monotonic) -> float:
    """Seconds of a step of a run that has minutes, its share of the checkpoints included, in a temporary place.

    Args:
        store: clips to learn from.
        plan: of the run.
        now: tells the time; `time.process_time`, that of this process alone.
    """
    settings = plan.settings
    assert settings.minutes is not None
    most = max(PACE_SHARE * settings.minutes, PACE_SECONDS / 60)
    short = replace(settings, epochs=1, steps=PACE_STEPS, minutes=most, checkpoint_steps=PACE_STEPS, tensorboard=False)
    with tempfile.TemporaryDirectory(prefix="pcm3-pace-") as folder, threads(settings.threads or 1):
        run = RunFolder(Path(folder))
        method = build_method(plan.spec.build, store.layout, settings)
        session = Session(store, replace(plan, settings=short), method, run, now)
        steps, seconds = session.train()
        began = now()
        session.save(steps, seconds)
        saving = now() - began  # for small networks more than a few steps
        return measured_pace(run) + saving / settings.checkpoint_steps


def measured_pace(run: RunFolder) -> float:
    """Seconds of a step, from the metrics of a run of at most `PACE_STEPS` steps, without those that are warm-up."""
    lines = run.metrics.read_text(encoding="utf-8").splitlines()
    at = {line["step"]: line["seconds"] for line in map(json.loads, lines)}
    last = max(at)
    first = WARM_STEPS if last > WARM_STEPS else 0
    pace = (at[last] - at.get(first, 0.0)) / (last - first)
    return float(max(pace, math.ulp(1.0)))
