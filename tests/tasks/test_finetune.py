from copy import deepcopy

import numpy as np
import pytest
import torch
from fitted import finetune, labelled, semi_supervised
from toy import toy_encoder

from pcm3.clips import ClipBank, extract, frozen
from pcm3.errors import ConfigError
from pcm3.settings.tasks import FinetuneSettings
from pcm3.tasks.baselines import RawCoordinates
from pcm3.tasks.classifier import fresh_head
from pcm3.tasks.finetune import fit_finetuned
from pcm3.tasks.subsets import labelled_subset

TRAIN, TEST = np.arange(18), np.arange(18, 24)
CLASSES = 3
QUICK = FinetuneSettings(epochs=2, batch=8)


@pytest.fixture
def bank(store):
    return ClipBank.of(store, "joint", 16, torch.device("cpu"))


def state_of(encoder):
    return {name: tensor.clone() for name, tensor in encoder.state_dict().items()}


def slow_training(encoder, bank, settings, seed):
    """Fine-tuning written down: float64, gradients by autograd, momentum and rates by hand; test logits at the end."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.from_numpy(bank.store.label.astype(np.int64))
    head = fresh_head(encoder.width, CLASSES, generator).double()
    network = deepcopy(encoder).double().train()
    weights = [*head.parameters(), *network.parameters()]
    speed = [torch.zeros_like(weight) for weight in weights]
    for epoch in range(settings.epochs):
        rate = settings.lr * 0.1 ** sum(epoch >= drop for drop in settings.drop_epochs)
        order = torch.randperm(len(TRAIN), generator=generator)
        for begin in range(0, len(order), settings.batch):
            chosen = order[begin : begin + settings.batch]  # a short last batch is a step, too
            clips = bank.random(chosen, generator).double()
            logits = head(network.embed(clips))
            chances = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
            loss = -chances[torch.arange(len(chosen)), label[chosen]].log().mean()
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, its_speed, gradient in zip(weights, speed, gradients, strict=True):
                    its_speed.mul_(0.9).add_(gradient)
                    weight.sub_(rate * its_speed)
    with frozen(network):
        return head(network.embed(bank.centre(torch.from_numpy(TEST)).double()))


def test_the_network_is_trained_as_the_protocol_says(bank):
    settings = FinetuneSettings(epochs=5, lr=0.1, batch=7, drop_epochs=[2, 4], test_every=2)
    expected = slow_training(toy_encoder(), bank, settings, seed=4).numpy()
    found = finetune(toy_encoder(), bank, TRAIN, TEST, CLASSES, settings, seed=4)
    np.testing.assert_allclose(found.logits, expected, atol=1e-4)
    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(found.predicted, expected.argmax(axis=1))
    assert found.top1 == pytest.approx(100 * np.mean(found.predicted == bank.store.label[TEST]))


def test_adamw_trains_as_its_paper_says(bank):
    """Against Loshchilov and Hutter, algorithm 2, written down; but decay is of matrices only, as in MAE."""
    settings = FinetuneSettings(epochs=4, optimiser="adamw", lr=0.003, weight_decay=0.1, batch=7, drop_epochs=[2])
    generator = torch.Generator().manual_seed(4)
    label = torch.from_numpy(bank.store.label.astype(np.int64))
    head = fresh_head(toy_encoder().width, CLASSES, generator).double()
    network = deepcopy(toy_encoder()).double().train()
    weights = [*head.parameters(), *network.parameters()]
    mean, square = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    step = 0
    for epoch in range(4):
        rate = 0.003 if epoch < 2 else 0.0003
        order = torch.randperm(len(TRAIN), generator=generator)
        for chosen in order.split(7):
            step += 1
            logits = head(network.embed(bank.random(chosen, generator).double()))
            gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, label[chosen]), weights)
            with torch.no_grad():
                for weight, first, second, gradient in zip(weights, mean, square, gradients, strict=True):
                    first.mul_(0.9).add_(0.1 * gradient)
                    second.mul_(0.999).add_(0.001 * gradient**2)
                    if weight.dim() > 1:
                        weight.mul_(1 - rate * 0.1)
                    moved = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
                    weight.sub_(rate * moved)
    with frozen(network):
        expected = head(network.embed(bank.centre(torch.from_numpy(TEST)).double())).numpy()
    found = finetune(toy_encoder(), bank, TRAIN, TEST, CLASSES, settings, seed=4)
    np.testing.assert_allclose(found.logits, expected, atol=1e-3)


def test_the_statistics_of_the_pretraining_are_kept_where_that_is_asked_for(bank, monkeypatch):
    encoder = toy_encoder()
    with torch.no_grad():  # seven batches of "pretraining"
        for number in range(7):
            encoder.train().embed(bank.centre(torch.tensor([number])) * 3)
    before, looked_at = state_of(encoder), []

    def remember(network, *rest):
        looked_at.append(state_of(network))
        return extract(network, *rest)

    monkeypatch.setattr("pcm3.tasks.classifier.extract", remember)
    kept = FinetuneSettings(epochs=2, batch=8, batch_norm="pretrained")
    found = finetune(encoder, bank, TRAIN, TEST, CLASSES, kept, 0)
    after = looked_at[-1]
    for name in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked"):
        assert torch.equal(after[name], before[name])
    assert not torch.equal(after["norm.weight"], before["norm.weight"])
    usual = finetune(encoder, bank, TRAIN, TEST, CLASSES, QUICK, 0)
    assert not np.array_equal(found.logits, usual.logits)
    assert not torch.equal(looked_at[-1]["norm.running_mean"], before["norm.running_mean"])


def test_an_encoder_that_has_no_statistics_takes_those_of_its_batches(bank):
    """An untrained one, and raw coordinates, are trained alike either way."""
    for encoder in (toy_encoder(), RawCoordinates(16, 2, 25)):
        kept, usual = (
            finetune(encoder, bank, TRAIN, TEST, CLASSES, FinetuneSettings(epochs=3, batch=8, batch_norm=which), 0)
            for which in ("pretrained", "batch")
        )
        np.testing.assert_array_equal(kept.logits, usual.logits)


def test_the_encoder_that_is_given_stays_as_it_is(bank):
    encoder = toy_encoder().eval()
    before = state_of(encoder)
    finetune(encoder, bank, TRAIN, TEST, CLASSES, QUICK, 0)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not encoder.training
    assert all(weight.grad is None for weight in encoder.parameters())


def test_an_encoder_whose_weights_were_held_is_trained_all_the_same(bank):
    held = toy_encoder().requires_grad_(False)
    free = finetune(toy_encoder(), bank, TRAIN, TEST, CLASSES, QUICK, 0)
    np.testing.assert_array_equal(finetune(held, bank, TRAIN, TEST, CLASSES, QUICK, 0).logits, free.logits)
    assert not any(weight.requires_grad for weight in held.parameters())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(bank):
    one, same, other = (finetune(toy_encoder(), bank, TRAIN, TEST, CLASSES, QUICK, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.logits, same.logits)
    assert one.metrics == same.metrics
    assert not np.array_equal(one.logits, other.logits)


def test_clips_that_can_be_told_are_told_after_training_from_scratch(bank):
    settings = FinetuneSettings(epochs=15, lr=0.05, batch=6, drop_epochs=[12])
    found = finetune(toy_encoder(hidden_size=12), bank, TRAIN, TEST, CLASSES, settings, 0)
    assert found.metrics == {"top1": 100.0, "best_top1": 100.0}


def test_training_moves_the_encoder_and_not_only_the_classifier(bank):
    tuned = fit_finetuned(toy_encoder(), labelled(bank, TRAIN), QUICK, 0).tuned
    assert not tuned.training
    fresh = toy_encoder().state_dict()
    moved = {name for name, tensor in tuned.state_dict().items() if not torch.equal(tensor, fresh[name])}
    assert moved == set(fresh), "weights of every layer, and BatchNorm's averages"


def test_a_single_clip_is_enough_for_batchnorm_as_its_frames_have_statistics(bank):
    found = finetune(toy_encoder(), bank, TRAIN[:1], TEST, CLASSES, QUICK, 0)
    assert np.isfinite(found.logits).all()
    assert set(found.predicted) == {bank.store.label[0]}


def test_raw_coordinates_have_their_classifier_trained(bank):
    found = finetune(RawCoordinates(16, 2, 25), bank, TRAIN, TEST, CLASSES, FinetuneSettings(epochs=10), 0)
    assert found.top1 == 100


def test_the_figure_is_the_last_epochs_and_the_best_is_of_those_that_were_looked_at(bank):
    def after_training(epochs, test_every):
        settings = FinetuneSettings(epochs=epochs, lr=0.3, batch=6, drop_epochs=[], test_every=test_every)
        return finetune(toy_encoder(), bank, TRAIN, TEST, CLASSES, settings, 2)

    after = {epochs: after_training(epochs, 100).top1 for epochs in (1, 2, 3, 4, 5)}
    assert after_training(5, 1).metrics == {"top1": after[5], "best_top1": max(after.values())}
    assert after_training(5, 2).metrics == {"top1": after[5], "best_top1": max(after[2], after[4], after[5])}


def test_semi_supervised_is_fine_tuning_on_the_subset(bank):
    for kind in ("global", "stratified"):
        found = semi_supervised(toy_encoder(), bank, TRAIN, TEST, CLASSES, QUICK, 0.3, kind, 1)
        subset = TRAIN[labelled_subset(bank.store.label[TRAIN].astype(np.int64), 0.3, kind, 1)]
        assert 0 < len(subset) < len(TRAIN)
        alone = finetune(toy_encoder(), bank, subset, TEST, CLASSES, QUICK, 1)
        np.testing.assert_array_equal(found.logits, alone.logits)


def test_with_all_labels_semi_supervised_is_fine_tuning(bank):
    found = semi_supervised(toy_encoder(), bank, TRAIN, TEST, CLASSES, QUICK, 1.0, "global", 1)
    np.testing.assert_array_equal(found.logits, finetune(toy_encoder(), bank, TRAIN, TEST, CLASSES, QUICK, 1).logits)


def test_the_defaults_are_the_protocols():
    assert FinetuneSettings() == FinetuneSettings(epochs=80, lr=0.01, batch=64, drop_epochs=[50, 70], test_every=5)
    FinetuneSettings().check()


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch": 0}, {"lr": 0.0}, {"drop_epochs": [0]}, {"test_every": 0},
                                   {"weight_decay": -1.0}])  # fmt: skip
def test_a_training_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"finetune.{next(iter(wrong))}"):
        FinetuneSettings(**wrong).check()
