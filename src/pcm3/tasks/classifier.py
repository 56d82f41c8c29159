"""Which class a clip shows: a linear layer on its feature, and how well that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.clips import ClipBank, ClipEncoder, extract, frozen
from pcm3.settings.tasks import FinetuneSettings, LinearSettings
from pcm3.tasks.head_files import HeadFile, tuned_tensors

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelledClips:
    """Some clips of a bank, and what each of them shows."""

    bank: ClipBank
    indices: Int[np.ndarray, " N"]
    labels: Int[np.ndarray, " N"]
    """A class of each."""
    classes: tuple[str, ...]
    """Names of the L classes."""

    @property
    def label(self) -> Int[Tensor, " N"]:
        """The labels on the bank's device."""
        return torch.from_numpy(self.labels).to(self.bank.device)

    def take(self, places: Int[np.ndarray, " K"]) -> LabelledClips:
        """Those at these places of the N."""
        return replace(self, indices=self.indices[places], labels=self.labels[places])


@dataclass(frozen=True, eq=False)
class Classifier:
    """A linear layer on the features of an encoder that stays as it is, or of one that was tuned with it."""

    kind: ClassVar[str] = "classifier"
    linear: nn.Linear
    classes: tuple[str, ...]
    """Names of the L classes."""
    settings: LinearSettings | FinetuneSettings
    model: str
    """`weights_checksum` of the encoder that it was fitted on."""
    crops: int = 1
    """Crops over which a clip's feature is the mean."""
    tuned: ClipEncoder | None = None
    """The encoder that was trained with the layer; None: the one that it was fitted on serves."""

    def features(self, encoder: ClipEncoder, clips: ClipBank, indices: Int[np.ndarray, " N"]) -> Float[Tensor, "N D"]:
        """The features of clips of a bank, as a test sees them, by the encoder that the head was fitted on."""
        return extract(self.tuned or encoder, replace(clips, crops=self.crops), indices)

    def logits(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N L"]:
        """Of each class, before the softmax."""
        with torch.no_grad():
            logits: Tensor = self.linear(features)
        return logits

    def predict_proba(self, encoder: ClipEncoder, clips: Float[Tensor, "B T M V C"]) -> Float[Tensor, "B L"]:
        """The share of each class; of clips that are cropped and of the encoder's stream already."""
        network = self.tuned or encoder
        with frozen(network):
            return self.logits(network.embed(clips).float()).softmax(dim=1)

    def predict(self, encoder: ClipEncoder, clips: Float[Tensor, "B T M V C"]) -> Int[Tensor, " B"]:
        """The likeliest class of each."""
        return self.predict_proba(encoder, clips).argmax(dim=1)

    def save(self, folder: Path) -> None:
        """Write the head into a folder."""
        tensors = {f"linear.{name}": value for name, value in self.linear.state_dict().items()}
        tensors |= tuned_tensors(self.tuned)
        HeadFile(self.kind, self.model, asdict(self.settings), tensors, self.classes, {"crops": self.crops}).save(
            folder
        )

    @classmethod
    def of(cls, file: HeadFile, encoder: ClipEncoder) -> Classifier:
        """The head that a file holds, fitted on this encoder."""
        tuned = file.tuned(encoder)
        settings = (LinearSettings if tuned is None else FinetuneSettings)(**file.settings)
        linear = linear_of(file.tensors["linear.weight"], file.tensors["linear.bias"])
        return cls(linear, file.classes, settings, file.model, int(file.sizes["crops"]), tuned)


@dataclass(frozen=True, eq=False)
class ClassifierResult:
    """What one head, or one search for neighbours, came to on the test clips."""

    metrics: dict[str, float]
    """Per cent by name; `top1` is the accuracy after the last epoch, `best_top1` that of the best one."""
    predicted: Indices
    """(N_test,) classes after the last epoch."""
    logits: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """(N_test, L) after the last epoch; empty where there are none."""

    @property
    def one_answer(self) -> bool:
        """Whether every test clip is given the same class."""
        return len(np.unique(self.predicted)) == 1

    @property
    def top1(self) -> float:
        """Accuracy after the last epoch, per cent: what is reported."""
        return self.metrics["top1"]

    @property
    def best_top1(self) -> float:
        """Accuracy after the best epoch, per cent, chosen by looking at the test clips: only for comparison with
        published tables, which do so. Where nothing was chosen, it is `top1`.
        """
        return self.metrics.get("best_top1", self.top1)


class History:
    """The accuracies of a head on the test clips while it is trained, and its last logits."""

    def __init__(self, label: Int[Tensor, " N"]) -> None:
        """`label`: the true classes of the test clips."""
        self.label = label
        self.accuracies: list[float] = []
        self.logits = torch.empty(0, 0)

    def add(self, logits: Float[Tensor, "N L"]) -> None:
        """What the head says of the test clips after an epoch."""
        self.logits = logits
        self.accuracies.append(accuracy(logits.argmax(dim=1), self.label))

    def result(self) -> ClassifierResult:
        """What it came to after the last epoch; ``best_top1`` is of the best epoch that was looked at."""
        return replace(result_of(self.logits, self.label), metrics=_metrics(self.accuracies))


def score_classifier(encoder: ClipEncoder, head: Classifier, test: LabelledClips) -> ClassifierResult:
    """How many of the test clips the head tells right; nothing is chosen, so the best accuracy is the accuracy."""
    return result_of(head.logits(head.features(encoder, test.bank, test.indices)), test.label)


def result_of(logits: Float[Tensor, "N L"], label: Int[Tensor, " N"]) -> ClassifierResult:
    """What these logits of test clips of these classes come to."""
    predicted = logits.argmax(dim=1)
    metrics = _metrics([accuracy(predicted, label)])
    return ClassifierResult(metrics, predicted.cpu().numpy(), logits.float().cpu().numpy())


def accuracy(predicted: Int[Tensor, " N"], label: Int[Tensor, " N"]) -> float:
    """How many of the predicted classes are the true ones, per cent."""
    return 100 * (predicted == label).double().mean().item()


def fresh_head(width: int, classes: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with N(0, 0.01) weights and zero bias."""
    head: nn.Linear = nn.utils.skip_init(nn.Linear, width, classes, device=generator.device)
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    return head


def linear_of(weight: Float[Tensor, "L D"], bias: Float[Tensor, " L"]) -> nn.Linear:
    """A linear layer of these weights."""
    head: nn.Linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], device=weight.device)
    head.load_state_dict({"weight": weight, "bias": bias})
    return head


def _metrics(accuracies: Sequence[float]) -> dict[str, float]:
    return {"top1": accuracies[-1], "best_top1": max(accuracies)}
