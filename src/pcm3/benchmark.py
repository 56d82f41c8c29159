"""How fast this machine pretrains: medians, and the share of the machine's own matmul rate."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pcm3.checkpoint import EncoderSpec
from pcm3.config import Device, PretrainSettings
from pcm3.device import allow_fast_matmul, choose_device, choose_threads
from pcm3.errors import ConfigError
from pcm3.loop import generator_for
from pcm3.pretrain import build_method, build_optimiser, encoder_spec, view_maker
from pcm3.skeleton import load_layout

BODIES = 2
CLIPS, CLIP_FRAMES = 512, 90
MATMUL = 2048
"""Side of the square matrices whose product is the yardstick."""
AUTOCAST = {"32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class PretrainSpeed:
    """One configuration's row."""

    hidden: int
    precision: str
    batch: int
    clips_per_s: float
    """Median over the steps."""
    step_s: float
    """Median seconds of a step: views, forward, backward, optimiser, queue."""
    views_share: float
    """Share of the step that making the views takes."""
    gflop_per_clip: float
    """Multiplications and additions of the networks for one clip, forward and backward, counted from the sizes."""
    gflops: float
    """Reached: billions of them a second."""
    matmul_gflops: float
    """Of a plain matrix product in the same precision on all cores, measured between the steps."""
    matmul_share: float
    """gflops / matmul_gflops."""
    threads: int
    """CPU threads that the step ran on."""
    steps: int
    """Steps measured."""


def benchmark_pretrain(
    settings: PretrainSettings, steps: int, tick: Callable[[], object] = lambda: None, device: Device = "auto"
) -> PretrainSpeed:
    """Time pretraining steps on random clips of two Kinect v2 bodies, after one step of warming up.

    Args:
        settings: sizes and switches; `precision` must be "32" or "bf16".
        steps: steps to measure.
        tick: called after every step.
        device: where to compute.
    """
    chosen = choose_device(device)
    allow_fast_matmul(chosen)
    layout = load_layout("kinect_v2")
    spec = encoder_spec(layout, BODIES, settings)
    method = build_method(spec, settings).to(chosen).train()
    optimiser = build_optimiser(method, settings)
    maker = view_maker(layout, settings)
    rng = np.random.default_rng(0)
    shape = (CLIPS * CLIP_FRAMES, BODIES, spec.joints, 3)
    frames = torch.from_numpy(rng.normal(scale=0.3, size=shape).astype(np.float32)).to(chosen)
    start = torch.arange(0, len(frames), CLIP_FRAMES, device=chosen)
    length = torch.full_like(start, CLIP_FRAMES)

    step_seconds, view_seconds, matmul_seconds = [], [], []
    count, all_cores = choose_threads(settings.threads, settings.hidden, chosen), torch.get_num_threads()
    for step in range(steps + 1):
        generator = generator_for(0, step, 0, chosen)
        numbers = torch.randint(CLIPS, (settings.batch,), generator=generator, device=chosen)
        torch.set_num_threads(count)
        began = _now(chosen)
        views = maker(frames, start[numbers], length[numbers], generator)
        viewed = _now(chosen)
        with torch.autocast(chosen.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            result = method(views, generator)
        optimiser.zero_grad(set_to_none=True)
        result.loss.backward()
        optimiser.step()
        method.queue.push(result.keys)
        ended = _now(chosen)
        torch.set_num_threads(all_cores)  # the machine's rate is that of all its cores
        if step:  # the first warms up
            step_seconds.append(ended - began)
            view_seconds.append(viewed - began)
        matmul_seconds.append(_matmul_seconds(settings.precision, chosen))
        tick()
    median, flop = statistics.median(step_seconds), flop_per_clip(spec, settings)
    rate, limit = flop * settings.batch / median / 1e9, 2 * MATMUL**3 / statistics.median(matmul_seconds) / 1e9
    return PretrainSpeed(
        hidden=settings.hidden,
        precision=settings.precision,
        batch=settings.batch,
        clips_per_s=round(settings.batch / median, 2),
        step_s=round(median, 4),
        views_share=round(statistics.median(view_seconds) / median, 3),
        gflop_per_clip=round(flop / 1e9, 3),
        gflops=round(rate, 1),
        matmul_gflops=round(limit, 1),
        matmul_share=round(rate / limit, 3),
        threads=count,
        steps=steps,
    )


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    model = _cpu_name() or platform.processor() or platform.machine()
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "gpu": gpu, "torch": torch.__version__}


def flop_per_clip(spec: EncoderSpec, settings: PretrainSettings) -> float:
    """Multiplications and additions of one clip in one step, counted from the sizes of the matrices.

    A backward pass costs twice its forward pass; the key network has none. Element-wise work is not counted.
    """
    hidden, frames, outputs = settings.hidden, settings.views.frames, BODIES * spec.joints * 3
    width, objective = 2 * hidden, settings.objective
    gru = sum(2 * 2 * 3 * hidden * ((outputs if layer == 0 else width) + hidden) for layer in range(spec.layers))
    encoder, projector = frames * gru, 2 * width * (width + objective.embedding)
    bridge = objective.decoder_hidden
    decoder = frames * 2 * (width * bridge + bridge * bridge + 2 * 3 * bridge * 2 * bridge + bridge * outputs)
    positives = set(objective.positives)
    masked = bool(positives & {"mask", "predict"}) or objective.prediction_weight > 0
    encodings = len(positives & {"intra", "inter", "predict"}) + masked
    decodings = (objective.prediction_weight > 0) + ("predict" in positives and objective.decoder_gradient)
    queries = 3 * (encodings * encoder + len(positives) * projector + decodings * decoder)
    contrast = 3 * len(positives) * 2 * objective.queue * objective.embedding
    return float(queries + encoder + projector + contrast)


def _matmul_seconds(precision: str, device: torch.device) -> float:
    """Seconds of one product of two square matrices, in the precision of the networks."""
    if precision not in AUTOCAST:
        raise ConfigError(f"setting precision: expected {' or '.join(AUTOCAST)} for a benchmark, got {precision}")
    matrix = torch.ones(MATMUL, MATMUL, dtype=AUTOCAST[precision], device=device)
    began = _now(device)
    matrix @ matrix
    return _now(device) - began


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
