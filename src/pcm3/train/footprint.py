"""The memory that a run needs at the least, reckoned from its sizes: what cannot fit is refused before it begins."""

from __future__ import annotations

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
SIZES = ("encoder.hidden_size", "encoder.layers", "encoder.channels", "batch", "frames", "objective.queue",
         "objective.embedding", "objective.decoder_hidden", "objective.decoder_layers", "objective.head_hidden",
         "objective.discriminator_hidden", "second.hidden_size", "second.layers", "second.channels")  # fmt: skip
"""Settings that the memory follows from."""
MODEST = {"encoder.hidden_size": 64, "encoder.layers": 1, "encoder.channels": 64, "batch": 8, "frames": 16,
          "objective.queue": 64, "objective.embedding": 64, "objective.decoder_hidden": 64,
          "objective.decoder_layers": 1, "objective.head_hidden": 64, "objective.discriminator_hidden": 64,
          "second.hidden_size": 64, "second.layers": 1, "second.channels": 64}  # fmt: skip
"""A value of each that is not to blame."""
LAYERED = ("encoder.layers", "second.layers", "objective.decoder_layers")
"""Sizes that are numbers of layers, of which the first `COUNTED_LAYERS` are built to be counted."""
COUNTED_LAYERS = 4
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
    """Counted in the method, built without memory; what each layer from the fifth on adds grows as it did before."""
    values = flat(settings)
    deep = {name: values[name] for name in LAYERED if values.get(name, 0) > COUNTED_LAYERS}

    def count(changes: dict[str, int]) -> _Counts:
        of = changed(settings, dict.fromkeys(deep, COUNTED_LAYERS) | changes)
        with torch.device("meta"):
            method = build_method(spec.with_encoder(of.encoder).build, spec.layout, of)
        held = sum(tensor.numel() for tensor in method.state_dict().values())
        trained = sum(weight.numel() for weight in method.parameters() if weight.requires_grad)
        return _Counts(held, trained, len(method.encoders()))

    four = count({})
    held, trained = four.held, four.trained
    for name, layers in deep.items():
        two, three = (count({name: layers}) for layers in (2, 3))
        held += _grown(two.held, three.held, four.held, layers - COUNTED_LAYERS)
        trained += _grown(two.trained, three.trained, four.trained, layers - COUNTED_LAYERS)
    return _Counts(held, trained, four.encoders)


def _grown(two: int, three: int, four: int, more: int) -> int:
    """What so many more layers than four add: each as much as the one before, or, of an stgcn, times the same."""
    third, fourth = three - two, four - three
    if fourth <= third:
        return more * fourth
    times = fourth / third
    try:
        return int(fourth * times * (times**more - 1) / (times - 1))
    except OverflowError:
        return UNCOUNTABLE


def _rounded(gib: float) -> str:
    return f"{gib:,.0f}" if gib < 1e6 else f"{gib:.0e}"
