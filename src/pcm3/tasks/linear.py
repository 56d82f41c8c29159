"""Linear evaluation: one linear layer on the frozen encoder's clip features (PCM³ §4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.task_settings import LinearSettings
from pcm3.tasks.features import ClipBank, ClipEncoder, extract

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
    optimiser = torch.optim.SGD(head.parameters(), settings.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.drop_epochs)
    looks: list[list[float]] = [[] for _ in tests]
    logits: list[Tensor] = []
    for _ in range(settings.epochs):
        _epoch(head, optimiser, seen(generator), label, settings.batch, generator)
        schedule.step()
        with torch.no_grad():
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


def _epoch(
    head: nn.Linear, optimiser: torch.optim.Optimizer, features: Tensor, label: Tensor, batch: int, g: torch.Generator
) -> None:
    """One pass over the features (N, D) in random order."""
    for part in torch.randperm(len(features), generator=g, device=features.device).split(batch):
        loss = F.cross_entropy(head(features[part]), label[part])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
