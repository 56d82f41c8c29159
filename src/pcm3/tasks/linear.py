"""Linear evaluation: one linear layer on the frozen encoder's clip features (PCM³ §4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.config import LinearSettings
from pcm3.tasks.features import ClipBank, ClipEncoder, extract

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class HeadResult:
    """What one head came to on the test clips."""

    top1: float
    """Accuracy after the last epoch, per cent: the figure."""
    best_top1: float
    """Accuracy after the best epoch, per cent, chosen by looking at the test clips: only for comparison with
    published tables, which do so."""
    predicted: Labels
    """(N_test,) classes after the last epoch."""


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
    generator = torch.Generator(device=device).manual_seed(seed)
    label = torch.from_numpy(bank.store.label.astype(np.int64)).to(device)
    test_features, train_label, test_label = extract(encoder, bank, test), label[train], label[test]
    features = extract(encoder, bank, train) if cached else None

    head = fresh_head(encoder.width, classes, generator)
    optimiser = torch.optim.SGD(head.parameters(), settings.lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.drop_epochs)
    accuracies, predicted = [], torch.empty(0)
    for _ in range(settings.epochs):
        seen = features if features is not None else extract(encoder, bank, train, generator)
        _epoch(head, optimiser, seen, train_label, settings.batch, generator)
        schedule.step()
        with torch.no_grad():
            predicted = head(test_features).argmax(dim=1)
        accuracies.append(100 * (predicted == test_label).double().mean().item())
        tick()
    return HeadResult(accuracies[-1], max(accuracies), predicted.cpu().numpy())


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
