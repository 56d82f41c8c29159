"""Recognition of clips of which a part is not seen (PCM³ §4.3, Table 4).

Spatial: whole body parts are missing, of all bodies in all frames. Temporal: a block of frames is missing. What is
missing is a function of the clip's name alone, so that every method, stream and seed sees the same occluded data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcm3.clips import ClipBank, ClipEncoder, frozen
from pcm3.geometry import stream
from pcm3.settings.tasks import LinearSettings, OcclusionSettings
from pcm3.skeleton import Layout
from pcm3.tasks.linear import HeadResult, accuracy, train_head
from pcm3.tasks.retrieval import nearest_neighbours

OcclusionKind = Literal["none", "spatial", "temporal"]
KINDS: tuple[OcclusionKind, ...] = ("none", "spatial", "temporal")
NAMES: dict[OcclusionKind, str] = {"spatial": "spatial", "temporal": "temporal", "none": "clean"}
"""What the kinds are called in figures, in the order of the table."""
BATCH = 256


@dataclass(frozen=True, eq=False)
class OcclusionResult:
    """What linear heads and 1-nearest neighbour came to on clean and on occluded test clips."""

    figures: dict[str, float]
    """Per cent, see `occlusion`."""
    clean: dict[OcclusionKind, HeadResult]
    """The head trained on clean clips, by what it was tested on."""
    occluded: dict[OcclusionKind, HeadResult]
    """Heads trained on clips that were occluded as those they were tested on."""


def occlusion(
    encoder: ClipEncoder,
    bank: ClipBank,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    classes: int,
    settings: OcclusionSettings,
    head: LinearSettings,
    seed: int,
    cached: bool,
    tick: Callable[[], object] = lambda: None,
) -> OcclusionResult:
    """Linear evaluation under occlusion, with a head trained on clean clips and with heads trained on occluded ones.

    Figures: ``top1_spatial``, ``top1_temporal``, ``top1_clean`` of the head that was trained on clean clips, its loss
    ``delta_spatial``, ``delta_temporal`` against clean, and their mean ``delta``; the same of the heads that were
    trained on clips occluded in the same way, against the same clean, as ``trained_top1_spatial`` … ``trained_delta``;
    of 1-nearest neighbour among clean training clips as ``nearest_top1_spatial`` …; and ``best_…`` of the heads'
    accuracies, of the best epoch. The paper's Δ of Table 4 is the mean of one kind's delta over the protocols.

    Args:
        encoder: stays as it is, weights and BatchNorm buffers.
        bank: the clips.
        train: numbers of the training clips.
        test: numbers of the test clips.
        classes: L.
        settings: how much is hidden.
        head: of the linear heads.
        seed: of the heads' weights, the crops and the order of clips; not of the occlusion.
        cached: as in `linear`: features of the centre crop, taken once.
        tick: called after every epoch of each of the three heads.
    """
    device = bank.start.device
    label = torch.from_numpy(bank.store.label.astype(np.int64)).to(device)
    names, layout = [str(name) for name in bank.store.ids], bank.store.layout
    hidden = {kind: hidden_in(names, layout, kind, bank.size, settings) for kind in KINDS}
    masks = {kind: torch.from_numpy(mask).to(device) for kind, mask in hidden.items()}
    tests = {kind: occluded_features(encoder, bank, test, mask) for kind, mask in masks.items()}

    def trained(kind: OcclusionKind, looked_at: tuple[OcclusionKind, ...]) -> dict[OcclusionKind, HeadResult]:
        """The head trained on clips occluded so, and what it comes to on each kind of test clips."""
        once = occluded_features(encoder, bank, train, masks[kind]) if cached else None

        def seen(generator: torch.Generator) -> Tensor:
            return occluded_features(encoder, bank, train, masks[kind], generator) if once is None else once

        generator = torch.Generator(device=device).manual_seed(seed)
        sets = [tests[one] for one in looked_at]
        results = train_head(seen, label[train], sets, label[test], classes, head, generator, tick)
        return dict(zip(looked_at, results, strict=True))

    clean = trained("none", KINDS)
    occluded = trained("spatial", ("spatial",)) | trained("temporal", ("temporal",))
    gallery = occluded_features(encoder, bank, train, masks["none"])
    near = {kind: label[train][nearest_neighbours(features, gallery)] for kind, features in tests.items()}
    figures = drops({kind: result.top1 for kind, result in clean.items()})
    figures |= drops({kind: result.top1 for kind, result in (clean | occluded).items()}, "trained_")
    figures |= drops({kind: accuracy(found, label[test]) for kind, found in near.items()}, "nearest_")
    figures |= {f"best_top1_{NAMES[kind]}": result.best_top1 for kind, result in clean.items()}
    figures |= {f"best_trained_top1_{kind}": result.best_top1 for kind, result in occluded.items()}
    return OcclusionResult(figures, clean, occluded)


def drops(top1: dict[OcclusionKind, float], prefix: str = "") -> dict[str, float]:
    """The accuracies by name, how much less than clean they are, and the mean of that."""
    figures = {f"{prefix}top1_{name}": top1[kind] for kind, name in NAMES.items()}
    less = {f"{prefix}delta_{NAMES[kind]}": top1["none"] - top1[kind] for kind in KINDS[1:]}
    return figures | less | {f"{prefix}delta": sum(less.values()) / len(less)}


def occluded_features(
    encoder: ClipEncoder,
    bank: ClipBank,
    numbers: NDArray[np.int64],
    hidden: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """As `clips.extract`, (N, D), of crops of which the `hidden` part of each clip of the store is zero.

    The joints are occluded, then the stream is taken: a bone to a joint that is not seen is one to the origin, and
    where a block of frames begins and ends there is a jump in the motion.
    """
    chosen = torch.from_numpy(numbers).to(bank.start.device)
    joints, features = replace(bank, stream="joint"), []
    with frozen(encoder):
        for part in chosen.split(BATCH):
            clips = joints.centre(part) if generator is None else joints.random(part, generator)
            seen = stream(occluded_clips(clips, hidden[part]), bank.stream, bank.store.layout, bank.store.has_gaps)
            features.append(encoder.embed(seen).float())
    return torch.cat(features)


def occluded_clips(clips: Tensor, hidden: Tensor) -> Tensor:
    """The clips (B, T, M, V, C) with zeros where `hidden` (B, T or 1, V or 1), as where a body is absent.

    In a normalised clip the origin is where the centre joint of body 0 stands, so that its own absence is not seen.
    """
    return clips.masked_fill(hidden[:, :, None, :, None], 0)


def hidden_in(
    names: Sequence[str], layout: Layout, kind: OcclusionKind, size: int, settings: OcclusionSettings
) -> NDArray[np.bool_]:
    """What is not seen of each of these clips, True where hidden.

    (N, 1, V) where it is spatial, (N, T, 1) where temporal, else (N, 1, 1).

    For each clip a share is drawn, U[low, high]. Spatial: so many of the five body parts, to the nearest whole number
    (2 or 3 of them with the protocol's shares), are chosen at random. Temporal: a block of so many frames, to the
    nearest whole number, at a random place. It is drawn for crops after they are resampled, so that the share is of
    what the encoder gets and no frame is half a pose and half zeros.

    Args:
        names: of the N clips, as the store's ``ids``.
        layout: their skeleton.
        kind: what is hidden together.
        size: T.
        settings: the range of the share.
    """
    parts, joints = layout.parts, len(layout.joints)
    shape = {"none": (1, 1), "spatial": (1, joints), "temporal": (size, 1)}[kind]
    hidden = np.zeros((len(names), *shape), np.bool_)
    if kind == "none":
        return hidden
    for mask, name in zip(hidden, names, strict=True):
        draw = _draw_of(f"{kind} occlusion of {name}")
        share = draw.uniform(*settings.share)
        if kind == "spatial":
            for part in draw.permutation(len(parts))[: round(share * len(parts))]:
                mask[:, list(parts[part])] = True
        else:
            block = round(share * size)
            first = draw.integers(size - block + 1)
            mask[first : first + block] = True
    return hidden


def _draw_of(name: str) -> np.random.Generator:
    """What is random about something of that name, and about nothing else."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
