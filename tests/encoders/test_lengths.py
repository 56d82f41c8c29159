"""Clips of different lengths, padded to one: each gives what it gives alone, for every kind, feature and pooling."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import KINECT2

from pcm3.encoders.encoder import Encoder
from pcm3.encoders.lengths import hold_last, own_frames, reversed_in_place, strided
from pcm3.settings.encoder import KINDS, Pooling

KINDS_AND_DIRECTIONS = [(kind, direction) for kind, row in KINDS.items() for direction in row.directions]
FEATURES = ("joint", "bone", "motion", "motion4")


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def encoder_of(kind, direction, pooling="mean", features=FEATURES, gaps=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Encoder(2, 25, hidden_size=6, layers=2, direction=direction, pooling=pooling, kind=kind,
                       input_features=features, parents=KINECT2.parents, parts=KINECT2.parts,
                       gaps=gaps).double()  # fmt: skip
        made.frames(3 * torch.randn(8, 9, 2, 25, 3, dtype=torch.float64))  # moves the running statistics
    return made.eval()


def padded(lengths, seed=0):
    """Clips whose padding is anything but zeros."""
    clips = random(len(lengths), max(lengths) + 3, 2, 25, 3, seed=seed)
    clips[~own_frames(torch.tensor(lengths), clips.shape[1])] *= 100
    return clips


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("kind", "direction"), KINDS_AND_DIRECTIONS)
@torch.no_grad()
def test_frames_of_padded_clips_are_those_of_each_alone(kind, direction, gaps):
    lengths, encoder = [7, 12, 1, 9], encoder_of(kind, direction, gaps=gaps)
    clips = padded(lengths)
    together = encoder.frames(clips, torch.tensor(lengths))
    for features, clip, length in zip(together, clips, lengths, strict=True):
        alone = encoder.frames(clip[:length].unsqueeze(0))[0]
        assert len(alone) == -(-length // encoder.time_stride)
        torch.testing.assert_close(features[: len(alone)], alone, rtol=0, atol=1e-9)


# All poolings of a recurrent encoder's frames, and two of each other kind's: a pooling does not know the kind.
@pytest.mark.parametrize(
    ("kind", "direction", "pooling"),
    [
        pytest.param(*way, pooling, marks=() if way[0] == "gru" or pooling in ("mean", "max") else pytest.mark.soak)
        for way in KINDS_AND_DIRECTIONS
        for pooling in get_args(Pooling)
    ],
)
@torch.no_grad()
def test_a_padded_clip_has_the_feature_that_it_has_alone(kind, direction, pooling):
    lengths, encoder = [6, 11, 2], encoder_of(kind, direction, pooling)
    clips = padded(lengths)
    together = encoder.embed(clips, torch.tensor(lengths))
    alone = torch.cat([encoder.embed(clip[:length].unsqueeze(0)) for clip, length in zip(clips, lengths, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)


@torch.no_grad()
def test_a_bidirectional_gru_over_padding_is_the_same_off_the_cpu_path(monkeypatch):
    encoder, lengths = encoder_of("gru", "bidirectional", "last"), torch.tensor([5, 9, 1])
    clips = padded(lengths.tolist())
    ours = encoder.embed(clips, lengths)
    monkeypatch.setattr("pcm3.encoders.gru.applies_to", lambda inputs: False)
    torch.testing.assert_close(encoder.embed(clips, lengths), ours, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("kind", "direction"), KINDS_AND_DIRECTIONS)
def test_whole_clips_are_those_of_full_length(kind, direction):
    encoder, clips = encoder_of(kind, direction), random(3, 9, 2, 25, 3)
    torch.testing.assert_close(encoder.embed(clips, torch.tensor([9] * 3)), encoder.embed(clips), rtol=0, atol=1e-9)


def test_training_normalises_by_the_clips_own_frames():
    encoder, other = (encoder_of("transformer", "bidirectional").train() for _ in range(2))
    lengths = [4, 9]
    clips = padded(lengths)
    encoder.frames(clips, torch.tensor(lengths))
    own = torch.cat([other.build_inputs(clip[:n].unsqueeze(0))[0] for clip, n in zip(clips, lengths, strict=True)])
    other.norm(own)
    torch.testing.assert_close(encoder.norm.running_mean, other.norm.running_mean)
    torch.testing.assert_close(encoder.norm.running_var, other.norm.running_var)


@pytest.mark.parametrize(("kind", "direction"), KINDS_AND_DIRECTIONS)
def test_padding_moves_no_statistics_and_no_feature_while_training(kind, direction):
    lengths, clips = torch.tensor([9] * 4), padded([9] * 4)
    encoder, other = (encoder_of(kind, direction).train() for _ in range(2))
    features, alone = encoder.frames(clips, lengths), other.frames(clips[:, :9])
    torch.testing.assert_close(features[:, : alone.shape[1]], alone, rtol=0, atol=1e-9)
    torch.testing.assert_close(encoder.state_dict(), other.state_dict(), rtol=0, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 3))
def test_the_order_is_turned_round_within_each_clip_and_twice_is_not_at_all(lengths, more):
    features, many = random(len(lengths), max(lengths) + more, 2), torch.tensor(lengths)
    turned = reversed_in_place(features, many)
    for one, other, length in zip(turned, features, lengths, strict=True):
        assert torch.equal(one[:length], other[:length].flip(0))
        assert torch.equal(one[length:], other[length:])
    assert torch.equal(reversed_in_place(turned, many), features)
    held = hold_last(features[:, :, None, None], many)[:, :, 0, 0]
    for one, other, length in zip(held, features, lengths, strict=True):
        assert torch.equal(one[:length], other[:length])
        assert (one[length:] == other[length - 1]).all()
    for stride in (1, 2, 4):
        assert strided(many, stride).tolist() == [len(range(0, length, stride)) for length in lengths]
