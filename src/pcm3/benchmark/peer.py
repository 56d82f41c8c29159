"""The released PCM³ code, as it lies in a user's checkout, one training step of it at a time.

Its files are neither copied nor changed. What does not run on this machine or with this NumPy is replaced in the
running process, and put back after every use: ``.cuda()`` where there is no GPU, names that NumPy has dropped, imports
of torchvision and TensorBoard that its training step does not need. It runs in float32, as it stands.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from pcm3.benchmark.machine import now
from pcm3.benchmark.step import BODIES, FEW, Clips, StepSeconds, random_indices
from pcm3.device import threads
from pcm3.errors import ConfigError
from pcm3.settings.pcm3 import pcm3_of
from pcm3.settings.pretrain import PretrainSettings

FILES = (
    "pretrain_moco_mask.py",
    "utils.py",
    "dataset.py",
    "moco/__init__.py",
    "moco/builder_mask_recons.py",
    "moco/GRU.py",
    "feeder/__init__.py",
    "feeder/feeder_pretraining_base.py",
    "feeder/augmentations.py",
)
"""Of the checkout, those that are used."""
FRAMES, PADDED = 64, 300
"""Frames of its crops, and of its padded clips."""
PROMPTS_AT = 1024
"""The only width that its prompts fit."""


def check_peer(path: Path, settings: PretrainSettings) -> None:
    """See that the checkout can be measured with these settings.

    Raises:
        ConfigError: a file is missing, or its code has fixed what the settings want otherwise.
    """
    missing = next((name for name in FILES if not (path / name).is_file()), None)
    if missing is not None:
        raise ConfigError(f"--peer: expected a checkout of the released PCM3 code, but {path} has no {missing}")
    queue = pcm3_of(settings.method).objective.queue
    rules = [
        (settings.frames == FRAMES, "frames", f"{FRAMES}", settings.frames),
        (queue % settings.batch == 0, "batch", f"a divisor of its queue of {queue} keys", settings.batch),
        (settings.batch >= FEW, "batch", f"at least {FEW}", settings.batch),
    ]
    for fine, name, expected, value in rules:
        if not fine:
            raise ConfigError(f"setting {name}: expected {expected} beside the released code (--peer), got {value}")


def has_prompts(hidden: int) -> bool:
    """Whether its prompts fit an encoder of that width; otherwise its prompt-free forward is taken."""
    return hidden == PROMPTS_AT


class PeerStep:
    """Its network, optimiser, feeder and training step, at one width; one step on a few clips done."""

    def __init__(self, path: Path, settings: PretrainSettings, device: torch.device, clips: Clips) -> None:
        """Build its networks with the sizes of the settings.

        Args:
            path: the checkout; `check_peer` has looked at it.
            settings: sizes: hidden, layers, batch, queue, embedding, and the optimiser's.
            device: where to compute.
            clips: (N, T, M, V, C); its feeder gets them padded to 300 frames with zeros, as its own data are.
        """
        self.settings, self.device, self.threads = settings, device, torch.get_num_threads()
        objective, chosen = pcm3_of(settings.method).objective, settings.optimiser
        with _at_home(path, device), _seeded(0):
            self._script = importlib.import_module("pretrain_moco_mask")
            builder = importlib.import_module("moco.builder_mask_recons")
            importlib.import_module("moco.GRU").device = device  # type: ignore[attr-defined]
            vars(importlib.import_module("feeder.augmentations"))["int"] = _int
            feeder = importlib.import_module("feeder.feeder_pretraining_base").Feeder
            sizes = {
                "en_input_size": BODIES * clips.shape[3] * 3,
                "en_hidden_size": settings.encoder.hidden_size,
                "en_num_layers": settings.encoder.layers,
                "num_class": objective.embedding,
            }
            self.method: nn.Module = builder.MoCo(
                "graph-based",
                sizes,
                objective.embedding,
                objective.queue,
                objective.momentum,
                objective.temperature,
                objective.teacher_temperature,
                objective.student_temperature,
                objective.distillation_weight or 1.0,
                objective.queue,
                True,
            ).to(device)
        self.optimiser = torch.optim.SGD(
            self.method.parameters(), chosen.lr, momentum=chosen.momentum, weight_decay=chosen.weight_decay
        )
        self._loss = nn.CrossEntropyLoss().to(device)
        self._path, self._feeder = path, _fed(feeder, clips)
        self._go(0, FEW)

    def seconds(self, turn: int) -> StepSeconds:
        """Of a step: its augmentation of the clips of this turn in this process, and the rest."""
        return self._go(turn, self.settings.batch)

    @property
    def clip_bytes(self) -> int:
        """Of its padded clips, where they are on the device."""
        return int(self._feeder.data.nbytes) if self.device.type == "cpu" else 0

    def try_threads(self, counts: set[int]) -> None:
        """Take the number of CPU threads on which a step is fastest."""
        if len(counts) == 1:
            self.threads = next(iter(counts))
            return
        taken = {}
        for self.threads in counts:
            taken[self.threads] = self._go(0, self.settings.batch)["rest"]
        self.threads = min(taken, key=taken.__getitem__)

    def _go(self, turn: int, batch: int) -> StepSeconds:
        prompts = "PCM3_wprompt" if has_prompts(self.settings.encoder.hidden_size) else "PCM3_woprompt"
        options = SimpleNamespace(stream="joint", exp_descri=prompts, local_rank=-1, print_freq=1)
        with _at_home(self._path, self.device), _seeded(turn), threads(self.threads):
            began = time.perf_counter()
            views = torch.utils.data.default_collate(
                [self._feeder[int(index)] for index in random_indices(turn, batch)]
            )
            ready = now(self.device)
            self._script.train([views], self.method, self._loss, self.optimiser, 0, options, f=os.devnull)
            done = now(self.device)
        self.optimiser.zero_grad(set_to_none=True)
        return {"views": ready - began, "rest": done - ready}


def _fed(kind: Any, clips: Clips) -> Any:
    """Its feeder over these clips, without its constructor, which reads a file that only its authors have."""
    feeder = kind.__new__(kind)
    padded = np.full((len(clips), 3, PADDED, clips.shape[3], BODIES), 0, np.float32)
    padded[:, :, : clips.shape[1]] = clips.transpose(0, 4, 1, 3, 2)
    feeder.data, feeder.number_of_frames = padded, np.full(len(clips), clips.shape[1])
    feeder.input_size, feeder.l_ratio, feeder.input_representation = FRAMES, [0.1, 1], "graph-based"
    feeder.crop_resize = True
    return feeder


@contextmanager
def _at_home(path: Path, device: torch.device) -> Iterator[None]:
    """Inside, its modules are found and what it assumes is there; what it prints is not shown."""
    with (
        _modules_of(path),
        _stand_ins(),
        _old_numpy(),
        _no_cuda() if device.type == "cpu" else contextlib.nullcontext(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield


_LOADED: dict[Path, dict[str, ModuleType]] = {}
"""Modules of each checkout; their names are common ones, so they stand in `sys.modules` only while they are used."""


@contextmanager
def _modules_of(path: Path) -> Iterator[None]:
    tops = {file.partition("/")[0].removesuffix(".py") for file in FILES}

    def taken_out() -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}

    others, writes = taken_out(), sys.dont_write_bytecode
    sys.modules.update(_LOADED.get(path, {}))
    sys.path.insert(0, str(path))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"--peer: {path} cannot be imported: {error}") from error
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(path))
        _LOADED[path] = taken_out()
        sys.modules.update(others)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Inside, libraries that its files import, but that a step does not need, can be imported."""
    made = {}
    for name, holds in (("torchvision", "transforms"), ("torch.utils.tensorboard", "SummaryWriter")):
        if name not in sys.modules:
            made[name] = ModuleType(name)
            vars(made[name])[holds] = None
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            sys.modules.pop(name, None)


@contextmanager
def _old_numpy() -> Iterator[None]:
    """Inside, NumPy has the names of Python's types, as it had before 1.24."""
    dropped = {kind.__name__: kind for kind in (bool, int, float, complex, object, str)}
    added = {name: kind for name, kind in dropped.items() if name not in vars(np)}
    vars(np).update(added)
    try:
        yield
    finally:
        for name in added:
            del vars(np)[name]


@contextmanager
def _no_cuda() -> Iterator[None]:
    """Inside, ``.cuda()`` leaves tensors and modules where they are."""
    before = torch.Tensor.cuda, nn.Module.cuda
    torch.Tensor.cuda = nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        torch.Tensor.cuda, nn.Module.cuda = before  # type: ignore[method-assign]


@contextmanager
def _seeded(number: int) -> Iterator[None]:
    """Inside, the generators that belong to everyone, which it draws from, start with this number."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002
        torch.manual_seed(number)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _int(value: Any = 0) -> int:
    """``int``, also of an array with one value, which NumPy allowed before 2.4."""
    return int(np.asarray(value).item())
