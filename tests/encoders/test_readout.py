"""From frame features to a clip feature: every pooling against NumPy, and what fitting makes of the feature."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.encoders.readout import POOLINGS, Readout
from pcm3.settings.encoder import Pooling

EVERY = pytest.mark.parametrize("pooling", get_args(Pooling))


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def readout_of(features, pooling, backward=False, normalise_features=False):
    made = Readout(features, pooling, backward, normalise_features).double()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.copy_(random(*parameter.shape, seed=100 + number))
    return made


def slowly(readout, features):
    """One clip and one value at a time; features is (B, T, D)."""
    pooled = []
    for clip in features:
        frames, width = clip.shape
        mean = [sum(clip[:, n]) / frames for n in range(width)]
        most = [max(clip[:, n]) for n in range(width)]
        last = [clip[0 if readout.backward and n >= width // 2 else -1, n] for n in range(width)]
        least = [min(clip[:, n]) for n in range(width)]
        kept = {"mean": mean, "max": most, "mean_max": mean + most, "last": last, "max_min": most + least,
                "mean_max_min": mean + most + least}  # fmt: skip
        if readout.pooling == "attention":
            weight, bias = readout.score.weight.detach().numpy()[0], readout.score.bias.item()
            share = [math.exp(sum(w * x for w, x in zip(weight, frame, strict=True)) + bias) for frame in clip]
            kept["attention"] = [sum(s * x for s, x in zip(share, clip[:, n], strict=True)) / sum(share)
                                 for n in range(width)]  # fmt: skip
        pooled.append(kept[readout.pooling])
    return np.array(pooled)


@EVERY
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 7), st.integers(1, 4), st.booleans())
def test_every_pooling_is_that_of_the_slow_reference(pooling, seed, size, frames, half, backward):
    readout, features = readout_of(2 * half, pooling, backward), random(size, frames, 2 * half, seed=seed)
    pooled = readout(features).detach()
    assert pooled.shape == (size, readout.width)
    # The weights of the attention are taken in float32.
    np.testing.assert_allclose(pooled, slowly(readout, features.numpy()), rtol=0, atol=1e-5)


def test_the_ways_to_pool_are_those_of_the_settings():
    assert set(POOLINGS) == set(get_args(Pooling))


@EVERY
def test_of_one_frame_every_pooling_is_the_frame(pooling):
    features = random(3, 1, 4)
    expected = torch.cat([features[:, 0]] * {"mean_max": 2, "max_min": 2, "mean_max_min": 3}.get(pooling, 1), dim=1)
    torch.testing.assert_close(readout_of(4, pooling, backward=True)(features), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("pooling", ["mean", "max", "mean_max", "max_min", "mean_max_min", "attention"])
def test_pooling_over_the_frames_does_not_depend_on_their_order(pooling):
    readout, features = readout_of(4, pooling, backward=True), random(3, 9, 4)
    shuffled = features[:, torch.randperm(9, generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(readout(shuffled), readout(features), rtol=0, atol=1e-6)


def test_attention_with_equal_scores_is_the_mean_and_with_a_far_higher_one_that_frame():
    readout, features = readout_of(4, "attention"), random(3, 9, 4)
    with torch.no_grad():
        readout.score.weight.zero_()
    torch.testing.assert_close(readout(features), features.mean(dim=1), rtol=0, atol=1e-6)
    features[:, 5, 0] = 1000
    with torch.no_grad():
        readout.score.weight[0, 0] = 1
    torch.testing.assert_close(readout(features), features[:, 5], rtol=0, atol=1e-6)


def test_a_score_that_is_added_to_all_frames_changes_nothing_so_the_bias_never_learns():
    readout = readout_of(4, "attention")
    readout(random(3, 9, 4)).square().sum().backward()
    assert readout.score.weight.grad.abs().max() > 0.01
    assert readout.score.bias.grad.abs().max() < 1e-6


@EVERY
def test_the_gradient_reaches_what_the_feature_was_taken_from(pooling):
    features = random(2, 6, 4).requires_grad_()
    readout_of(4, pooling, backward=True)(features).sum().backward()
    reached = (features.grad != 0).sum(dim=1)
    frames = {"last": 1, "max": 1, "max_min": 2}.get(pooling, 6)
    assert (reached == frames).all()


@EVERY
def test_bfloat16_features_give_a_feature_close_to_that_of_float64(pooling):
    readout, features = readout_of(8, pooling), random(3, 20, 8)
    half = readout_of(8, pooling).bfloat16()(features.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), readout(features), rtol=0.05, atol=0.05)


# Standardised


@EVERY
def test_a_readout_that_was_not_fitted_changes_no_direction(pooling):
    features = random(3, 5, 4)
    plain, standardised = readout_of(4, pooling), readout_of(4, pooling, normalise_features=True)
    torch.testing.assert_close(F.normalize(plain(features), dim=-1), standardised(features))
    assert not list(plain.buffers())
    assert {name for name, _ in standardised.named_buffers()} == {"centre", "scale"}


@EVERY
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20), st.floats(1e-3, 1e4), st.floats(-1e3, 1e3))
def test_fitted_features_have_mean_0_and_mean_square_1(pooling, seed, clips, scale, shift):
    readout, features = (
        readout_of(4, pooling, normalise_features=True),
        scale * random(clips, 5, 4, seed=seed) + shift * scale,
    )
    pooled = readout.pool(features).detach()
    readout.fit_normalisation(pooled)
    fitted = readout(features).detach()
    np.testing.assert_allclose(fitted.mean(dim=0), 0, atol=1e-8)
    assert fitted.square().mean().item() == pytest.approx(1, rel=1e-6)
    assert torch.equal(readout.pool(features), pooled), "what the losses see stays"
    # One scale for all: distances between features of length 1 keep their proportions.
    unit = F.normalize(pooled, dim=-1)
    torch.testing.assert_close(torch.pdist(fitted) * readout.scale, torch.pdist(unit), rtol=1e-6, atol=1e-9)
    # How large a feature is does not count.
    torch.testing.assert_close(readout.normalised(7 * pooled), readout.normalised(pooled))


def test_fitting_again_forgets_the_first_time_and_survives_the_way_through_a_file():
    readout, first, second = (
        readout_of(4, "mean", normalise_features=True),
        random(9, 4, seed=1),
        5 * random(9, 4, seed=2) + 3,
    )
    readout.fit_normalisation(first)
    readout.fit_normalisation(second)
    once = readout_of(4, "mean", normalise_features=True)
    once.load_state_dict(readout.state_dict())
    unit = F.normalize(second, dim=-1).numpy()
    np.testing.assert_allclose(once.centre, unit.mean(axis=0), atol=1e-12)
    assert once.scale.item() == pytest.approx(math.sqrt(unit.var(axis=0).mean()))


def test_float32_features_far_from_0_are_fitted_without_loss():
    pooled = (random(200, 4) + 1e4).float()  # squares of 1e8 leave no digit of a variance of 1 in float32
    readout = Readout(4, "mean", backward=False, normalise_features=True)
    readout.fit_normalisation(pooled)
    unit = F.normalize(pooled.double(), dim=-1)
    assert readout.scale.item() == pytest.approx(unit.sub(unit.mean(0)).square().mean().sqrt().item(), rel=1e-5)


def test_features_that_are_all_alike_stay_finite():
    readout = readout_of(4, "mean", normalise_features=True)
    readout.fit_normalisation(torch.ones(5, 4, dtype=torch.float64))
    assert readout(torch.ones(2, 3, 4, dtype=torch.float64)).abs().max() == 0
