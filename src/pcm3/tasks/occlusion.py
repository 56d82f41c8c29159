"""Recognition of clips of which a part is not seen (PCM³ §4.3, Table 4).

Spatial: whole body parts are missing, of all bodies in all frames. Temporal: a block of frames is missing. What is
missing is a function of the clip's name alone, so that every method, stream and seed sees the same occluded data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pcm3.clips import ClipBank, ClipEncoder
from pcm3.settings.tasks import LinearSettings, OcclusionSettings, RetrievalSettings
from pcm3.skeleton import Layout
from pcm3.tasks.classifier import Classifier, ClassifierResult, History, LabelledClips, accuracy, result_of
from pcm3.tasks.linear import Features, fit_on_features
from pcm3.tasks.retrieval import NearestNeighbour

OcclusionKind = Literal["none", "spatial", "temporal"]
KINDS: tuple[OcclusionKind, ...] = ("none", "spatial", "temporal")
NAMES: dict[OcclusionKind, str] = {"spatial": "spatial", "temporal": "temporal", "none": "clean"}
"""What the kinds are called in metrics, in the order of the table."""
BATCH = 256


@dataclass(frozen=True, eq=False)
class OcclusionHeads:
    """What is fitted once, and scored on clean and on occluded clips."""

    linear: dict[OcclusionKind, Classifier]
    """By what the clips were occluded with that each was trained on; the one of ``none`` saw clean ones."""
    nearest: NearestNeighbour
    """Of clean training clips."""


@dataclass(frozen=True, eq=False)
class OcclusionResult:
    """What linear heads and 1-nearest neighbour came to on clean and on occluded test clips."""

    metrics: dict[str, float]
    """Per cent, see `score_occlusion`."""
    clean: dict[OcclusionKind, ClassifierResult]
    """The head trained on clean clips, by what it was tested on."""
    occluded: dict[OcclusionKind, ClassifierResult]
    """Heads trained on clips that were occluded as those they were tested on."""


OnEpoch = Callable[[OcclusionKind, Classifier], object]
"""Called with what a head is trained on, and the head, after each epoch."""


def fit_occlusion(
    encoder: ClipEncoder,
    train: LabelledClips,
    settings: OcclusionSettings,
    head: LinearSettings,
    seed: int,
    features: Features,
    on_epoch: OnEpoch = lambda kind, head: None,
) -> OcclusionHeads:
    """A linear head trained on clean clips, one on each kind of occluded ones, and the gallery of clean ones.

    Args:
        encoder: stays as it is, weights and BatchNorm buffers.
        train: the clips.
        settings: how much is occluded.
        head: of the linear heads.
        seed: of the heads' weights, the crops and the order of clips; not of the occlusion.
        features: as in `fit_linear`.
        on_epoch: called after every epoch of each of the three heads.
    """

    def fitted(kind: OcclusionKind) -> Classifier:
        """The head trained on clips occluded so."""
        mask = masks_of(train.bank, kind, settings)

        def drawn(generator: torch.Generator | None) -> Float[Tensor, "N D"]:
            return occluded_features(encoder, train.bank, train.indices, mask, generator, settings.jumps)

        once = drawn(None) if features == "cached" else None
        return fit_on_features(
            drawn if once is None else lambda _: once, encoder, train, head, seed, lambda head: on_epoch(kind, head)
        )

    linear = {kind: fitted(kind) for kind in KINDS}
    clean = masks_of(train.bank, "none", settings)
    gallery = occluded_features(encoder, train.bank, train.indices, clean)
    model = linear["none"].model
    return OcclusionHeads(
        linear, NearestNeighbour(gallery, train.label, train.classes, RetrievalSettings(), model, train.bank.crops)
    )


def score_occlusion(
    encoder: ClipEncoder, heads: OcclusionHeads, test: LabelledClips, settings: OcclusionSettings
) -> OcclusionResult:
    """What the heads come to under occlusion, the one trained on clean clips and those trained on occluded ones.

    Metrics: ``top1_spatial``, ``top1_temporal``, ``top1_clean`` of the head that was trained on clean clips, its loss
    ``delta_spatial``, ``delta_temporal`` against clean, and their mean ``delta``; the same of the heads that were
    trained on clips occluded in the same way, against the same clean, as ``trained_top1_spatial`` … ``trained_delta``;
    of 1-nearest neighbour among clean training clips as ``nearest_top1_spatial`` …; and ``best_…`` of the heads'
    accuracies, of the best epoch. The paper's Δ of Table 4 is the mean of one kind's delta over the protocols.
    """
    tests = _test_features(encoder, test, settings)
    linear = heads.linear
    clean = {kind: result_of(linear["none"].logits(features), test.label) for kind, features in tests.items()}
    occluded = {kind: result_of(linear[kind].logits(tests[kind]), test.label) for kind in KINDS[1:]}
    return _result(clean, occluded, heads.nearest, tests, test.label)


def evaluate_occlusion(
    encoder: ClipEncoder,
    train: LabelledClips,
    test: LabelledClips,
    settings: OcclusionSettings,
    head: LinearSettings,
    seed: int,
    features: Features,
) -> tuple[OcclusionHeads, OcclusionResult]:
    """`fit_occlusion`, scored on the test clips after every epoch: the heads, and what they came to."""
    tests = _test_features(encoder, test, settings)
    clean = {kind: History(test.label) for kind in KINDS}
    occluded = {kind: History(test.label) for kind in KINDS[1:]}

    def record(trained_on: OcclusionKind, head: Classifier) -> None:
        tested = clean if trained_on == "none" else {trained_on: occluded[trained_on]}
        for kind, history in tested.items():
            history.add(head.logits(tests[kind]))

    heads = fit_occlusion(encoder, train, settings, head, seed, features, record)
    of_clean, of_occluded = (
        {kind: history.result() for kind, history in histories.items()} for histories in (clean, occluded)
    )
    return heads, _result(of_clean, of_occluded, heads.nearest, tests, test.label)


def _test_features(
    encoder: ClipEncoder, test: LabelledClips, settings: OcclusionSettings
) -> dict[OcclusionKind, Float[Tensor, "N D"]]:
    """Of the test clips, clean and occluded."""
    masks = {kind: masks_of(test.bank, kind, settings) for kind in KINDS}
    return {
        kind: occluded_features(encoder, test.bank, test.indices, mask, jumps=settings.jumps)
        for kind, mask in masks.items()
    }


def _result(
    clean: dict[OcclusionKind, ClassifierResult],
    occluded: dict[OcclusionKind, ClassifierResult],
    nearest: NearestNeighbour,
    tests: dict[OcclusionKind, Float[Tensor, "N D"]],
    label: Int[Tensor, " N"],
) -> OcclusionResult:
    """The metrics of these results and of the nearest neighbours of the test clips' features."""
    near = {kind: nearest.label[nearest.neighbours(features, 1).row[:, 0]] for kind, features in tests.items()}
    metrics = drops({kind: result.top1 for kind, result in clean.items()})
    metrics |= drops({kind: result.top1 for kind, result in (clean | occluded).items()}, "trained_")
    metrics |= drops({kind: accuracy(label_of, label) for kind, label_of in near.items()}, "nearest_")
    metrics |= {f"best_top1_{NAMES[kind]}": result.best_top1 for kind, result in clean.items()}
    metrics |= {f"best_trained_top1_{kind}": result.best_top1 for kind, result in occluded.items()}
    return OcclusionResult(metrics, clean, occluded)


