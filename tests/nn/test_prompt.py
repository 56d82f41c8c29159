import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from pcm3.nn.prompt import Prompt, TaskPrompt, typical_spread

PLACES = pytest.mark.parametrize("place", ["window", "channels"])


def spread(prompt, seed, features=None):
    """What the prompt adds to features (D,)."""
    zeros = torch.zeros(features or prompt.features)
    return prompt(zeros, torch.Generator().manual_seed(seed)).detach()


def test_a_prompt_is_added_to_every_frame():
    prompt, inputs = Prompt(150), torch.randn(3, 4, 150)
    added = prompt(inputs) - inputs
    torch.testing.assert_close(added, prompt.vector.expand_as(inputs), rtol=0, atol=1e-6)


def test_prompts_are_uniform_around_zero():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vector = Prompt(10_000).vector.detach().double()
    within = vector / vector.abs().max()
    assert stats.kstest(within.numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.01


def largest(build, count=100):
    """The largest value over many fresh prompts."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return max(parameter.abs().max().item() for _ in range(count) for parameter in build().parameters())


def test_a_domain_prompt_is_xavier_uniform_with_the_released_bound():
    assert largest(lambda: Prompt(150)) == pytest.approx(math.sqrt(6 / 300), rel=1e-3)


def test_a_task_prompt_is_xavier_uniform_with_the_released_bound():
    # Released: shape (1, 256), so fans of 256 and 1.
    assert largest(lambda: TaskPrompt(2048, 128, "window")) == pytest.approx(math.sqrt(6 / 257), rel=1e-3)


def seeded(*how):
    """A fresh prompt's vector, always from the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return TaskPrompt(64, 6, *how).vector.detach()


@PLACES
def test_without_an_amplitude_a_task_prompt_is_xavier_s_to_the_bit(place):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        expected = torch.nn.init.xavier_uniform_(torch.empty(1, 12 if place == "window" else 6)).flatten()
    assert torch.equal(seeded(place), expected)


@PLACES
def test_an_amplitude_bounds_the_start_and_keeps_its_direction(place):
    assert largest(lambda: TaskPrompt(64, 6, place, 0.15)) == pytest.approx(0.15, rel=1e-2)
    cosine = torch.nn.functional.cosine_similarity(seeded(place, 0.15), seeded(place), dim=0)
    assert cosine.item() == pytest.approx(1, abs=1e-6)
    assert not seeded(place, 0.0).any()


@PLACES
def test_a_prompt_that_counts_spreads_is_as_large_beside_features_of_any_scale(place):
    prompt, features = TaskPrompt(12, 3, place, 0.5, "spread"), torch.randn(7, 5, 12) * torch.rand(12) * 40 + 3
    added = prompt(features, torch.Generator().manual_seed(4)) - features
    plain = TaskPrompt(12, 3, place, 0.5)
    plain.vector = prompt.vector
    wanted = spread(plain, 4).double().numpy() * features.double().numpy().reshape(-1, 12).std(axis=0).mean()
    np.testing.assert_allclose(added.detach().numpy(), np.broadcast_to(wanted, (7, 5, 12)), rtol=1e-4, atol=1e-4)


@PLACES
def test_no_gradient_goes_into_the_scale_of_the_spread(place):
    prompt, features = TaskPrompt(12, 3, place, None, "spread"), torch.randn(7, 12, requires_grad=True)
    prompt(features, torch.Generator().manual_seed(4)).sum().backward()
    assert torch.equal(features.grad, torch.ones_like(features))
    torch.testing.assert_close(prompt.vector.grad, (7 * typical_spread(features)).expand_as(prompt.vector))


@PLACES
def test_a_task_prompt_has_the_width_that_its_source_says(place):
    prompt = TaskPrompt(2048, 128, place)
    assert prompt.vector.shape == ((256,) if place == "window" else (128,))


def test_a_window_holds_one_half_of_the_prompt_in_each_half_at_one_offset():
    prompt = TaskPrompt(40, 6, "window")
    first, second = prompt.vector.detach().chunk(2)
    for seed in range(50):
        added = spread(prompt, seed)
        at = added.nonzero().flatten().tolist()
        offset = at[0]
        assert at == [*range(offset, offset + 6), *range(20 + offset, 20 + offset + 6)]
        assert torch.equal(added[at[:6]], first)
        assert torch.equal(added[at[6:]], second)


def test_a_window_is_drawn_from_all_places_but_the_last_as_released():
    prompt = TaskPrompt(40, 6, "window")
    offsets = Counter(int(spread(prompt, seed).nonzero()[0]) for seed in range(1400))
    assert set(offsets) == set(range(14)), "0 to 20 - 6 - 1"
    assert stats.chisquare(list(offsets.values())).pvalue > 0.01


def test_the_released_window_starts_at_0_to_895(monkeypatch):
    prompt = TaskPrompt(2048, 128, "window")
    starts = []
    for draw in (0.0, 1 - 2**-24):  # the smallest and the largest float32 that torch.rand gives
        monkeypatch.setattr(torch, "rand", lambda *shape, draw=draw, **_: torch.full(shape, draw))
        starts.append(int(spread(prompt, 0).nonzero()[0]))
    assert starts == [0, 895]


def test_a_window_as_wide_as_its_half_has_one_place():
    prompt = TaskPrompt(12, 6, "window")
    for seed in range(5):
        assert torch.equal(spread(prompt, seed), prompt.vector.detach())


def test_channels_touch_exactly_as_many_channels_as_the_prompt_is_wide():
    prompt = TaskPrompt(40, 6, "channels")
    values = prompt.vector.detach().sort().values
    touched = torch.zeros(40)
    for seed in range(600):
        added = spread(prompt, seed)
        at = added.nonzero().flatten()
        assert len(at) == 6
        assert torch.equal(added[at].sort().values, values)
        touched[at] += 1
    assert touched.min() > 0
    assert stats.chisquare(touched.numpy()).pvalue > 0.01


@PLACES
def test_places_are_drawn_anew_and_follow_from_the_generator(place):
    prompt, features = TaskPrompt(400, 6, place), torch.zeros(400)
    generator = torch.Generator().manual_seed(1)
    first, second = prompt(features, generator), prompt(features, generator)
    assert not torch.equal(first, second)
    assert torch.equal(first.detach(), spread(prompt, 1))


@PLACES
def test_a_task_prompt_is_the_same_for_all_clips_and_frames_of_a_view(place):
    prompt = TaskPrompt(40, 6, place)
    features = torch.randn(3, 5, 40)
    added = prompt(features, torch.Generator().manual_seed(0)) - features
    torch.testing.assert_close(added, added[:1, :1].expand_as(added), rtol=0, atol=1e-6)


@PLACES
def test_every_value_of_a_task_prompt_learns(place):
    prompt = TaskPrompt(40, 6, place)
    prompt(torch.zeros(2, 40), torch.Generator().manual_seed(0)).sum().backward()
    assert torch.equal(prompt.vector.grad, torch.full_like(prompt.vector, 2))
