"""Our pretraining step on random clips, ready to be measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pcm3.benchmark.operations import counted
from pcm3.benchmark.stopwatch import Stopwatch
from pcm3.clips import ClipBatch
from pcm3.device import choose_threads, threads
from pcm3.methods.build import build_method
from pcm3.methods.protocol import Progress
from pcm3.settings.pretrain import PretrainSettings
from pcm3.skeleton import load_layout
from pcm3.train.distributed import make_fabric
from pcm3.train.loop import PHASES, Learner, MicroBatch, generator_for, train_step
from pcm3.train.plan import encoder_spec

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


def random_indices(turn: int, batch: int) -> NDArray[np.int64]:
    """(B,) which clips a turn's batch holds, the same for whoever has a go in that turn."""
    return np.random.default_rng([1, turn]).integers(CLIPS, size=batch)


StepSeconds = dict[str, float]
"""Phase of a step → seconds; "views" is one."""


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
        layout = load_layout(LAYOUT)
        self.spec = encoder_spec(layout, BODIES, settings)
        method = build_method(self.spec.build, layout, settings)
        assert isinstance(method, nn.Module)
        self.method = method.to(device).train()
        (name, self.optimiser), *_ = method.optimisers(settings.optimiser).items()
        alone = replace(settings, devices=1, nodes=1, device="cuda" if device.type == "cuda" else "cpu")
        self._fabric = make_fabric(alone)
        module, optimiser = self._fabric.setup(method, self.optimiser)
        self._learner = Learner(method, module, {name: optimiser})
        self._frames = torch.from_numpy(clips).flatten(0, 1).to(device)
        self._start = torch.arange(0, len(self._frames), clips.shape[1], device=device)
        self._length = torch.full_like(self._start, clips.shape[1])
        self.threads = 1
        with counted() as counter:
            self._go(0, FEW, Stopwatch(device))
        self.flop_per_clip = counter.total / FEW
        """Multiplications and additions of the products, forward and backward, for one clip."""
        self.threads = choose_threads(settings.threads, settings.encoder.hidden_size, device)

    def seconds(self, turn: int) -> StepSeconds:
        """Of the phases of a step, `train.loop.PHASES`."""
        count = AT_A_GO[self.device.type]
        watch = Stopwatch(self.device)
        for place in range(count):
            self._go(turn * count + place, self.settings.batch, watch)
        spent = watch.seconds()
        return {phase: spent[phase] / count for phase in PHASES}

    @property
    def clip_bytes(self) -> int:
        """Of the clips on the device, beyond those that it was given."""
        return self._frames.nbytes if self.device.type == "cuda" else 0

    def _go(self, turn: int, batch: int, watch: Stopwatch) -> None:
        """One step of training; afterwards the gradients are let go, for the others that have their turn."""
        # The few clips of the first step are one micro-batch.
        count = self.settings.micro_batches if batch == self.settings.batch else 1
        micro_batches = [
            MicroBatch(self._clips(indices), generator_for(0, turn, 0, self.device, part))
            for part, indices in enumerate(np.split(random_indices(turn, batch), count))
        ]
        with threads(self.threads):
            train_step(self._fabric, self._learner, micro_batches, Progress(turn, 0, 0.0), watch.start)
            watch.start("done")
        self.optimiser.zero_grad(set_to_none=True)

    def _clips(self, indices: NDArray[np.int64]) -> ClipBatch:
        """The clips of these numbers (B,)."""
        index = torch.from_numpy(indices).to(self.device)
        return ClipBatch(self._frames, self._start[index], self._length[index], index, gaps=False)
