"""Linear evaluation: one linear layer on the frozen encoder's clip features (PCM³ §4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pcm3.clips import ClipEncoder, extract
from pcm3.settings.tasks import LinearSettings
from pcm3.tasks.classifier import Classifier, ClassifierResult, History, LabelledClips, fresh_head
from pcm3.tasks.head_files import weights_checksum

Features = Literal["cached", "fresh"]
"""What a head learns from: features of what a test sees, taken once (`linear-cached`), or of new crops every epoch."""
OnEpoch = Callable[[Classifier], object]
"""Called with a head after each epoch of its training, or after some; it may be scored, and not be changed."""


def fit_linear(
    encoder: ClipEncoder,
    train: LabelledClips,
    settings: LinearSettings,
    seed: int,
    features: Features,
    on_epoch: OnEpoch = lambda head: None,
) -> Classifier:
    """A linear head trained on the features of these clips; the encoder stays as it is, BatchNorm buffers too."""
    once = extract(encoder, train.bank, train.indices) if features == "cached" else None

    def drawn(generator: torch.Generator) -> Float[Tensor, "N D"]:
        return extract(encoder, train.bank, train.indices, generator) if once is None else once

    return fit_on_features(drawn, encoder, train, settings, seed, on_epoch)


def fit_on_features(
    drawn: Callable[[torch.Generator], Float[Tensor, "N D"]],
    encoder: ClipEncoder,
    train: LabelledClips,
    settings: LinearSettings,
    seed: int,
    on_epoch: OnEpoch = lambda head: None,
) -> Classifier:
    """As `fit_linear`, on features of the clips that are taken elsewhere: each epoch learns from what is `drawn`."""
    generator = torch.Generator(device=train.bank.device).manual_seed(seed)
    linear = fresh_head(encoder.width, len(train.classes), generator)
    head = Classifier(linear, train.classes, settings, weights_checksum(encoder), train.bank.crops)
    train_linear(linear, drawn, train.label, settings, generator, lambda: on_epoch(head))
    return head


def evaluate_linear(
    encoder: ClipEncoder,
    train: LabelledClips,
    test: LabelledClips,
    settings: LinearSettings,
    seed: int,
    features: Features,
) -> tuple[Classifier, ClassifierResult]:
    """`fit_linear`, scored on the test clips after every epoch: the head, and what it came to."""
    tests, history = extract(encoder, test.bank, test.indices), History(test.label)
    head = fit_linear(encoder, train, settings, seed, features, lambda head: history.add(head.logits(tests)))
    return head, history.result()


def train_linear(
    head: nn.Linear,
    drawn: Callable[[torch.Generator], Float[Tensor, "N D"]],
    label: Int[Tensor, " N"],
    settings: LinearSettings,
    generator: torch.Generator,
    on_epoch: Callable[[], object] = lambda: None,
) -> None:
    """Train a fresh linear layer, in place, each epoch on the features that are `drawn` of these classes."""
    descent = _Descent.of(head, min(settings.batch, len(label)))
    with torch.no_grad():
        for epoch in range(settings.epochs):
            lr = settings.lr * 0.1 ** sum(epoch >= drop for drop in settings.drop_epochs)
            descent.epoch(drawn(generator), label, lr, generator)
            on_epoch()


@dataclass(frozen=True, eq=False)
class _Descent:
    """SGD with momentum 0.9 on the mean cross entropy of a linear head, its gradient written down.

    The same as by autograd and `torch.optim.SGD`, to rounding. A step is two products and a few small operations, and
    takes no new memory.
    """

    weight: Float[Tensor, "L D"]
    """Changed in place."""
    bias: Float[Tensor, " L"]
    """Likewise."""
    momentum: tuple[Tensor, Tensor]
    """The momentum buffers of both."""
    rows: Float[Tensor, "B D"]
    """The features of a batch."""
    error: Float[Tensor, "B L"]
    """Their logits, then what these should change."""

    @classmethod
    def of(cls, head: nn.Linear, batch: int) -> _Descent:
        """At the head's weights, at rest."""
        weight, bias = head.weight.detach(), head.bias.detach()
        rows, error = (weight.new_empty(batch, size) for size in (head.in_features, head.out_features))
        return cls(weight, bias, (torch.zeros_like(weight), torch.zeros_like(bias)), rows, error)

    def epoch(
        self, features: Float[Tensor, "N D"], label: Int[Tensor, " N"], lr: float, generator: torch.Generator
    ) -> None:
        """One pass over the features (N, D) of these classes (N,) in random order."""
        order = torch.randperm(len(features), generator=generator, device=features.device)
        for part in order.split(len(self.rows)):
            self._step(features, label, part, lr)

    def _step(
        self, features: Float[Tensor, "N D"], label: Int[Tensor, " N"], part: Int[Tensor, " B"], lr: float
    ) -> None:
        """One step on these of the features."""
        rows, error = self.rows[: len(part)], self.error[: len(part)]
        torch.index_select(features, 0, part, out=rows)
        torch.addmm(self.bias, rows, self.weight.T, out=error)
        # The gradient of the cross entropy: what the softmax says less what is true.
        torch.softmax(error, dim=1, out=error)
        error.scatter_add_(1, label[part].unsqueeze(1), error.new_full((len(part), 1), -1.0))
        self.momentum[0].addmm_(error.T, rows, beta=0.9, alpha=1 / len(part))
        self.momentum[1].mul_(0.9).add_(error.mean(dim=0))
        self.weight.add_(self.momentum[0], alpha=-lr)
        self.bias.add_(self.momentum[1], alpha=-lr)