def drops(top1: Mapping[OcclusionKind, float], prefix: str = "") -> dict[str, float]:
    """The accuracies by name, how much less than clean they are, and the mean of that."""
    metrics = {f"{prefix}top1_{name}": top1[kind] for kind, name in NAMES.items()}
    less = {f"{prefix}delta_{NAMES[kind]}": top1["none"] - top1[kind] for kind in KINDS[1:]}
    return metrics | less | {f"{prefix}delta": sum(less.values()) / len(less)}


def occluded_features(
    encoder: ClipEncoder,
    bank: ClipBank,
    indices: Int[np.ndarray, " N"],
    mask: Bool[Tensor, "K frames joints"],
    generator: torch.Generator | None = None,
    jumps: bool = False,
) -> Float[Tensor, "N D"]:
    """As `clips.extract`, of crops of which what the `mask` of each of the store's K clips hides is zero.

    The joints are occluded, then the stream is taken; what `jumps` does stands in `OcclusionSettings`.
    """

    def change(clips: Float[Tensor, "B T M V C"], part: Int[Tensor, " B"]) -> Float[Tensor, "B T M V C"]:
        return occluded_clips(clips, mask[part])

    return changed_features(encoder, bank, indices, change, generator, gaps=not jumps and bool(mask.any()))


