"""Our pretraining step on random clips, ready to be measured."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcm3.benchmark.parts import Stopwatch, watched
from pcm3.device import allow_fast_matmul, choose_threads, threads
from pcm3.methods import pcm3 as methods
from pcm3.methods.pcm3_views import Views
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import load_layout
from pcm3.train.loop import generator_for, train_step
from pcm3.train.optimiser import build_optimiser
from pcm3.train.pretrain import build_method, encoder_spec, view_maker

LAYOUT, BODIES = "kinect_v2", 2
CLIPS, CLIP_FRAMES = 512, 90
FEW = 4
"""Clips of the first step, in which the optimiser and the libraries make what they keep."""
AT_A_GO = {"cpu": 1, "cuda": 10}
"""Steps between two looks at the clock: on a GPU steps overlap, as in training."""

Clips = NDArray[np.float32]


def random_clips() -> Clips:
    """(N, T, M, V, C) noise of a body's size, two Kinect v2 bodies, always the same."""
    shape = (CLIPS, CLIP_FRAMES, BODIES, len(load_layout(LAYOUT).joints), 3)
    return np.random.default_rng(0).normal(scale=0.3, size=shape).astype(np.float32)


def random_numbers(turn: int, batch: int) -> NDArray[np.int64]:
    """(B,) which clips a turn's batch holds, the same for whoever has a go in that turn."""
    return np.random.default_rng([1, turn]).integers(CLIPS, size=batch)


class StepSeconds(NamedTuple):
    """Of one step."""

    views: float
    """Making the views."""
    rest: float
    """Forward, backward, optimiser, queue."""

    @property
    def whole(self) -> float:
        """Both."""
        return self.views + self.rest


class Step:
    """One configuration, its networks on the device, one step on a few clips done."""

    def __init__(self, settings: PretrainSettings, device: torch.device, clips: Clips) -> None:
        """Build everything that a step needs.

        Args:
            settings: sizes and switches; `precision` is "32" or "bf16".
            device: where to compute.
            clips: (N, T, M, V, C).
        """
        self.settings, self.device = settings, device
        self.threads = choose_threads(settings.threads, settings.encoder.hidden_size, device)
        layout = load_layout(LAYOUT)
        self.spec = encoder_spec(layout, BODIES, settings)
        self.method = build_method(self.spec, settings).to(device).train()
        self.optimiser = build_optimiser(self.method, settings.optimiser)
        self._maker = view_maker(layout, settings)
        self._frames = torch.from_numpy(clips).flatten(0, 1).to(device)
        self._start = torch.arange(0, len(self._frames), clips.shape[1], device=device)
        self._length = torch.full_like(self._start, clips.shape[1])
        self._go(0, FEW, Stopwatch(device))

    def seconds(self, turn: int) -> StepSeconds:
        """Of a step; nothing in it is watched but where the views end."""
        count = AT_A_GO[self.device.type]
        watch = Stopwatch(self.device)
        for place in range(count):
            self._go(turn * count + place, self.settings.batch, watch)
        spent = watch.seconds()
        views = spent.pop("views")
        return StepSeconds(views / count, sum(spent.values()) / count)

    def parts(self, turn: int) -> dict[str, float]:
        """Seconds of each of `parts.PARTS` in a step; another step than the one that `seconds` measures."""
        watch = Stopwatch(self.device)
        with watched(self.method, watch):
            self._go(turn, self.settings.batch, watch)
        return watch.seconds()

    @property
    def clip_bytes(self) -> int:
        """Of the clips on the device, beyond those that it was given."""
        return self._frames.nbytes if self.device.type == "cuda" else 0

    def step(self, turn: int) -> None:
        """One step, as in training."""
        self._go(turn, self.settings.batch, Stopwatch(self.device))

    def _go(self, turn: int, batch: int, watch: Stopwatch) -> None:
        """One step of training; afterwards the gradients are let go, for the others that have their turn."""
        allow_fast_matmul(self.device)
        parts = [
            (torch.from_numpy(numbers).to(self.device), generator_for(0, turn, 0, self.device, part))
            for part, numbers in enumerate(np.split(random_numbers(turn, batch), self._parts(batch)))
        ]
        told = _Told(self, watch)
        with threads(self.threads):
            watch.turn("other forward")
            train_step(told, told.method, told, told.draw, parts)
            watch.turn("done")
        self.optimiser.zero_grad(set_to_none=True)

    def _parts(self, batch: int) -> int:
        """Parts that a batch is worked through in; the few clips of the first step are one."""
        return self.settings.micro_batches if batch == self.settings.batch else 1

    def views(self, clips: Tensor, generator: torch.Generator) -> Views:
        """Of these clips (B,)."""
        return self._maker(self._frames, self._start[clips], self._length[clips], generator)


class _Told:
    """What `loop.train_step` takes for its Fabric and its optimiser, which tells the watch where the step is."""

    world_size = 1

    def __init__(self, step: Step, watch: Stopwatch) -> None:
        self._step, self._watch = step, watch
        self.method = _Autocast(step.method, step.device, step.settings.precision == "bf16")

    def draw(self, clips: Tensor, generator: torch.Generator) -> Views:
        self._watch.turn("views")
        views = self._step.views(clips, generator)
        self._watch.turn("other forward")
        return views

    def no_backward_sync(self, method: object) -> AbstractContextManager[None]:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        self._watch.turn("losses backward")
        loss.backward()

    def zero_grad(self, set_to_none: bool) -> None:
        self._step.optimiser.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        self._watch.turn("optimiser")
        self._step.optimiser.step()
        self._watch.turn("queue")


class _Autocast:
    """The method in the precision of its networks."""

    def __init__(self, method: methods.PCM3, device: torch.device, enabled: bool) -> None:
        self._method, self._device, self._enabled, self.queue = method, device, enabled, method.queue

    def __call__(self, views: Views, generator: torch.Generator, **more: bool) -> methods.Step:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._enabled):
            found: methods.Step = self._method(views, generator, **more)
        return found
