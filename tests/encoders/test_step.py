"""Causal encoders one frame at a time: equal to the whole clip, and no frame knows a later one."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import KINECT2

from pcm3.encoders.encoder import Encoder
from pcm3.errors import ConfigError
from pcm3.nn.gru_cpu import cells_of, gru_layer, gru_step
from pcm3.settings.encoder import KINDS

FEATURES = ("joint", "bone", "motion", "motion4", "motion8")
CAUSAL = [kind for kind, row in KINDS.items() if "causal" in row.directions]
CHOICES = [(name,) for name in FEATURES] + [("bone", "motion8", "joint"), ("motion", "motion4"), FEATURES]


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_gaps(clips, seed=0):
    """Clips whose joints come and go, of which one is always 0 and one body comes late."""
    there = torch.rand(clips.shape[:-1], generator=torch.Generator().manual_seed(seed)) < 0.7
    clips = clips * there.unsqueeze(-1)
    clips[:, :, :, 1] = 0
    clips[:, :3, -1] = 0
    return clips


def encoder_of(kind, features, gaps=False, layers=2, bodies=2, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Encoder(bodies, 25, hidden_size=6, layers=layers, kind=kind, input_features=features,
                       parents=KINECT2.parents, parts=KINECT2.parts, gaps=gaps,
                       at_origin=KINECT2.at_origin, **changes)  # fmt: skip
        with torch.no_grad():
            made.frames(3 * torch.randn(8, 9, bodies, 25, 3))  # moves the running statistics
    return made.eval()


def stepped(encoder, clips):
    state, features = None, []
    for frame in clips.unbind(1):
        feature, state = encoder.step(frame, state)
        features.append(feature)
    return torch.stack(features, dim=1)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("features", CHOICES, ids="+".join)
@pytest.mark.parametrize("kind", CAUSAL)
@torch.no_grad()
def test_frame_by_frame_is_the_whole_clip(kind, features, gaps):
    encoder = encoder_of(kind, features, gaps)
    clips = with_gaps(random(3, 21, 2, 25, 3)) if gaps else random(3, 21, 2, 25, 3)
    torch.testing.assert_close(stepped(encoder, clips), encoder.frames(clips), rtol=0, atol=1e-5)


@pytest.mark.parametrize("features", CHOICES, ids="+".join)
@pytest.mark.parametrize("kind", CAUSAL)
@torch.no_grad()
def test_no_frame_of_a_causal_encoder_knows_a_later_one(kind, features):
    for gaps in (False, True):
        encoder, clips = encoder_of(kind, features, gaps), with_gaps(random(2, 16, 2, 25, 3))
        changed = clips.clone()
        changed[:, 9:] = with_gaps(random(2, 7, 2, 25, 3, seed=1))
        one, other = encoder.frames(clips), encoder.frames(changed)
        assert torch.equal(one[:, :9], other[:, :9])
        assert not torch.equal(one[:, 9:], other[:, 9:])


def looked_back(name, clip, frame, gaps):
    """One frame's feature of a causal encoder (M, V, C), joint by joint, from the frames up to it alone."""
    so_far, result = clip[: frame + 1], np.zeros(clip.shape[1:])
    for body, joint in np.ndindex(clip.shape[1:3]):
        here = so_far[-1, body, joint]
        if name == "bone":
            parent = KINECT2.parents[joint]
            # The centre, joint 1, is always 0: that is its place in body 0, and in body 1 until body 0 is there.
            centred = 0 if so_far[:, 0].any() else 1
            absent = [not so_far[-1, body, one].any() and (body, one) != (centred, 1) for one in (joint, parent)]
            other = so_far[-1, body, parent]
        else:
            other = so_far[max(frame - {"motion": 1, "motion4": 4, "motion8": 8}[name], 0), body, joint]
            absent = [not here.any(), not other.any()]
        if not (gaps and any(absent)):
            result[body, joint] = here - other
    return result


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("name", FEATURES[1:])
def test_what_a_causal_encoder_is_fed_is_that_of_the_slow_reference(name, gaps):
    encoder, clips = encoder_of("gru", (name,), gaps).double(), with_gaps(random(1, 12, 2, 25, 3)).double()
    expected = [looked_back(name, clips[0].numpy(), frame, gaps) for frame in range(12)]
    flat = np.stack([frame.transpose(1, 2, 0).reshape(-1) for frame in expected])
    np.testing.assert_array_equal(encoder.build_inputs(clips)[0], flat)


@pytest.mark.parametrize("features", [("bone",), ("motion",), ("motion4", "bone", "joint")], ids="+".join)
def test_nothing_of_a_masked_joint_reaches_a_causal_encoder(features):
    encoder, clips = encoder_of("gru", features), random(2, 11, 2, 25, 3)
    masked = torch.rand(clips.shape[:-1], generator=torch.Generator().manual_seed(1)) < 0.3
    inputs = encoder.build_inputs(clips, masked)
    assert torch.equal(inputs, encoder.build_inputs(clips.masked_fill(masked.unsqueeze(-1), 1e6), masked))
    assert inputs.any()


def test_a_stepped_encoder_must_be_causal_and_in_evaluation():
    for kind, directions in ((kind, row.directions) for kind, row in KINDS.items()):
        if "bidirectional" in directions:
            with pytest.raises(ConfigError, match=f"expected a causal encoder .*, got one a bidirectional {kind}"):
                encoder_of(kind, ("joint",), direction="bidirectional").step(random(1, 2, 25, 3))
    with pytest.raises(ConfigError, match=r"training mode: call eval\(\)"):
        encoder_of("gru", ("joint",)).train().step(random(1, 2, 25, 3))


@torch.no_grad()
def test_streams_that_began_at_different_times_do_not_know_each_other():
    encoder, clips = encoder_of("gru", ("motion4", "bone"), gaps=True), with_gaps(random(2, 9, 2, 25, 3))
    together = stepped(encoder, clips)
    alone = torch.cat([stepped(encoder, clip.unsqueeze(0)) for clip in clips])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.sampled_from([torch.float32, torch.float64]))
def test_a_layer_step_by_step_is_the_whole_sequence(frames, size, dtype):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        halves = [torch.nn.GRU(5, 7, batch_first=True).to(dtype) for _ in range(2)]
        inputs = torch.randn(size, frames, 5, dtype=dtype)
    cells = [cell for half in halves for cell in cells_of(half)]
    state, outputs = torch.zeros(size, 14, dtype=dtype), []
    for frame in inputs.unbind(1):
        state = gru_step(frame, cells, state)
        outputs.append(state)
    stepped = torch.stack(outputs, dim=1)
    assert stepped.dtype == dtype
    torch.testing.assert_close(stepped, gru_layer(inputs, cells).detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(stepped, torch.cat([half(inputs)[0] for half in halves], dim=-1), rtol=0, atol=1e-6)


@torch.no_grad()
def test_off_the_cpu_path_a_step_is_the_same(monkeypatch):
    encoder, clips = encoder_of("gru", ("joint", "motion")), random(2, 7, 2, 25, 3)
    ours = stepped(encoder, clips)
    monkeypatch.setattr("pcm3.encoders.gru.applies_to", lambda inputs: False)
    torch.testing.assert_close(stepped(encoder, clips), ours, rtol=0, atol=1e-6)


def test_every_choice_of_two_features_is_as_wide_as_both():
    for pair in itertools.combinations(FEATURES, 2):
        assert encoder_of("gru", pair).step(random(1, 2, 25, 3))[0].shape == (1, 12)
