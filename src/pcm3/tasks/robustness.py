"""Recognition of clips that are worse than those that were learned from: joints are lost, noise, few frames.

As in recognition under occlusion, what is done to a clip is a function of the clip's name alone, so that every method,
stream and seed sees the same clips. The head has seen clean ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pcm3.clips import ClipBank, ClipEncoder, extract
from pcm3.settings.tasks import LinearSettings, RobustnessSettings
from pcm3.tasks.classifier import Classifier, LabelledClips, accuracy
from pcm3.tasks.linear import fit_on_features
from pcm3.tasks.occlusion import changed_features, draw_of
from pcm3.tasks.retrieval import find_neighbours

Harm = Literal["joints", "flicker", "noise", "every"]


@dataclass(frozen=True)
class Harmed:
    """One way in which clips are made worse, and how much."""

    kind: Harm
    strength: float
    """`joints`: the share of the joints that are absent from the whole clip; `flicker`: the share of all joints and
    frames that are absent, each by itself; `noise`: metres, the deviation of what is added to each coordinate; `every`:
    of so many frames one is kept, and those between are on a straight line."""

    @property
    def name(self) -> str:
        """What it is called in metrics."""
        if self.kind == "noise":
            return f"noise_{100 * self.strength:g}cm"
        return f"{self.kind}_{self.strength:g}" if self.kind == "every" else f"{self.kind}_{100 * self.strength:g}pc"


@dataclass(frozen=True, eq=False)
class RobustnessResult:
    """What a linear head and 1-nearest neighbour, of clean training clips, came to."""

    metrics: dict[str, float]
    """Per cent, see `evaluate_robustness`."""


def harms_of(settings: RobustnessSettings) -> list[Harmed]:
    """All that the settings ask for."""
    return [
        *(Harmed("joints", share) for share in settings.joints),
        *(Harmed("flicker", share) for share in settings.flicker),
        *(Harmed("noise", metres) for metres in settings.noise),
        *(Harmed("every", float(frames)) for frames in settings.every),
    ]


def evaluate_robustness(
    encoder: ClipEncoder,
    train: LabelledClips,
    test: LabelledClips,
    settings: RobustnessSettings,
    head: LinearSettings,
    seed: int,
) -> tuple[Classifier, RobustnessResult]:
    """A linear head on features taken once of clean training clips, scored on clean test clips and on worse ones.

    Metrics: ``top1_clean``, ``top1_harmed`` (the mean over all harms), ``delta`` (clean less that), ``top1_`` and the
    name of each harm; the same of 1-nearest neighbour among the clean training clips, as ``nearest_top1_clean`` ….
    """
    gallery = extract(encoder, train.bank, train.indices)
    linear = fit_on_features(lambda _: gallery, encoder, train, head, seed)
    metrics, nearest = dict[str, float](), dict[str, float]()
    for harm in (None, *harms_of(settings)):
        features = harmed_features(encoder, test.bank, test.indices, harm, settings.jumps)
        name = "clean" if harm is None else harm.name
        metrics[name] = accuracy(linear.logits(features).argmax(dim=1), test.label)
        nearest[name] = accuracy(train.label[find_neighbours(features, gallery, 1).row[:, 0]], test.label)
    return linear, RobustnessResult(_named_metrics(metrics, "") | _named_metrics(nearest, "nearest_"))


def _named_metrics(top1: dict[str, float], prefix: str) -> dict[str, float]:
    """The accuracies by their names in a table, with the mean over all harms and what they cost."""
    harmed = [value for name, value in top1.items() if name != "clean"]
    mean = sum(harmed) / len(harmed)
    named = {f"{prefix}top1_clean": top1["clean"], f"{prefix}top1_harmed": mean, f"{prefix}delta": top1["clean"] - mean}
    return named | {f"{prefix}top1_{name}": value for name, value in top1.items() if name != "clean"}


def harmed_features(
    encoder: ClipEncoder, bank: ClipBank, indices: Int[np.ndarray, " N"], harm: Harmed | None, jumps: bool = False
) -> Float[Tensor, "N D"]:
    """Of the centre crop of each clip, with what is done to it before the stream is taken."""
    names = bank.store.ids

    def change(clips: Float[Tensor, "B T M V C"], part: Int[Tensor, " B"]) -> Float[Tensor, "B T M V C"]:
        return clips if harm is None else harmed_clips(clips, harm, [str(names[clip]) for clip in part.tolist()])

    gaps = not jumps and harm is not None and harm.kind in ("joints", "flicker")
    return changed_features(encoder, bank, indices, change, gaps=gaps)


def harmed_clips(clips: Float[Tensor, "B T M V C"], harm: Harmed, names: Sequence[str]) -> Float[Tensor, "B T M V C"]:
    """The clips, whose names decide what is random about it, made worse; a body that is absent, all zero, stays so."""
    if harm.kind == "every":
        return _every_nth(clips, int(harm.strength))
    made = [_drawn(harm, clips.shape[1:], name) for name in names]
    drawn = torch.from_numpy(np.stack(made)).to(clips.device)
    if harm.kind == "noise":
        present = (clips != 0).any(dim=-1).any(dim=-1)[..., None, None]
        return torch.where(present, clips + drawn.to(clips.dtype), clips)
    return clips.masked_fill(drawn, 0)


def _drawn(harm: Harmed, shape: torch.Size, name: str) -> np.ndarray:
    """What is added to a clip of this shape (T, M, V, C), or, True, what is absent from it."""
    frames, bodies, joints, axes = shape
    draw = draw_of(f"{harm.name} of {name}")
    if harm.kind == "noise":
        return draw.normal(0.0, harm.strength, (frames, bodies, joints, axes)).astype(np.float32)
    if harm.kind == "flicker":
        return draw.random((frames, bodies, joints, 1)) < harm.strength
    lost = np.zeros((1, 1, joints, 1), np.bool_)
    lost[0, 0, draw.permutation(joints)[: round(harm.strength * joints)]] = True
    return lost


def _every_nth(clips: Float[Tensor, "B T M V C"], every: int) -> Float[Tensor, "B T M V C"]:
    """One of so many frames, and straight lines between them; after the last of them, it stands still."""
    frames = clips.shape[1]
    place = torch.arange(frames, device=clips.device)
    before = place // every * every
    after = (before + every).clamp(max=(frames - 1) // every * every)
    share = ((place - before).to(clips.dtype) / every)[:, None, None, None]
    share = torch.where((after > before)[:, None, None, None], share, 0)
    return torch.lerp(clips[:, before], clips[:, after], share)
