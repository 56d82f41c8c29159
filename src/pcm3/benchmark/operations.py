"""Multiplications and additions, counted from the sizes of the matrices; element-wise work is not counted."""

from __future__ import annotations

from pcm3.checkpoint import EncoderSpec
from pcm3.config import PretrainSettings
from pcm3.errors import ConfigError


def encoder_flop_per_clip(spec: EncoderSpec) -> float:
    """Of one clip in one forward pass of the encoder.

    Raises:
        ConfigError: its layers are not recurrent.
    """
    if spec.network != "gru":
        raise ConfigError(
            f"setting network: expected gru, whose multiplications and additions are counted here, got {spec.network}: "
            "benchmark the gru"
        )
    seen, width = spec.bodies * spec.joints * 3 * len(spec.sees), 2 * spec.hidden
    layers = [seen, *[width] * (spec.layers - 1)]
    scores = 2 * width if spec.pooling == "attention" else 0
    return float(spec.frames * (scores + sum(2 * 2 * 3 * spec.hidden * (taken + spec.hidden) for taken in layers)))


def step_flop_per_clip(spec: EncoderSpec, settings: PretrainSettings) -> float:
    """Of one clip in one pretraining step.

    A backward pass costs twice its forward pass; the key network has none.

    Raises:
        ConfigError: the encoder's layers are not recurrent.
    """
    outputs, width, objective = spec.bodies * spec.joints * 3, 2 * settings.hidden, settings.objective
    pooled = 2 * width if spec.pooling == "mean_max" else width
    encoder, projector = encoder_flop_per_clip(spec), 2 * pooled * (pooled + objective.embedding)
    bridge = objective.decoder_hidden
    decoder = spec.frames * 2 * (width * bridge + bridge * bridge + 2 * 3 * bridge * 2 * bridge + bridge * outputs)
    positives = set(objective.positives)
    masked = bool(positives & {"mask", "predict"}) or objective.prediction_weight > 0
    encodings = len(positives & {"intra", "inter", "predict"}) + masked
    decodings = (objective.prediction_weight > 0) + ("predict" in positives and objective.decoder_gradient)
    queries = 3 * (encodings * encoder + len(positives) * projector + decodings * decoder)
    part = settings.batch // (settings.devices * settings.nodes * settings.accumulate)
    negatives = part if objective.negatives == "batch" else objective.queue
    contrast = 3 * len(positives) * 2 * negatives * objective.embedding
    return float(queries + encoder + projector + contrast)
