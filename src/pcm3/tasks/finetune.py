"""The whole network trained with a linear classifier: fine-tuning, semi-supervised and supervised (PCM³ Table 2).

Numbers as in CMD's released semi-supervised code, which PCM³ follows: SGD with momentum 0.9 and without weight decay,
the last small batch kept, and BatchNorm in training mode. From fresh weights this is supervised training from scratch;
on another store than the encoder was pretrained on it is transfer.
"""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pcm3.clips import ClipEncoder
from pcm3.nn.optimiser import OPTIMISERS
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.tasks import FinetuneSettings
from pcm3.tasks.classifier import Classifier, ClassifierResult, History, LabelledClips, fresh_head
from pcm3.tasks.head_files import weights_checksum
from pcm3.tasks.linear import OnEpoch
from pcm3.tasks.subsets import SubsetKind, labelled_subset
from pcm3.train.sync_batch_norm import norms_with_statistics


def fit_finetuned(
    encoder: ClipEncoder,
    train: LabelledClips,
    settings: FinetuneSettings,
    seed: int,
    on_epoch: OnEpoch = lambda head: None,
) -> Classifier:
    """A classifier and a copy of the encoder, trained together; each epoch sees a new crop of each clip.

    BatchNorm takes its statistics from each batch and keeps averaging them, as when the encoder was pretrained, unless
    the settings keep those that it has. They are over clips and frames, so that a batch of one clip has some, too.
    """
    generator = torch.Generator(device=train.bank.device).manual_seed(seed)
    label, chosen = train.label, torch.from_numpy(train.indices).to(train.bank.device)
    network = deepcopy(train.bank.feed.adapted(encoder))
    linear = fresh_head(network.width, len(train.classes), generator)
    head = Classifier(linear, train.classes, settings, weights_checksum(encoder), train.bank.crops, network)
    weights = [*linear.parameters(), *(network.parameters() if isinstance(network, nn.Module) else ())]
    by = OptimiserSettings(settings.optimiser, lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay)
    optimiser = OPTIMISERS[by.kind]([weight.requires_grad_(True) for weight in weights], by)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.drop_epochs)
    kept = norms_with_statistics(network.train(True)) if settings.batch_norm == "pretrained" else []
    for epoch in range(1, settings.epochs + 1):
        network.train(True)
        for norm in kept:
            norm.train(False)
        for part in torch.randperm(len(chosen), generator=generator, device=chosen.device).split(settings.batch):
            clips = train.bank.random(chosen[part], generator)
            _step(network, linear, optimiser, clips, label[part])
        schedule.step()
        if epoch % settings.test_every == 0 or epoch == settings.epochs:
            on_epoch(head)
    network.train(False)
    return head


def evaluate_finetuned(
    encoder: ClipEncoder, train: LabelledClips, test: LabelledClips, settings: FinetuneSettings, seed: int
) -> tuple[Classifier, ClassifierResult]:
    """`fit_finetuned`, scored on the test clips every few epochs: the head, and what it came to."""
    history = History(test.label)

    def record(head: Classifier) -> None:
        history.add(head.logits(head.features(encoder, test.bank, test.indices)))

    return fit_finetuned(encoder, train, settings, seed, record), history.result()


def labelled_share(train: LabelledClips, share: float, kind: SubsetKind, seed: int) -> LabelledClips:
    """A share of the training clips, on which semi-supervised training is `fit_finetuned`; each seed draws its own.

    An epoch is one pass over the subset, as in CMD: with few clips the protocol's 80 epochs are few steps. (HiCLR's
    epochs go over the subset as often as fills the whole training set.)

    Raises:
        ConfigError: the share or the kind is none.
    """
    return train.take(labelled_subset(train.labels, share, kind, seed))


def _step(
    network: ClipEncoder,
    head: nn.Linear,
    optimiser: torch.optim.Optimizer,
    clips: Float[Tensor, "B T M V C"],
    label: Int[Tensor, " B"],
) -> None:
    """One step on a batch of crops with these classes."""
    loss = F.cross_entropy(head(network.embed(clips)), label)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
