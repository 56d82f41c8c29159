"""How fast a frozen encoder gives clip features."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from pcm3.benchmark.interleaved import Spread, interleaved
from pcm3.benchmark.machine import matmul_gflops, now
from pcm3.benchmark.operations import encoder_flop_per_clip
from pcm3.benchmark.step import BODIES, CLIPS, LAYOUT
from pcm3.clips import frozen
from pcm3.encoders.spec import EncoderSpec
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import load_layout
from pcm3.train.footprint import check_memory
from pcm3.train.plan import encoder_spec


@dataclass(frozen=True)
class EncodeSpeed:
    """One width in one precision. Medians over the turns."""

    hidden_size: int
    precision: str
    batch: int
    threads: int
    turns: int
    clips_per_s: float
    lowest: float
    """Clips a second in the slowest turn."""
    highest: float
    """Clips a second in the fastest turn."""
    gflop_per_clip: float
    """Billions of multiplications and additions for one clip, as torch counts them."""
    gflops: float
    """Reached: billions of them a second."""
    matmul_gflops: float
    """Of a plain matrix product in the same precision on all cores, measured in every turn."""
    matmul_share: float
    """gflops / matmul_gflops."""


def benchmark_encode(
    configurations: Sequence[PretrainSettings],
    turns: int,
    warm: int,
    device: torch.device,
    on_progress: Callable[[str], object] = lambda what: None,
) -> list[EncodeSpeed]:
    """A row for each configuration: the features of one batch of random clips, in each turn by each.

    Args:
        configurations: encoder, frames, batch, precision.
        turns: turns that count.
        warm: turns before them that do not.
        device: where to compute.
        on_progress: called with what comes next, before every go.
    """
    specs = [encoder_spec(load_layout(LAYOUT), BODIES, settings) for settings in configurations]
    for spec, settings in zip(specs, configurations, strict=True):
        check_memory(spec, settings, device)
    goes = {
        place: _timed(spec, settings, device, on_progress)
        for place, (spec, settings) in enumerate(zip(specs, configurations, strict=True))
    }
    measured = interleaved(goes, turns, warm)
    return [_row(spec, configurations[place], measured[place]) for place, spec in enumerate(specs)]


def _timed(
    spec: EncoderSpec, settings: PretrainSettings, device: torch.device, on_progress: Callable[[str], object]
) -> Callable[[int], tuple[float, float]]:
    """What encodes one batch, and gives the seconds and the matmul rate."""
    encoder = spec.build(0).to(device)
    shape = (min(settings.batch, CLIPS), spec.frames, spec.bodies, spec.joints, 3)
    clips = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)

    def go(turn: int) -> tuple[float, float]:
        on_progress(f"hidden_size {settings.encoder.hidden_size}, {settings.precision}")
        began = now(device)
        with frozen(encoder), torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            encoder.embed(clips)
        return now(device) - began, matmul_gflops(settings.precision, device)

    return go


def _row(spec: EncoderSpec, settings: PretrainSettings, goes: list[tuple[float, float]]) -> EncodeSpeed:
    flop, batch = encoder_flop_per_clip(spec), min(settings.batch, CLIPS)
    rate = Spread.of([batch / seconds for seconds, _ in goes], 2)
    reached, limit = flop * rate.median / 1e9, statistics.median(limit for _, limit in goes)
    return EncodeSpeed(
        settings.encoder.hidden_size,
        settings.precision,
        batch,
        torch.get_num_threads(),
        len(goes),
        *rate,
        gflop_per_clip=round(flop / 1e9, 3),
        gflops=round(reached, 1),
        matmul_gflops=round(limit, 1),
        matmul_share=round(reached / limit, 3),
    )
