"""The whole network trained with a linear classifier: fine-tuning, semi-supervised and supervised (PCM³ Table 2).

Numbers as in CMD's released semi-supervised code, which PCM³ follows: SGD with momentum 0.9 and without weight decay,
the last small batch kept, and BatchNorm in training mode. From fresh weights this is supervised training from scratch;
on another store than the encoder was pretrained on it is transfer.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pcm3.clips import ClipBank, ClipEncoder, extract
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.tasks import FinetuneSettings
from pcm3.tasks.linear import HeadResult, accuracy, fresh_head, judged
from pcm3.tasks.subsets import SubsetKind, labelled_subset
from pcm3.train.optimiser import OPTIMISERS
from pcm3.train.sync_batch_norm import norms_with_statistics


def finetune(
    encoder: ClipEncoder,
    bank: ClipBank,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    classes: int,
    settings: FinetuneSettings,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> HeadResult:
    """Train a copy of the encoder and a classifier on `train`, and test them on `test`.

    BatchNorm takes its statistics from each batch and keeps averaging them, as when the encoder was pretrained, unless
    the settings keep those that it has. They are over clips and frames, so that a batch of one clip has some, too.

    Args:
        encoder: stays as it is; what has no weights, as raw coordinates, has only its classifier trained.
        bank: the clips.
        train: numbers of the training clips; each epoch sees a new crop of each.
        test: numbers of the test clips.
        classes: L.
        settings: of the training.
        seed: of the classifier's weights, the crops and the order of clips.
        tick: called after every epoch.
    """
    device = bank.start.device
    generator = torch.Generator(device=device).manual_seed(seed)
    label = torch.from_numpy(bank.store.label.astype(np.int64)).to(device)
    chosen = torch.from_numpy(train).to(device)
    network = deepcopy(encoder)
    head = fresh_head(network.width, classes, generator)
    moved = [*head.parameters(), *(network.parameters() if isinstance(network, nn.Module) else ())]
    by = OptimiserSettings(settings.optimiser, lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay)
    optimiser = OPTIMISERS[by.kind]([weight.requires_grad_(True) for weight in moved], by)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.drop_epochs)
    kept = norms_with_statistics(network.train(True)) if settings.batch_norm == "pretrained" else []
    looks, logits = [], torch.empty(0)
    for epoch in range(1, settings.epochs + 1):
        network.train(True)
        for norm in kept:
            norm.train(False)
        for part in torch.randperm(len(chosen), generator=generator, device=device).split(settings.batch):
            clips = bank.random(chosen[part], generator)
            _step(network, head, optimiser, clips, label[chosen[part]])
        schedule.step()
        if epoch % settings.test_every == 0 or epoch == settings.epochs:
            with torch.no_grad():
                logits = head(extract(network, bank, test))
            looks.append(accuracy(logits.argmax(dim=1), label[test]))
        tick()
    return judged(looks, logits)


def semi_supervised(
    encoder: ClipEncoder,
    bank: ClipBank,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    classes: int,
    settings: FinetuneSettings,
    share: float,
    kind: SubsetKind,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> HeadResult:
    """`finetune` with the labels of a share of `train` only; each seed draws a subset of its own.

    An epoch is one pass over the subset, as in CMD: with few clips the protocol's 80 epochs are few steps. (HiCLR's
    epochs go over the subset as often as fills the whole training set.)

    Raises:
        ConfigError: the share or the kind is none.
    """
    subset = train[labelled_subset(bank.store.label[train].astype(np.int64), share, kind, seed)]
    return finetune(encoder, bank, subset, test, classes, settings, seed, tick)


def _step(
    network: ClipEncoder, head: nn.Linear, optimiser: torch.optim.Optimizer, clips: Tensor, label: Tensor
) -> None:
    """One step on a batch of crops (B, T, M, V, C) with classes (B,)."""
    loss = F.cross_entropy(head(network.embed(clips)), label)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
