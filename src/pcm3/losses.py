"""The three losses of PCM³, contrast with neighbours, and Barlow Twins', in float32 at least, whatever networks run in.

P is the number of positive pairs (eq. 5), B the batch, K the keys in the queue. Embeddings have unit length.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pcm3.segments import mean_in_segments, segment_of_frame
from pcm3.settings.pcm3 import PredictionError

FLOOR = 0.1
"""A coordinate's deviation counts as at least this share of the root mean square of all: some hardly move."""


def info_nce(
    positive: Float[Tensor, "P B"], negative: Float[Tensor, "P B K"], temperature: float
) -> Float[Tensor, " P"]:
    """How badly each query finds its key among the queue's: the contrastive loss (PCM³ eq. 1 and 2).

    Args:
        positive: query · its key.
        negative: query · each key of the queue.
        temperature: τ.

    Returns:
        The mean over the batch, for each pair.
    """
    positive, negative = accurate(positive) / temperature, accurate(negative) / temperature
    everything = torch.logaddexp(positive, negative.logsumexp(dim=-1))
    return (everything - positive).mean(dim=-1)


def info_nce_with_neighbours(
    positive: Float[Tensor, " B"], relations: Float[Tensor, "B K"], also: Bool[Tensor, "B K"], temperature: float
) -> Float[Tensor, ""]:
    """InfoNCE where some of the other keys are positives, too: the mean over all positives of a query, then over B.

    With no further positives it is `info_nce`.

    Args:
        positive: query · its key.
        relations: query · each other key, positive or negative.
        also: which of them are positives.
        temperature: τ.
    """
    positive, relations = accurate(positive) / temperature, accurate(relations) / temperature
    everything = torch.logaddexp(positive, relations.logsumexp(dim=-1))
    positives = positive + relations.masked_fill(~also, 0).sum(dim=-1)
    return (everything - positives / (1 + also.sum(dim=-1))).mean()


def barlow_twins(
    first: Float[Tensor, "B E"], second: Float[Tensor, "B E"], redundancy_weight: float
) -> Float[Tensor, ""]:
    """How far the correlations between two views' embeddings, over the batch, are from 1 for each value and 0 for two.

    Zbontar et al., Barlow Twins (ICML 2021), eq. 1. All E x E correlations are never there at once: the sum of their
    squares is that of the products of the B x B similarities of either view.

    Args:
        first: embeddings of any length.
        second: of the same clips.
        redundancy_weight: of the squared correlations of two different values.
    """
    first, second = (F.batch_norm(accurate(view), None, None, training=True) for view in (first, second))
    own = (first * second).mean(dim=0)
    every = ((first @ first.T) * (second @ second.T)).sum() / first.shape[0] ** 2
    return (own - 1).square().sum() + redundancy_weight * (every - own.square().sum())


def relational_distillation(
    student: Float[Tensor, "P B K"],
    teacher: Float[Tensor, "P B K"],
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, " P"]:
    """How far the query's relations to the queue are from its key's: KL(key ‖ query), over the whole queue.

    Differs: PCM³ eq. 3 writes the cross-entropy, whose gradient is the same (docs/FIDELITY.md 13).

    Args:
        student: query · each key of the queue.
        teacher: the positive key · each key of the queue; no gradient goes there.
        student_temperature: τ_q, the paper's 0.1.
        teacher_temperature: τ_k, the paper's 0.05: sharper than the student's.

    Returns:
        The mean over the batch, for each pair.
    """
    log_student = F.log_softmax(accurate(student) / student_temperature, dim=-1)
    log_teacher = F.log_softmax(accurate(teacher.detach()) / teacher_temperature, dim=-1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1).mean(dim=-1)


def masked_prediction(
    predicted: Float[Tensor, "B T M V C"],
    source: Float[Tensor, "B T M V C"],
    masked: Bool[Tensor, "B T M V"],
    error: PredictionError,
) -> Float[Tensor, ""]:
    """How far the prediction is from the truth where the truth was masked (PCM³ eq. 4).

    Args:
        predicted: what the decoder made.
        source: the truth, in metres.
        masked: True where the encoder could not see the joint.
        error: `squared`: mean square over the masked coordinates (as released, m²); `distance`: mean
            distance over the masked joints (eq. 4 as printed, m); `normalised`: mean square over the masked
            coordinates, each measured by its deviation among the clips and frames of `source`, so that the loss is
            about 1 for who predicts the mean, whatever the stream's unit; `segment`: each by its joint's deviation
            within its segment of the clip (as MAE normalises each patch, §4.1), so that small motions count as much
            as large ones; `motion`: as `normalised`, and as much again for the coordinates' change from frame to
            frame, where one of both frames is masked.

    Returns:
        0 where nothing was masked.
    """
    predicted, source = accurate(predicted), accurate(source)
    difference = (predicted - source) * masked.unsqueeze(-1)
    joints = masked.sum().clamp(min=1)
    if error == "distance":
        # The square root has no finite gradient at 0, where visible joints are.
        squared = difference.square().sum(dim=-1)
        return torch.where(masked, squared.clamp(min=1e-12).sqrt(), 0).sum() / joints
    if error == "segment":
        difference = difference / _deviation(_variance_in_segments(source))
    elif error != "squared":
        difference = difference / _deviation(source.var(dim=(0, 1), correction=0))
    loss = difference.square().sum() / (joints * source.shape[-1])
    if error == "motion" and source.shape[1] > 1:
        completed = torch.where(masked.unsqueeze(-1), predicted, source)
        change, wrong = source.diff(dim=1), (completed - source).diff(dim=1)
        changes = (masked[:, 1:] | masked[:, :-1]).sum().clamp(min=1)
        wrong = wrong / _deviation(change.var(dim=(0, 1), correction=0))
        loss = loss + wrong.square().sum() / (changes * source.shape[-1])
    return loss


def _deviation(variance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Of coordinates of these variances, some of which hardly move."""
    return (variance + FLOOR**2 * variance.mean() + 1e-12).sqrt()


def _variance_in_segments(clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B T M V 1"]:
    """Of each joint's coordinates about their mean in the segment; for each frame that of its segment."""
    segment = segment_of_frame(clips.shape[1], clips.device)
    share = mean_in_segments(clips.shape[1], clips.device, clips.dtype)
    mean = torch.einsum("ts,btmvc->bsmvc", share, clips)[:, segment]
    variance = torch.einsum("ts,btmvc->bsmv", share, (clips - mean).square()) / clips.shape[-1]
    return variance[:, segment].unsqueeze(-1)


def accurate(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values in float32, or in float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
