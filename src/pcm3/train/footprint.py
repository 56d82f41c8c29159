"""The memory that a run needs at the least, reckoned from its sizes: what cannot fit is refused before it begins."""

from __future__ import annotations

from dataclasses import replace

import psutil
import torch

from pcm3.encoders.readout import pooled_width
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError
from pcm3.settings.pretrain import PretrainSettings, flat

GIB = 2**30
STATES = {"sgd": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimiser keeps of each weight."""
SIZES = ("encoder.hidden_size", "encoder.layers", "batch", "frames", "objective.queue", "objective.embedding",
         "objective.decoder_hidden")  # fmt: skip
"""Settings that the memory follows from."""
MODEST = {"encoder.hidden_size": 64, "encoder.layers": 1, "batch": 8, "frames": 16, "objective.queue": 64,
          "objective.embedding": 64, "objective.decoder_hidden": 64}  # fmt: skip
"""A value of each that is not to blame."""


def check_memory(spec: EncoderSpec, settings: PretrainSettings, device: torch.device) -> None:
    """Raises ConfigError where a step cannot fit into the memory of the device, naming the size that is to blame."""
    room = memory_of(device)
    needed = least_bytes(spec, settings)
    if needed <= room:
        return
    asked = _sizes(settings)
    blamed = min(SIZES, key=lambda name: _bytes(spec, settings, asked | {name: min(asked[name], MODEST[name])}))
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
    """Of `SIZES`; 0 for what the method does not have."""
    values = flat(settings)
    return {name: values.get(name, 0) for name in SIZES}


def _bytes(spec: EncoderSpec, settings: PretrainSettings, size: dict[str, int]) -> int:
    width, frames = 2 * size["encoder.hidden_size"], size["frames"]
    of_frame = spec.bodies * spec.joints * 3
    encoder = _weights(replace(spec, hidden_size=size["encoder.hidden_size"], layers=size["encoder.layers"]))
    pooled = pooled_width(spec.pooling, width)
    projector = pooled * (pooled + size["objective.embedding"])
    bridge = size["objective.decoder_hidden"]
    decoder = bridge * (width + 13 * bridge + of_frame)
    moved = (encoder + projector + decoder) * (2 + STATES[settings.optimiser.kind])  # and their gradients
    queue = size["objective.queue"] * size["objective.embedding"]
    part = size["batch"] // settings.pieces
    views = 3 * part * frames * of_frame
    kept = part * frames * width * size["encoder.layers"] // (2 if settings.precision == "bf16" else 1)
    return 4 * (moved + encoder + projector + queue + views + kept)


def _weights(spec: EncoderSpec) -> int:
    """Weights of the encoder's layers, counted in one that is built without memory; each layer from the fourth on is
    taken to have as many as the third.
    """

    def count(layers: int) -> int:
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in replace(spec, layers=layers).build().layers.parameters())

    if spec.layers <= 3:
        return count(spec.layers)
    return count(3) + (spec.layers - 3) * (count(3) - count(2))


def _rounded(gib: float) -> str:
    return f"{gib:,.0f}" if gib < 1e6 else f"{gib:.0e}"
