from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pcm3.data.protocol import split
from pcm3.errors import ConfigError
from pcm3.nn.optimiser import OPTIMISERS, build_optimiser
from pcm3.settings.pretrain import OptimiserSettings
from pcm3.train.plan import training_clips
from pcm3.train.pretrain import pretrain

KINDS = get_args(get_type_hints(OptimiserSettings)["kind"])
SHAPES = [(3, 4), (4,), (), (2, 3, 2), (1, 5)]


class Weights(nn.Module):
    """Parameters of these shapes, and one that does not learn."""

    def __init__(self, shapes=SHAPES, seed=0, dtype=torch.float32):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        made = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
        self.learning = nn.ParameterList(made)
        self.still = nn.Parameter(torch.ones(2, 2), requires_grad=False)

    def give(self, gradients):
        for weight, gradient in zip(self.learning, gradients, strict=True):
            weight.grad = gradient.clone() if gradient is not None else None

    def values(self):
        return [weight.detach().clone() for weight in self.learning]


def gradients_of(steps, shapes=SHAPES, seed=1, dtype=torch.float32):
    """Random gradients of some steps."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes] for _ in range(steps)]


def walked(module, optimiser, gradients):
    for given_ in gradients:
        module.give(given_)
        optimiser.step()
    return module.values()


# What each does, written out


def adamw_by_hand(weights, gradients, lr, momentum, decay, beta2):
    """Number by number."""
    found = []
    for number, weight in enumerate(weights):
        w = weight.double().numpy().copy()
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, step in enumerate(gradients, start=1):
            g = step[number].double().numpy()
            w = w - lr * (decay if w.ndim > 1 else 0.0) * w
            m, v = momentum * m + (1 - momentum) * g, beta2 * v + (1 - beta2) * g * g
            w = w - lr * (m / (1 - momentum**t)) / (np.sqrt(v / (1 - beta2**t)) + 1e-8)
        found.append(w)
    return found


@pytest.mark.parametrize(("kind", "by_hand"), [("adamw", adamw_by_hand)])
@settings(deadline=None, max_examples=20)
@given(
    lr=st.floats(1e-3, 2), momentum=st.floats(0, 0.99), decay=st.floats(0, 0.5), seed=st.integers(0, 1000),
    beta2=st.sampled_from([0.999, 0.95]),
)  # fmt: skip
def test_the_steps_are_those_written_out_in_float64(kind, by_hand, lr, momentum, decay, seed, beta2):
    module = Weights(seed=seed, dtype=torch.float64)
    gradients = gradients_of(6, seed=seed + 1, dtype=torch.float64)
    expected = by_hand(module.values(), gradients, lr, momentum, decay, beta2)
    chosen = OptimiserSettings(kind, lr=lr, momentum=momentum, weight_decay=decay, beta2=beta2)
    for got, want in zip(walked(module, build_optimiser(module, chosen), gradients), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("kind", "made"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_sgd_and_adam_are_torchs_over_everything_in_one_group(kind, made):
    # As they were before there were others: a checkpoint of then goes on.
    ours, torchs, gradients = Weights(), Weights(), gradients_of(5)
    more = {"momentum": 0.8} if kind == "sgd" else {"betas": (0.8, 0.999)}
    other = made(list(torchs.learning), 0.1, weight_decay=0.01, fused=True, **more)
    chosen = OptimiserSettings(kind, lr=0.1, momentum=0.8, weight_decay=0.01)
    built = build_optimiser(ours, chosen)
    assert len(built.param_groups) == 1
    for one, two in zip(walked(ours, built, gradients), walked(torchs, other, gradients), strict=True):
        assert torch.equal(one, two)


def test_the_table_has_every_kind_that_the_settings_have():
    assert set(OPTIMISERS) == set(KINDS)


# Gradients that are too long


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_gradient_is_scaled_to_the_largest_length_and_a_short_one_is_left(kind):
    gradients = gradients_of(4)
    length = [sum(part.double().square().sum() for part in step).sqrt().item() for step in gradients]
    largest = sorted(length)[1]  # two are longer
    scaled = [[part * min(largest / own, 1.0) for part in step] for step, own in zip(gradients, length, strict=True)]
    ours, plain = Weights(), Weights()
    with_it, without = (OptimiserSettings(kind, lr=0.1, max_grad_norm=most) for most in (largest, 0.0))
    got = walked(ours, build_optimiser(ours, with_it), gradients)
    expected = walked(plain, build_optimiser(plain, without), scaled)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


# What is true of all of them


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_learns_is_moved_and_nothing_else(kind):
    module = Weights()
    optimiser = build_optimiser(module, OptimiserSettings(kind))
    held = [weight for group in optimiser.param_groups for weight in group["params"]]
    assert {id(weight) for weight in held} == {id(weight) for weight in module.learning}
    assert len(held) == len(SHAPES)
    before = module.values()
    after = walked(module, optimiser, gradients_of(1))
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shapes", [[(3, 4)], [(4,), ()]], ids=["matrices", "vectors"])
def test_a_module_may_have_matrices_only_or_none(kind, shapes):
    module = Weights(shapes)
    walked(module, build_optimiser(module, OptimiserSettings(kind)), gradients_of(2, shapes))
    assert all(bool(weight.isfinite().all()) for weight in module.learning)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_without_a_gradient_stays(kind):
    module = Weights()
    first = module.values()
    gradients = [[None, *step[1:]] for step in gradients_of(2)]
    after = walked(module, build_optimiser(module, OptimiserSettings(kind)), gradients)
    assert torch.equal(after[0], first[0])
    assert not torch.equal(after[1], first[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", [1, 4])
def test_an_optimiser_gone_on_with_from_its_state_has_the_bits_of_one_not_stopped(kind, stop, tmp_path):
    chosen, gradients = OptimiserSettings(kind, lr=0.3, weight_decay=0.01), gradients_of(8)
    whole = Weights()
    expected = walked(whole, build_optimiser(whole, chosen), gradients)
    first = Weights()
    optimiser = build_optimiser(first, chosen)
    walked(first, optimiser, gradients[:stop])
    torch.save({"weights": first.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "state")
    state, second = torch.load(tmp_path / "state", weights_only=True), Weights(seed=9)
    second.load_state_dict(state["weights"])
    again = build_optimiser(second, chosen)
    again.load_state_dict(state["optimiser"])
    for one, other in zip(expected, walked(second, again, gradients[stop:]), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "adamw" else pytest.mark.soak) for kind in KINDS]
)
def test_a_run_stopped_in_and_after_the_warm_up_and_gone_on_with_is_the_run_not_stopped(
    kind, store, tiny, trace, tmp_path
):
    changes = {"optimiser.kind": kind, "optimiser.warmup_steps": 4, "optimiser.lr": 0.01, "exclude_subjects": [2]}
    pretrain(store, tmp_path / "whole", tiny(changes, steps=10), progress=False)
    for stop in (3, 5, 10):
        pretrain(store, tmp_path / "parts", tiny(changes, steps=stop), progress=False)
    whole, parts = trace(tmp_path / "whole"), trace(tmp_path / "parts")
    torch.testing.assert_close(parts.state, whole.state, rtol=0, atol=0)
    assert parts.encoder == whole.encoder
    assert [line["lr"] for line in parts.metrics] == pytest.approx([0.0075, 0.01, 0.01])


# Which clips the run learns from, and the settings' checks


def test_the_run_does_not_learn_from_the_subjects_that_are_left_out(store, tiny):
    train, _ = split(store, "xsub")
    chosen = training_clips(store, tiny(protocol="xsub", exclude_subjects=[4, 1]))
    assert set(store.subject[chosen]) == {2}
    assert set(chosen) < set(train)
    assert np.array_equal(training_clips(store, tiny(protocol="xsub")), train)
    assert set(store.subject[training_clips(store, tiny(protocol="all", exclude_subjects=[3]))]) == {1, 2, 4}


@pytest.mark.parametrize(("left_out", "told"), [([3], r"\(1, 2, 4\), got 3"), ([1, 2, 4], "left to train on")])
def test_a_run_without_clips_is_refused_before_anything_is_made(store, tiny, tmp_path, left_out, told):
    with pytest.raises(ConfigError, match=rf"^setting exclude_subjects: .*{told}"):
        pretrain(store, tmp_path / "run", tiny(protocol="xsub", exclude_subjects=left_out), progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "value"), [("exclude_subjects", [2, 2]), ("optimiser.warmup_steps", -1)])
def test_settings_that_make_no_sense_are_told_with_their_name(tiny, name, value):
    with pytest.raises(ConfigError, match=rf"^setting {name}: expected .*, got "):
        tiny({name: value}).check()
