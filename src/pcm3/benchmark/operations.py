"""Multiplications and additions, counted from the sizes of the matrices; element-wise work is not counted."""

from __future__ import annotations

from collections.abc import Callable

from pcm3.encoders.readout import pooled_width
from pcm3.encoders.spec import EncoderSpec
from pcm3.errors import ConfigError
from pcm3.settings.pcm3 import pcm3_of
from pcm3.settings.pretrain import PretrainSettings


def encoder_flop_per_clip(spec: EncoderSpec) -> float:
    """Of one clip in one forward pass of the encoder.

    Raises:
        ConfigError: its layers are graph convolutions.
    """
    if spec.kind not in LAYERS:
        raise ConfigError(
            f"setting encoder.kind: expected {' or '.join(LAYERS)}, whose multiplications and additions are counted, "
            f"got {spec.kind}: benchmark one of these"
        )
    scores = 4 * spec.hidden_size if spec.pooling == "attention" else 0
    return float(
        spec.frames * (scores + LAYERS[spec.kind](spec, spec.bodies * spec.joints * 3 * len(spec.input_features)))
    )


def _recurrent(spec: EncoderSpec, seen: int) -> int:
    """Of one frame in all layers: two GRUs each, of three gates, on what comes in and on the state."""
    layers = [seen, *[2 * spec.hidden_size] * (spec.layers - 1)]
    return sum(2 * 2 * 3 * spec.hidden_size * (taken + spec.hidden_size) for taken in layers)


def _attention(spec: EncoderSpec, seen: int) -> int:
    """Of one frame in all blocks: query, key and value, what is gathered, both layers of the MLP, and all frames."""
    width = 2 * spec.hidden_size
    return 2 * seen * width + spec.layers * (2 * 12 * width * width + 2 * 2 * spec.frames * width)


LAYERS: dict[str, Callable[[EncoderSpec, int], int]] = {"gru": _recurrent, "transformer": _attention}
"""The networks that are counted: (encoder, inputs of a frame) → operations of a frame."""


def step_flop_per_clip(spec: EncoderSpec, settings: PretrainSettings) -> float:
    """Of one clip in one pretraining step.

    A backward pass costs twice its forward pass; the key network has none.

    Raises:
        ConfigError: the encoder's layers are graph convolutions.
    """
    outputs, width, objective = spec.bodies * spec.joints * 3, 2 * spec.hidden_size, pcm3_of(settings.method).objective
    pooled = pooled_width(spec.pooling, width)
    encoder, projector = encoder_flop_per_clip(spec), 2 * pooled * (pooled + objective.embedding)
    bridge = objective.decoder_hidden
    decoder = spec.frames * 2 * (width * bridge + bridge * bridge + 2 * 3 * bridge * 2 * bridge + bridge * outputs)
    positives = set(objective.positives)
    masked = bool(positives & {"mask", "predict"}) or objective.prediction_weight > 0
    encodings = len(positives & {"intra", "inter", "predict"}) + masked
    decodings = (objective.prediction_weight > 0) + ("predict" in positives and objective.decoder_gradient)
    queries = 3 * (encodings * encoder + len(positives) * projector + decodings * decoder)
    part = settings.batch // settings.pieces
    negatives = part if objective.negatives == "batch" else objective.queue
    contrast = 3 * len(positives) * 2 * negatives * objective.embedding
    keys = (encoder + projector) if positives else 0
    return float(queries + keys + contrast)
