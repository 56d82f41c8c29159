import math

import numpy as np
import pytest
import reference
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.hico import DualLSTMLayer, maxima, resampled
from pcm3.errors import ConfigError


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hico(sequence="gru", bodies=2, joints=5, hidden_size=4, layers=1, frames=9, pooling="max", seed=0, **changes):
    """A float64 encoder none of whose weights is a 0 or 1 of the start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Encoder(
            bodies, joints, hidden_size=hidden_size, layers=layers, direction="bidirectional", pooling=pooling,
            kind="hico", frames=frames, sequence=sequence, **changes,
        ).double()  # fmt: skip
        for parameter in made.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return made


# The slow reference, written from the paper and docs/FIDELITY.md: one place after the other


def layer_norm(x, weight, bias):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weight + bias


def through_sequence(of, name, sequence, places):
    """(S, W) → (S, W)."""
    if sequence == "gru":
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ahead, behind = ([of[f"{name}.halves.0.{part}_l0{suffix}"] for part in parts] for suffix in ("", "_reverse"))
        return np.concatenate([reference.gru(places, ahead), reference.gru(places, behind, backward=True)], axis=1)
    if sequence == "lstm":
        return np.concatenate(
            [lstm(of, f"{name}.halves.0", places), lstm(of, f"{name}.halves.1", places[::-1])[::-1]], 1
        )
    return transformer(of, name, places)


def lstm(of, name, places):
    weights = [of[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    state = cell = np.zeros(weights[1].shape[1])
    outputs = []
    for place in places:
        enter, forget, new, leave = np.split(weights[0] @ place + weights[2] + weights[1] @ state + weights[3], 4)
        cell = reference.sigmoid(forget) * cell + reference.sigmoid(enter) * np.tanh(new)
        state = reference.sigmoid(leave) * np.tanh(cell)
        outputs.append(state)
    return np.array(outputs)


def linear(of, name, x):
    return of[f"{name}.weight"] @ x + of[f"{name}.bias"]


def transformer(of, name, places, heads=4):
    width = places.shape[1]
    size = width // heads
    projected = [linear(of, f"{name}.project", place) for place in places]
    outputs = []
    for place, own in zip(places, projected, strict=True):
        taken = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = [own[:width][part] @ other[width : 2 * width][part] / math.sqrt(size) for other in projected]
            weights = np.exp(scores) / np.exp(scores).sum()
            taken.append(sum(w * other[2 * width :][part] for w, other in zip(weights, projected, strict=True)))
        norm, first = f"{name}.norm", f"{name}.attention_norm"
        attended = place + linear(of, f"{name}.gather", np.concatenate(taken))
        normed = layer_norm(attended, of[f"{first}.weight"], of[f"{first}.bias"])
        added = linear(of, f"{name}.narrow", np.maximum(linear(of, f"{name}.widen", normed), 0))
        outputs.append(layer_norm(normed + added, of[f"{norm}.weight"], of[f"{norm}.bias"]))
    return np.array(outputs)


def coarser(of, name, places):
    kernel, bias = of[f"{name}.mix.weight"][:, 0], of[f"{name}.mix.bias"]
    mixed = []
    for place in range(len(places)):
        total = bias.copy()
        for tap in range(5):
            if 0 <= place + tap - 2 < len(places):
                total = total + kernel[:, tap] * places[place + tap - 2]
        mixed.append(np.maximum(layer_norm(total, of[f"{name}.norm.weight"], of[f"{name}.norm.bias"]), 0))
    return np.array([np.maximum(*pair) for pair in zip(mixed[::2], mixed[1::2], strict=False)] or mixed)


def domain(of, name, sequence, places, layers):
    """The features of each granularity: [(S, W)]."""
    embedded = []
    for place in places:
        entered = linear(of, f"{name}.embed.0", place)
        normed = layer_norm(entered, of[f"{name}.embed.1.weight"], of[f"{name}.embed.1.bias"])
        embedded.append(linear(of, f"{name}.embed.3", np.maximum(normed, 0)))
    finer, found = np.array(embedded), []
    for granularity in range(4):
        finer = coarser(of, f"{name}.coarsen", finer) if granularity else finer
        features = finer
        for layer in range(layers):
            features = through_sequence(of, f"{name}.layers.{layer}", sequence, features)
        found.append(features)
    return found


def slowly(encoder, clips, sequence):
    """(B, T, M, V, C) → features of every frame (B, T, 8W)."""
    of = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    count = sum(name.startswith("layers.0.temporal.layers") for name in of)
    layers = len({name.split(".")[4] for name in of if name.startswith("layers.0.temporal.layers")})
    assert count
    every = []
    for clip, flat in zip(clips, reference.flat_inputs(clips), strict=True):
        frames, bodies, joints, _ = clip.shape
        by_time = domain(of, "layers.0.temporal", sequence, flat, layers)
        whole = [clip[:, body, joint].reshape(-1) for body in range(bodies) for joint in range(joints)]
        over_joints = [part.max(axis=0) for part in domain(of, "layers.0.spatial", sequence, np.array(whole), layers)]
        for frame in range(frames):
            spans = [part[min(frame // 2**finer, len(part) - 1)] for finer, part in enumerate(by_time)]
            every.append(np.concatenate(spans + over_joints))
    return np.array(every).reshape(*clips.shape[:2], -1)


@pytest.mark.parametrize(
    ("sequence", "bodies", "frames", "layers"),
    [("gru", 2, 9, 1), ("gru", 1, 16, 2), ("lstm", 2, 11, 1), ("transformer", 2, 9, 2), ("transformer", 1, 1, 1)],
)
def test_every_frame_is_that_of_the_slow_reference(sequence, bodies, frames, layers):
    encoder = hico(sequence, bodies, layers=layers, frames=frames)
    clips = random(2, frames, bodies, 5, 3)
    expected = slowly(encoder, clips.numpy(), sequence)
    features = encoder.frames(clips).detach()
    assert features.shape == expected.shape == (2, frames, 64)
    assert (encoder.frame_width, encoder.time_stride, encoder.causal) == (64, 1, False)
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("frames", [64, 9, 1])
def test_the_maxima_are_the_pooled_features_by_domain_and_granularity_and_learn_alike(frames):
    one, other = hico(frames=frames), hico(frames=frames)
    clips, weight = random(3, frames, 2, 5, 3), random(3, 64, seed=1)
    ours, pooled = maxima(one, clips), other.pool(other.frames(clips))
    assert ours.shape == (3, 2, 4, 8)
    torch.testing.assert_close(ours.flatten(1), pooled, rtol=0, atol=1e-12)
    for feature in (ours.flatten(1), pooled):
        (feature * weight).sum().backward()
    for name, parameter in one.named_parameters():
        torch.testing.assert_close(parameter.grad, other.get_parameter(name).grad, rtol=1e-9, atol=1e-9)


def test_its_sizes_are_those_of_the_published_network():
    encoder = Encoder(2, 25, hidden_size=256, layers=1, direction="bidirectional", pooling="max", kind="hico")
    (layers,) = encoder.layers
    assert (layers.temporal.embed[0].in_features, layers.spatial.embed[0].in_features) == (150, 192)
    assert encoder.width == 8 * 512
    places = torch.zeros(1, 50, 512)
    counts = [len(places[0]), *(len((places := layers.spatial.coarsen(places))[0]) for _ in range(3))]
    assert counts == [50, 25, 12, 6]


def test_dropout_is_in_the_transformer_and_in_training_alone():
    encoder, clips = hico("transformer", dropout=0.5), random(1, 9, 2, 5, 3)
    assert torch.equal(encoder.eval().frames(clips), encoder.frames(clips))
    assert not torch.equal(encoder.train().frames(clips), encoder.frames(clips))


def test_gradients_are_those_of_differences():
    encoder = hico(bodies=1, joints=2, hidden_size=2, frames=3)
    assert torch.autograd.gradcheck(encoder.embed, (random(1, 4, 1, 2, 3).requires_grad_(),), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(1, 12))
def test_own_frames_are_resampled_as_torch_does_it_at_half_pixel_centres(lengths, frames):
    clips = random(len(lengths), max(lengths), 3)
    found = resampled(clips, torch.tensor(lengths), frames)
    for clip, length, one in zip(clips, lengths, found, strict=True):
        by_torch = F.interpolate(clip[:length].T[None], size=frames, mode="linear", align_corners=False)[0].T
        torch.testing.assert_close(one, by_torch, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_as_many_frames_as_there_are_stay_what_they_are(dtype):
    clips = random(2, 299, 3).to(dtype)  # a number that bfloat16 does not have
    assert torch.equal(resampled(clips, None, 299), clips)


def test_an_lstm_of_two_halves_is_torch_s_bidirectional_one():
    ours, places = DualLSTMLayer(6).double(), random(2, 5, 6)
    theirs = torch.nn.LSTM(6, 3, batch_first=True, bidirectional=True).double()
    for suffix, half in zip(("", "_reverse"), ours.halves, strict=True):
        for name, parameter in half.named_parameters():
            theirs.get_parameter(f"{name}{suffix}").data.copy_(parameter.data)
    torch.testing.assert_close(ours(places), theirs(places)[0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"direction": "causal"}, "expected direction bidirectional for kind hico, got causal"),
     ({"layers": 0}, "at least one layer, unit and frame .* for kind hico, got 0 layers"),
     ({"dropout": 1.0}, "dropout 1.0"),
     ({"frames": 0}, "0 frames"), ({"sequence": "transformer", "hidden_size": 3}, "multiple of the 4 heads, got 6")],
)  # fmt: skip
def test_what_it_cannot_be_is_refused_in_one_line(changes, told):
    chosen = {"direction": "bidirectional", "hidden_size": 4, "layers": 1} | changes
    with pytest.raises(ConfigError, match=told) as raised:
        Encoder(2, 5, kind="hico", **chosen)
    assert "\n" not in str(raised.value)
