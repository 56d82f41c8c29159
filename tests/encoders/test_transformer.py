import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.encoders import transformer as attention
from pcm3.encoders.transformer import AttentionLayers, positions
from pcm3.errors import ConfigError


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layers_of(inputs=7, width=12, layers=2, heads=4, seed=0):
    """Layers in float64 whose norms and biases are not those they started with."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = AttentionLayers(inputs, width, layers, heads).double()
        with torch.no_grad():
            for parameter in made.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter) / 4)
    return made.eval()


def linear(layer, x):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def normalised(norm, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + norm.eps)
    return centred / scale * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def sinusoids(frames, width):
    table = np.zeros((frames, width))
    half = (width + 1) // 2
    for frame in range(frames):
        for column in range(width):
            angle = frame / 10_000 ** ((column % half) / half)
            table[frame, column] = math.sin(angle) if column < half else math.cos(angle)
    return table


def attended(block, x, heads):
    """Self-attention over the frames of one clip (T, W), head by head and frame by frame."""
    frames, width = x.shape
    each = width // heads
    projected = linear(block.project, normalised(block.norm, x))
    query, key, value = projected[:, :width], projected[:, width : 2 * width], projected[:, 2 * width :]
    result = np.zeros_like(x)
    for head in range(heads):
        own = slice(head * each, (head + 1) * each)
        for frame in range(frames):
            scores = np.array([query[frame, own] @ key[other, own] / math.sqrt(each) for other in range(frames)])
            weights = np.exp(scores) / np.exp(scores).sum()
            result[frame, own] = sum(weights[other] * value[other, own] for other in range(frames))
    return linear(block.gather, result)


def gelu(x):
    return x * np.vectorize(lambda value: (1 + math.erf(value / math.sqrt(2))) / 2)(x)


def slowly(layers, clip, heads):
    x = linear(layers.enter, clip)
    x = x + sinusoids(*x.shape)
    for block in layers.blocks:
        x = x + attended(block, x, heads)
        norm, widen, _, narrow = block.mlp
        x = x + linear(narrow, gelu(linear(widen, normalised(norm, x))))
    return normalised(layers.norm, x)


@pytest.mark.parametrize(("heads", "width"), [(1, 5), (2, 6), (4, 12)])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_attention_layers_are_the_slow_reference(heads, width, count):
    layers = layers_of(width=width, layers=count, heads=heads)
    clips = random(3, 9, 7)
    expected = np.stack([slowly(layers, clip, heads) for clip in clips.numpy()])
    np.testing.assert_allclose(layers(clips).detach(), expected, rtol=0, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 80), st.integers(0, 100))
def test_any_number_of_frames_follows_any_other_and_a_batch_is_its_clips(size, frames, seed):
    layers = layers_of()
    clips = random(size, frames, 7, seed=seed)
    together = layers(clips)
    assert together.shape == (size, frames, 12)
    singles = torch.cat([layers(clip.unsqueeze(0)) for clip in clips])
    torch.testing.assert_close(together, singles, rtol=0, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 20), st.integers(0, 1000))
def test_without_positions_shuffled_frames_give_shuffled_features_and_with_them_others(frames, seed):
    layers, clips = layers_of(), random(2, frames, 7, seed=seed)
    order = torch.randperm(frames, generator=torch.Generator().manual_seed(seed))
    order = order.roll(1) if torch.equal(order, torch.arange(frames)) else order
    assert (layers(clips[:, order]) - layers(clips)[:, order]).abs().max() > 1e-3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "positions", lambda frames, like: like.new_zeros(frames, len(like)))
        torch.testing.assert_close(layers(clips[:, order]), layers(clips)[:, order], rtol=0, atol=1e-10)


def test_every_feature_knows_every_frame():
    layers, clips = layers_of(layers=1), random(1, 6, 7).requires_grad_()
    for frame in range(6):
        weight = random(12, seed=frame)
        (slope,) = torch.autograd.grad(layers(clips)[:, frame] @ weight, clips)
        assert (slope.abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("width", [1, 2, 5, 12])
def test_positions_are_sinusoids_that_do_not_depend_on_the_length_of_the_clip(width):
    like = torch.zeros(width, dtype=torch.float64)
    np.testing.assert_allclose(positions(40, like), sinusoids(40, width), rtol=0, atol=1e-12)
    assert torch.equal(positions(13, like), positions(40, like)[:13])


def test_frames_further_apart_by_the_same_number_have_the_same_product_of_positions():
    table = positions(60, torch.zeros(16, dtype=torch.float64))
    products = table @ table.T
    for apart in (0, 1, 7):
        torch.testing.assert_close(products.diagonal(apart), products[0, apart].expand(60 - apart))


def test_gradients_are_those_of_differences():
    layers = layers_of(inputs=3, width=4, layers=1, heads=2)
    assert torch.autograd.gradcheck(lambda clips, *_: layers(clips), (random(2, 3, 3).requires_grad_(),))
    weights = tuple(layers.parameters())
    assert torch.autograd.gradcheck(lambda *_: layers(random(1, 3, 3)), weights)


def test_the_same_seed_gives_the_same_weights_and_passes_give_the_same_bits():
    one, other, third = layers_of(seed=1), layers_of(seed=1), layers_of(seed=2)
    clips = random(3, 8, 7)
    assert torch.equal(one(clips), other(clips))
    assert torch.equal(one.train()(clips), one.eval()(clips)), "nothing is random, nothing has a mode"
    assert not torch.equal(one(clips), third(clips))


def test_bf16_is_near_to_the_exact_and_gives_float32():
    layers = layers_of(inputs=60, width=64, layers=3).float()
    clips = random(8, 16, 60).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = layers(clips)
    rough.square().mean().backward()
    assert rough.dtype == torch.float32
    assert all(parameter.grad.isfinite().all() for parameter in layers.parameters())
    assert (rough - layers(clips)).abs().mean() < 0.02 * layers(clips).abs().mean()


def test_features_stay_near_unit_size_for_loud_and_for_silent_inputs():
    layers = AttentionLayers(60, 64, 3)
    for scale in (0.0, 1.0, 1e4):
        features = layers(scale * random(2, 16, 60).float())
        assert features.isfinite().all()
        assert features.square().mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("width", "heads"), [(10, 4), (3, 4), (8, 0), (8, -2)])
def test_a_width_that_the_heads_cannot_share_is_refused(width, heads):
    with pytest.raises(ConfigError, match=rf"multiple of the {heads} heads, got {width}"):
        AttentionLayers(7, width, 1, heads)
