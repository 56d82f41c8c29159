"""Three streams: what encoders of joints, bones and motion say together (PCM³ Table 1, 3s-)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pcm3.errors import DataError
from pcm3.tasks.classifier import ClassifierResult

Logits = NDArray[np.float32]

WEIGHTS = {
    "equal": {"joint": 1.0, "bone": 1.0, "motion": 1.0},
    "664": {"joint": 0.6, "bone": 0.6, "motion": 0.4},
}
"""How much each stream counts, by the name of the weights."""
RULES = ("logits", "scores")
"""What is summed: the logits, or the softmax scores."""


def fusion(logits: Mapping[str, Logits], label: NDArray[np.int64]) -> ClassifierResult:
    """The accuracy of the streams' weighted sum, by rule and weights, then of each stream alone.

    Metrics: ``top1`` is that of the plain sum of logits, whose sums and classes the result holds; the others are
    ``top1_logits_664``, ``top1_scores_equal``, ``top1_scores_664``, ``top1_joint``, ``top1_bone``, ``top1_motion``.

    Args:
        logits: stream → (N, L) of the same test clips in the same order; some or all of the three streams.
        label: (N,) true classes.

    Raises:
        DataError: no stream, an unknown one, or streams that were not tested on the same clips and classes.
    """
    _check(logits, label)
    sums = {f"{rule}_{name}": fused(logits, rule, weights) for rule in RULES for name, weights in WEIGHTS.items()}
    plain = sums.pop("logits_equal")
    metrics = {"top1": _top1(plain, label)} | {f"top1_{name}": _top1(summed, label) for name, summed in sums.items()}
    metrics |= {f"top1_{stream}": _top1(logits[stream], label) for stream in WEIGHTS["equal"] if stream in logits}
    return ClassifierResult(metrics, plain.argmax(axis=1), plain.astype(np.float32))


def fused(logits: Mapping[str, Logits], rule: str, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """The weighted sum (N, L) over the streams of their logits, or of their softmax `scores`."""
    taken = {name: of_stream.astype(np.float64) for name, of_stream in logits.items()}
    if rule == "scores":
        taken = {name: _softmax(of_stream) for name, of_stream in taken.items()}
    total: NDArray[np.float64] = sum((weights[name] * taken[name] for name in taken), np.zeros(1))
    return total


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _top1(scores: NDArray[np.floating], label: NDArray[np.int64]) -> float:
    return 100 * float(np.mean(scores.argmax(axis=1) == label))


def _check(logits: Mapping[str, Logits], label: NDArray[np.int64]) -> None:
    known = list(WEIGHTS["equal"])
    if not logits or not set(logits) <= set(known):
        raise DataError(f"expected logits of streams ({', '.join(known)}) to sum, got {', '.join(logits) or 'none'}")
    shapes = {name: of_stream.shape for name, of_stream in logits.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 2 or shape[0] != len(label) for shape in shapes.values()):
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(
            f"expected logits of the same {len(label)} test clips and classes from each stream, got {listed}: evaluate "
            "all streams on one store and protocol"
        )