def changed_features(
    encoder: ClipEncoder,
    bank: ClipBank,
    indices: Int[np.ndarray, " N"],
    change: Callable[[Float[Tensor, "B T M V C"], Int[Tensor, " B"]], Float[Tensor, "B T M V C"]],
    generator: torch.Generator | None = None,
    *,
    gaps: bool,
) -> Float[Tensor, "N D"]:
    """As `clips.extract`, of crops whose joints are changed, by (clips, their numbers), before the stream is taken.

    `gaps`: what is done to them makes joints absent from some frames.
    """
    chosen = torch.from_numpy(indices).to(bank.device)
    joints, features = replace(bank, stream="joint"), []
    with bank.feed.torn(gaps).embedding(encoder) as embed:
        for part in chosen.split(BATCH):
            clips = joints.centre(part) if generator is None else joints.random(part, generator)
            features.append(embed(change(clips, part)))
    return torch.cat(features)


def occluded_clips(
    clips: Float[Tensor, "B T M V C"], mask: Bool[Tensor, "B frames joints"]
) -> Float[Tensor, "B T M V C"]:
    """The clips with zeros where the mask is true, as where a body is absent.

    In a normalised clip the origin is where the centre joint of body 0 stands, so that its own absence is not seen.
    """
    return clips.masked_fill(mask[:, :, None, :, None], 0)


def masks_of(bank: ClipBank, kind: OcclusionKind, settings: OcclusionSettings) -> Bool[Tensor, "K frames joints"]:
    """`occlusion_masks` of all K clips of the bank's store, on its device."""
    names = [str(name) for name in bank.store.ids]
    return torch.from_numpy(occlusion_masks(names, bank.store.layout, kind, bank.size, settings)).to(bank.device)


def occlusion_masks(
    names: Sequence[str], layout: Layout, kind: OcclusionKind, size: int, settings: OcclusionSettings
) -> Bool[np.ndarray, "N frames joints"]:
    """What is not seen of each of these clips, which are named as the ids of a store; True where it is masked.

    (N, 1, V) where it is spatial, (N, T, 1) where temporal, else (N, 1, 1).

    For each clip a share is drawn, U[low, high]. Spatial: so many of the five body parts, to the nearest whole number
    (2 or 3 of them with the protocol's shares), are chosen at random. Temporal: a block of so many frames, to the
    nearest whole number, at a random place. It is drawn for crops after they are resampled, so that the share is of
    what the encoder gets and no frame is half a pose and half zeros.
    """
    parts, joints = layout.parts, len(layout.joints)
    shape = {"none": (1, 1), "spatial": (1, joints), "temporal": (size, 1)}[kind]
    masks = np.zeros((len(names), *shape), np.bool_)
    if kind == "none":
        return masks
    for mask, name in zip(masks, names, strict=True):
        draw = draw_of(f"{kind} occlusion of {name}")
        share = draw.uniform(*settings.share)
        if kind == "spatial":
            for part in draw.permutation(len(parts))[: round(share * len(parts))]:
                mask[:, list(parts[part])] = True
        else:
            block = round(share * size)
            first = draw.integers(size - block + 1)
            mask[first : first + block] = True
    return masks


def draw_of(name: str) -> np.random.Generator:
    """What is random about something of that name, and about nothing else."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
