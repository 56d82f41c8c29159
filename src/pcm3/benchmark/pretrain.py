"""How fast pretraining steps are: ours in several configurations, and the released code's, turn by turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from pcm3.benchmark.interleaved import Spread, interleaved, median_ratio
from pcm3.benchmark.machine import matmul_gflops
from pcm3.benchmark.memory import StepMemory, step_memory
from pcm3.benchmark.peer import PeerStep, check_peer, has_prompts
from pcm3.benchmark.step import BODIES, LAYOUT, Clips, Step, StepSeconds, random_clips
from pcm3.device import choose_threads
from pcm3.settings.pcm3 import pcm3_of
from pcm3.settings.pretrain import PretrainSettings, changed
from pcm3.skeleton import load_layout
from pcm3.train.footprint import check_memory
from pcm3.train.loop import PHASES
from pcm3.train.plan import encoder_spec

PAPER_EPOCHS = 450


class Entrant(NamedTuple):
    """Who is measured, and with what."""

    code: str
    settings: PretrainSettings
    peer: Path | None = None
    """The checkout of the released code, where it is that."""


@dataclass(frozen=True)
class PretrainSpeed:
    """One entrant's row. Medians over the turns."""

    code: str
    """``pcm3`` or ``released``."""
    prompts: str
    """As in the settings: none, domain or both."""
    hidden_size: int
    precision: str
    batch: int
    threads: int
    """CPU threads that the step ran on."""
    turns: int
    """Steps measured (on a GPU: looks at the clock, ten steps each)."""
    clips_per_s: float
    """Of the whole step: views, forward, backward, optimiser, queue."""
    lowest: float
    """Clips a second in the slowest turn."""
    highest: float
    """Clips a second in the fastest turn."""
    step_s: float
    """Seconds of the whole step."""
    views_s: float
    """Seconds of it that making the views takes; of the released code, its augmentation in this process."""
    gflop_per_clip: float
    """Billions of multiplications and additions of the networks for one clip, as torch counts them in our step."""
    gflops: float
    """Reached: billions of them a second."""
    matmul_gflops: float
    """Of a plain matrix product in the same precision on all cores, measured in every turn."""
    matmul_share: float
    """gflops / matmul_gflops."""
    without_views_clips_per_s: float
    """Of all but the views."""
    to_peer: float | None
    """Its clips a second over those of the released code at the same width in the same turn; None without one."""
    to_peer_without_views: float | None
    """The same, of all but the views."""
    parts_s: dict[str, float] | None
    """Seconds of the phases of the step, `train.loop.PHASES`; None for the released code."""
    memory_mib: StepMemory | None
    """Of one step in a fresh process; None where it was not measured."""

    def hours(self, clips: int, epochs: int = PAPER_EPOCHS) -> float:
        """Hours of so many epochs of so many clips at this speed, of the released code as if its views took no time,
        since other processes can make them: extrapolated.
        """
        rate = self.without_views_clips_per_s if self.code == "released" else self.clips_per_s
        return round(epochs * (clips // self.batch * self.batch) / rate / 3600, 2)


class _Go(NamedTuple):
    """What one entrant measured in one turn."""

    seconds: StepSeconds
    matmul: float

    @property
    def step(self) -> float:
        """Seconds of the whole step."""
        return sum(self.seconds.values())

    @property
    def without_views(self) -> float:
        """Seconds of all but the views."""
        return self.step - self.seconds["views"]


def entrants(
    preset: PretrainSettings, widths: Sequence[int], precisions: Sequence[str], peer: Path | None = None
) -> list[Entrant]:
    """Who is measured: ours at every width in every precision; with `peer`, the released code at every width, and
    where its prompts do not fit the width, so that it runs without, ours without prompts too.

    Raises:
        ConfigError: settings make no sense, or the checkout cannot be measured with them.
    """
    goes_of = []
    for width in widths:
        prompts = max(min(pcm3_of(preset.method).prompts.width, width), 1)
        settings = changed(preset, {"encoder.hidden_size": width, "prompts.width": prompts})
        rivals = [settings]
        if peer is not None and not has_prompts(width):
            rivals.append(without_prompts(settings))
        for own in rivals:
            for precision in precisions:
                chosen = replace(own, precision=precision)  # type: ignore[arg-type]
                chosen.check()
                goes_of.append(Entrant("pcm3", chosen))
        if peer is not None:
            matched = replace(rivals[-1], precision="32")
            check_peer(peer, matched)
            goes_of.append(Entrant("released", matched, peer))
    return goes_of


def without_prompts(settings: PretrainSettings) -> PretrainSettings:
    """As the released code computes without prompts: as in the preset released-bone-motion, of joints."""
    less = {"prompts.kind": "none", "objective.decoder_gradient": False, "objective.distillation_weight": 0.0}
    return changed(settings, less)


def benchmark_pretrain(
    measured: Sequence[Entrant],
    turns: int,
    warm: int,
    device: torch.device,
    memory: bool = True,
    on_progress: Callable[[str], object] = lambda what: None,
) -> list[PretrainSpeed]:
    """A row for every entrant; in each turn every one has its go, on the same random clips.

    Args:
        measured: who.
        turns: turns that count.
        warm: turns before them; a step on a few clips has been done before in any case.
        device: where to compute.
        memory: measure it too, first, each in a fresh process.
        on_progress: called with what comes next, before every go, building and measuring of memory.
    """
    for entrant in measured:
        check_memory(encoder_spec(load_layout(LAYOUT), BODIES, entrant.settings), entrant.settings, device)
    clips = random_clips()
    needed: list[StepMemory | None] = [None] * len(measured)
    if memory:
        for place, entrant in enumerate(measured):
            on_progress(f"memory of {_name(entrant)}")
            needed[place] = step_memory(partial(_built, entrant, device), device)
    goes: dict[int, Callable[[int], _Go]] = {}
    steps = []
    for place, entrant in enumerate(measured):
        on_progress(f"building {_name(entrant)}")
        steps.append(_built(entrant, device, clips))
        if isinstance(steps[-1], PeerStep):
            steps[-1].try_threads(
                {1, choose_threads(entrant.settings.threads, entrant.settings.encoder.hidden_size, device)}
            )
        goes[place] = partial(_go, steps[-1], f"{_name(entrant)}", on_progress)
    goes_of = interleaved(goes, turns, warm)
    return [
        _row(
            entrant,
            step.threads,
            # The released code does the same work with the same settings.
            (step if isinstance(step, Step) else Step(entrant.settings, device, clips)).flop_per_clip,
            goes_of[place],
            _peers_goes(measured, goes_of, entrant),
            needed[place],
        )
        for place, (entrant, step) in enumerate(zip(measured, steps, strict=True))
    ]


def calls(measured: Sequence[Entrant], turns: int, warm: int, memory: bool) -> int:
    """How often `benchmark_pretrain` calls `on_progress`."""
    return len(measured) * (memory + 1 + warm + turns)


def _name(entrant: Entrant) -> str:
    settings = entrant.settings
    prompts = ", no prompts" if pcm3_of(settings.method).prompts.kind == "none" else ""
    return f"{entrant.code}, hidden_size {settings.encoder.hidden_size}, {settings.precision}{prompts}"


def _built(entrant: Entrant, device: torch.device, clips: Clips) -> Step | PeerStep:
    if entrant.peer is None:
        return Step(entrant.settings, device, clips)
    return PeerStep(entrant.peer, entrant.settings, device, clips)


def _go(step: Step | PeerStep, name: str, on_progress: Callable[[str], object], turn: int) -> _Go:
    on_progress(name)
    seconds = step.seconds(turn)
    return _Go(seconds, matmul_gflops(step.settings.precision, step.device))


def _peers_goes(measured: Sequence[Entrant], goes_of: dict[int, list[_Go]], entrant: Entrant) -> list[_Go] | None:
    """Of the released code at the entrant's width, if it is there."""
    places = [
        place
        for place, other in enumerate(measured)
        if other.peer is not None and other.settings.encoder.hidden_size == entrant.settings.encoder.hidden_size
    ]
    return goes_of[places[0]] if places else None


def _row(
    entrant: Entrant, threads: int, flop: float, goes: list[_Go], peers: list[_Go] | None, memory: StepMemory | None
) -> PretrainSpeed:
    settings = entrant.settings
    rate = Spread.of([settings.batch / go.step for go in goes], 2)
    step_s = statistics.median(go.step for go in goes)
    reached, limit = flop * settings.batch / step_s / 1e9, statistics.median(go.matmul for go in goes)
    return PretrainSpeed(
        code=entrant.code,
        prompts=pcm3_of(settings.method).prompts.kind,
        hidden_size=settings.encoder.hidden_size,
        precision=settings.precision,
        batch=settings.batch,
        threads=threads,
        turns=len(goes),
        clips_per_s=rate.median,
        lowest=rate.lowest,
        highest=rate.highest,
        step_s=round(step_s, 5),
        views_s=round(statistics.median(go.seconds["views"] for go in goes), 5),
        gflop_per_clip=round(flop / 1e9, 3),
        gflops=round(reached, 1),
        matmul_gflops=round(limit, 1),
        matmul_share=round(reached / limit, 3),
        without_views_clips_per_s=round(statistics.median(settings.batch / go.without_views for go in goes), 2),
        to_peer=_ratio(peers, goes, lambda go: go.step),
        to_peer_without_views=_ratio(peers, goes, lambda go: go.without_views),
        parts_s={phase: round(statistics.median(go.seconds[phase] for go in goes), 5) for phase in PHASES}
        if entrant.peer is None
        else None,
        memory_mib=memory,
    )


def _ratio(peers: list[_Go] | None, goes: list[_Go], of: Callable[[_Go], float]) -> float | None:
    """How many times as fast as the released code; None without it."""
    if peers is None:
        return None
    return median_ratio([of(go) for go in peers], [of(go) for go in goes])
