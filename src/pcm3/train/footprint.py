"""The memory that a run needs at the least, reckoned from its sizes: what cannot fit is refused before it begins."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import psutil
import torch

from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError
from pcm3.methods.build import build_method
from pcm3.settings.pretrain import PretrainSettings, changed, flat

GIB = 2**30
STATES = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimiser keeps of each weight."""
SIZES = ("encoder.hidden_size", "encoder.layers", "batch", "frames", "objective.queue", "objective.embedding",
         "objective.decoder_hidden", "objective.head_hidden", "objective.discriminator_hidden", "second.hidden_size",
         "second.channels")  # fmt: skip
"""Settings that the memory follows from."""
MODEST = {"encoder.hidden_size": 64, "encoder.layers": 1, "batch": 8, "frames": 16, "objective.queue": 64,
          "objective.embedding": 64, "objective.decoder_hidden": 64, "objective.head_hidden": 64,
          "objective.discriminator_hidden": 64, "second.hidden_size": 64, "second.channels": 64}  # fmt: skip
"""A value of each that is not to blame."""

UNCOUNTABLE = 2**63
"""Bytes from which on torch does not count the size of a tensor."""


def check_memory(spec: EncoderSpec, settings: PretrainSettings, device: torch.device) -> None:
    """Raises ConfigError where a step cannot fit into the memory of the device, naming the size that is to blame."""
    room = memory_of(device)
    needed = least_bytes(spec, settings)
    if needed <= room:
        return
    asked = _sizes(settings)
    blamed = min(asked, key=lambda name: _bytes(spec, settings, asked | {name: min(asked[name], MODEST[name])}))
    raise ConfigError(
        f"setting {blamed}: expected a size that fits into the {room / GIB:,.0f} GiB of memory here, got "
        f"{asked[blamed]:,}, with which a step needs {_rounded(needed / GIB)} GiB at the least"
    )


def memory_of(device: torch.device) -> int:
    """Bytes of memory that the device has, in use or not."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return int(psutil.virtual_memory().total)


def least_bytes(spec: EncoderSpec, settings: PretrainSettings) -> int:
    """Bytes that a training process needs beyond clips and libraries: weights, what moves them, views, features."""
    return _bytes(spec, settings, _sizes(settings))


def _sizes(settings: PretrainSettings) -> dict[str, int]:
    """Of `SIZES`, those that the method has."""
    values = flat(settings)
    return {name: values[name] for name in SIZES if name in values}


class _Counts(NamedTuple):
    """How many numbers a method holds."""

    held: int
    """Weights, key copies, queues."""
    trained: int
    """Of these, what an optimiser moves."""
    encoders: int


def _bytes(spec: EncoderSpec, settings: PretrainSettings, size: dict[str, int]) -> int:
    try:
        held, trained, encoders = _counts(spec, changed(settings, size))
    except RuntimeError:  # torch's, of a tensor whose size overflows its counting
        return UNCOUNTABLE
    moving = trained * (1 + STATES[settings.optimiser.kind])  # gradients, and what the optimiser keeps
    part, layers = size["batch"] // settings.pieces, size["encoder.layers"]
    views = 2 * part * size["frames"] * spec.bodies * spec.joints * 3
    kept = part * size["frames"] * 2 * size["encoder.hidden_size"] * layers
    kept = kept // 2 if settings.precision == "bf16" else kept
    return 4 * (held + moving + encoders * (views + kept))


def _counts(spec: EncoderSpec, settings: PretrainSettings) -> _Counts:
    """Counted in the method, built without memory; each layer from the fourth on is taken to be like the third."""

    def count(layers: int) -> _Counts:
        of = replace(spec, hidden_size=settings.encoder.hidden_size, layers=layers)
        with torch.device("meta"):
            method = build_method(of.build, spec.layout, settings)
        held = sum(tensor.numel() for tensor in method.state_dict().values())
        trained = sum(weight.numel() for weight in method.parameters() if weight.requires_grad)
        return _Counts(held, trained, len(method.encoders()))

    layers = settings.encoder.layers
    if layers <= 3:
        return count(layers)
    two, three = count(2), count(3)
    more = layers - 3
    return _Counts(
        three.held + more * (three.held - two.held),
        three.trained + more * (three.trained - two.trained),
        three.encoders,
    )


def _rounded(gib: float) -> str:
    return f"{gib:,.0f}" if gib < 1e6 else f"{gib:.0e}"
