"""Linear evaluation: one linear layer on the frozen encoder's clip features (PCM³ §4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.clips import ClipBank, ClipEncoder, extract
from pcm3.settings.tasks import LinearSettings

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HeadResult:
    """What one head, or one search for neighbours, came to on the test clips."""

    figures: dict[str, float]
    """Per cent by name; `top1` is the accuracy after the last epoch, `best_top1` that of the best one."""
    predicted: Labels
    """(N_test,) classes after the last epoch."""
    logits: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """(N_test, L) after the last epoch; empty where there are none."""

    @property
    def top1(self) -> float:
        """Accuracy after the last epoch, per cent: the figure."""
        return self.figures["top1"]

    @property
    def best_top1(self) -> float:
        """Accuracy after the best epoch, per cent, chosen by looking at the test clips: only for comparison with
        published tables, which do so. Where nothing was chosen, it is the figure.
        """
        return self.figures.get("best_top1", self.top1)


def accuracy(predicted: Tensor, label: Tensor) -> float:
    """How many of the predicted classes (N,) are the true ones (N,), per cent."""
    return 100 * (predicted == label).double().mean().item()


def judged(looks: Sequence[float], logits: Tensor) -> HeadResult:
    """The result of a training with these accuracies on the test clips, the last one that of `logits` (N_test, L)."""
    figures = {"top1": looks[-1], "best_top1": max(looks)}
    return HeadResult(figures, logits.argmax(dim=1).cpu().numpy(), logits.float().cpu().numpy())


def linear(
    encoder: ClipEncoder,
    bank: ClipBank,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    classes: int,
    settings: LinearSettings,
    seed: int,
    cached: bool,
    tick: Callable[[], object] = lambda: None,
) -> HeadResult:
    """Train a linear head on the features of `train`, and test it on `test`.

    Args:
        encoder: stays as it is, weights and BatchNorm buffers.
        bank: the clips.
        train: numbers of the training clips.
        test: numbers of the test clips.
        classes: L.
        settings: of the head.
        seed: of the head's weights, the crops and the order of clips.
        cached: `linear-cached`: features of the centre crop, taken once; otherwise every epoch encodes new crops.
        tick: called after every epoch.
    """
    device = bank.start.device
    label = torch.from_numpy(bank.store.label.astype(np.int64)).to(device)
    tests = [extract(encoder, bank, test)]
    features = extract(encoder, bank, train) if cached else None

    def seen(generator: torch.Generator) -> Tensor:
        return features if features is not None else extract(encoder, bank, train, generator)

    generator = torch.Generator(device=device).manual_seed(seed)
    return train_head(seen, label[train], tests, label[test], classes, settings, generator, tick)[0]


def train_head(
    seen: Callable[[torch.Generator], Tensor],
    label: Tensor,
    tests: Sequence[Tensor],
    test_label: Tensor,
    classes: int,
    settings: LinearSettings,
    generator: torch.Generator,
    tick: Callable[[], object] = lambda: None,
) -> list[HeadResult]:
    """One head, tested on several sets of features of the same clips; a result for each.

    Args:
        seen: the features (N, D) of the training clips in one epoch.
        label: (N,) their classes.
        tests: features (N_test, D) of the test clips, at least one set.
        test_label: (N_test,) their classes.
        classes: L.
        settings: of the head.
        generator: of the head's weights, of what `seen` draws, and of the order of clips.
        tick: called after every epoch.
    """
    head = fresh_head(tests[0].shape[1], classes, generator)
    descent = _Descent.of(head, min(settings.batch, len(label)))
    looks: list[list[float]] = [[] for _ in tests]
    logits: list[Tensor] = []
    with torch.no_grad():
        for epoch in range(settings.epochs):
            lr = settings.lr * 0.1 ** sum(epoch >= drop for drop in settings.drop_epochs)
            descent.epoch(seen(generator), label, lr, generator)
            logits = [head(features) for features in tests]
            for mine, said in zip(looks, logits, strict=True):
                mine.append(accuracy(said.argmax(dim=1), test_label))
            tick()
    return [judged(mine, said) for mine, said in zip(looks, logits, strict=True)]


def fresh_head(width: int, classes: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with N(0, 0.01) weights and zero bias."""
    head: nn.Linear = nn.utils.skip_init(nn.Linear, width, classes, device=generator.device)
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    return head


@dataclass(frozen=True, eq=False)
class _Descent:
    """SGD with momentum 0.9 on the mean cross entropy of a linear head, its gradient written down.

    The same as by autograd and `torch.optim.SGD`, to rounding. A step is two products and a few small operations, and
    takes no new memory.
    """

    weight: Tensor
    """(L, D), changed in place."""
    bias: Tensor
    """(L,), likewise."""
    speed: tuple[Tensor, Tensor]
    """The momentum of both."""
    rows: Tensor
    """(B, D), the features of a batch."""
    error: Tensor
    """(B, L), their logits, then what these should change."""

    @classmethod
    def of(cls, head: nn.Linear, batch: int) -> _Descent:
        """At the head's weights, at rest."""
        weight, bias = head.weight.detach(), head.bias.detach()
        rows, error = (weight.new_empty(batch, size) for size in (head.in_features, head.out_features))
        return cls(weight, bias, (torch.zeros_like(weight), torch.zeros_like(bias)), rows, error)

    def epoch(self, features: Tensor, label: Tensor, lr: float, generator: torch.Generator) -> None:
        """One pass over the features (N, D) of these classes (N,) in random order."""
        order = torch.randperm(len(features), generator=generator, device=features.device)
        for part in order.split(len(self.rows)):
            self._step(features, label, part, lr)

    def _step(self, features: Tensor, label: Tensor, part: Tensor, lr: float) -> None:
        """One step on the features with these numbers (B,)."""
        rows, error = self.rows[: len(part)], self.error[: len(part)]
        torch.index_select(features, 0, part, out=rows)
        torch.addmm(self.bias, rows, self.weight.T, out=error)
        # The gradient of the cross entropy: what the softmax says less what is true.
        torch.softmax(error, dim=1, out=error)
        error.scatter_add_(1, label[part].unsqueeze(1), error.new_full((len(part), 1), -1.0))
        self.speed[0].addmm_(error.T, rows, beta=0.9, alpha=1 / len(part))
        self.speed[1].mul_(0.9).add_(error.mean(dim=0))
        self.weight.add_(self.speed[0], alpha=-lr)
        self.bias.add_(self.speed[1], alpha=-lr)
