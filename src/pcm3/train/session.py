"""A run in this process, from its plan and what its folder holds: trained, saved, its encoders left behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pcm3.clips import ClipBank, clips_to_fit, fit_readout
from pcm3.data.store import ClipStore
from pcm3.encoders.files import save_encoder
from pcm3.errors import CheckpointError, RunFailed
from pcm3.methods.protocol import AnyMethod
from pcm3.train import loop
from pcm3.train.checkpoint import RunState, load_checkpoint, save_checkpoint
from pcm3.train.clock import Clock
from pcm3.train.distributed import make_fabric
from pcm3.train.metrics_log import Metrics
from pcm3.train.plan import RunPlan
from pcm3.train.progress import ProgressBar
from pcm3.train.run_folder import RunFolder
from pcm3.train.sync_batch_norm import normalise_over_processes


class Session:
    """A run, new or gone on with."""

    def __init__(
        self,
        store: ClipStore,
        plan: RunPlan,
        method: AnyMethod,
        run: RunFolder,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Processes, networks and optimisers as they stand after the run's last checkpoint; `now` tells the time.

        Raises:
            CheckpointError: the folder's checkpoint is damaged, or of another run.
        """
        assert isinstance(method, nn.Module)
        settings = plan.settings
        self.plan, self.run, self.method, self._now = plan, run, method, now
        self.fabric = fabric = make_fabric(settings)
        held = load_checkpoint(run)
        if held is not None:
            _restore(method, held.method, run)
        if settings.sync_batchnorm and fabric.world_size > 1:
            normalise_over_processes(method)
        method.to(fabric.device)
        self.optimisers = method.optimisers(settings.optimiser)
        self.first_step, self.seconds_before = 0, 0.0
        if held is not None:
            self.first_step, self.seconds_before = held.step, held.seconds
            for name, optimiser in self.optimisers.items():
                _restore(optimiser, held.optimisers.get(name, {}), run)
        module, *optimisers = fabric.setup(method, *self.optimisers.values())
        self._learner = loop.Learner(method, module, dict(zip(self.optimisers, optimisers, strict=True)))
        self._clips = ClipBank.of(store, settings.stream, settings.frames, fabric.device, settings.devices)
        self.loss: float | None = None
        """Mean loss of the steps that were looked at last."""

    def train(self, log: Callable[[str], object] = lambda line: None, visible: bool = False) -> tuple[int, float]:
        """Steps done and seconds spent, both since the run first began; `log` is told what is odd.

        Raises:
            RunFailed: the loss or the weights are not finite.
        """
        fabric, plan, run = self.fabric, self.plan.loop, self.run
        first_process = fabric.is_global_zero
        own = torch.from_numpy(self.plan.clips).to(fabric.device)

        def together(values: Tensor) -> Tensor:
            return values if fabric.world_size == 1 else fabric.all_reduce(values, reduce_op="mean")

        board = run.path if self.plan.settings.tensorboard else None
        with (
            Metrics(run.metrics if first_process else None, self.first_step, together) as metrics,
            ProgressBar(
                self.first_step, plan.steps, plan.order.batch, board=board, visible=visible and first_process
            ) as bar,
        ):
            if metrics.unreadable:
                log(f"note: {metrics.unreadable} damaged lines of {run.metrics} are left out")
            with torch.random.fork_rng(devices=[fabric.device] if fabric.device.type == "cuda" else []):
                done = loop.train(
                    fabric,
                    self._learner,
                    plan,
                    clips_of=lambda indices: replace(self._clips.batch(own[indices]), gaps=self.plan.spec.gaps),
                    clock=Clock(run.clock if first_process else None, plan.steps, self.plan.seconds, self._now),
                    first_step=self.first_step,
                    seconds_before=self.seconds_before,
                    save=self.save,
                    metrics=metrics,
                    show=bar.show,
                )
        self.loss = metrics.loss
        return done

    def save(self, step: int, seconds: float, finished: bool = False) -> None:
        """Write all that the run needs to go on, and its encoders as they stand.

        Raises:
            RunFailed: a weight is not finite.
        """
        if not all(bool(parameter.isfinite().all()) for parameter in self.method.parameters()):
            raise RunFailed(
                f"weights are not finite after step {step}. The last checkpoint is from before; a lower "
                "--optimiser.lr or --precision 32 in another --run may help"
            )
        if self.fabric.is_global_zero:
            optimisers = {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}
            save_checkpoint(self.run, RunState(step, seconds, self.method.state_dict(), optimisers))
            self.export(step, finished)

    def export(self, step: int, finished: bool) -> None:
        """Write the encoders that the method leaves behind: the first into the run's folder, others beneath it."""
        for number, (name, exported) in enumerate(self.method.encoders().items()):
            encoder, stream, settings = exported
            spec = replace(self.plan.spec.after(step, finished), stream=stream)
            if settings is not None:
                spec = spec.with_encoder(settings)
            if spec.normalise_features:
                encoder = deepcopy(encoder)  # the run goes on with one that was never fitted: resuming is exact
                fit_readout(encoder, clips_to_fit(replace(self._clips, stream=stream), self.plan.clips))
            folder = self.run.path if number == 0 else self.run.path / name
            save_encoder(folder, encoder, spec, self.run.identity())


def _restore(part: nn.Module | torch.optim.Optimizer, state: dict[str, Any], run: RunFolder) -> None:
    try:
        part.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{run.checkpoint}: does not fit the run's settings ({error})") from None
