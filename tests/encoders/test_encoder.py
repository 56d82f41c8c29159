import itertools
import math

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy import KINECT1, KINECT2, toy_encoder

from pcm3.encoders import gru
from pcm3.encoders.encoder import Encoder
from pcm3.encoders.flatten import flatten, unflatten
from pcm3.encoders.gru import DualGRULayer
from pcm3.errors import ConfigError
from pcm3.geometry import motion, stream
from pcm3.nn.prompt import Prompt

DIRECTIONS = pytest.mark.parametrize("direction", ["causal", "bidirectional"])


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights_of(half, suffix=""):
    return [
        getattr(half, f"{name}_l0{suffix}").detach().numpy()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]


def settled(**settings):
    """A float64 encoder whose BatchNorm statistics and scales are not those it started with, in evaluation mode."""
    encoder = toy_encoder(**settings).double()
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for tensor in (encoder.norm.weight, encoder.norm.bias, encoder.norm.running_mean, encoder.norm.running_var):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return encoder.eval()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 3))
def test_inputs_of_a_frame_are_in_the_order_joint_coordinate_body(size, frames, bodies, joints, coordinates):
    clips = random(size, frames, bodies, joints, coordinates)
    flat = flatten(clips)
    np.testing.assert_array_equal(flat, reference.flat_inputs(clips.numpy()))
    assert torch.equal(unflatten(flat, bodies, joints), clips)


def test_a_causal_layer_is_two_grus_stepped_frame_by_frame():
    layer = DualGRULayer(5, 4, backward=False).double()
    x = random(3, 9, 5)
    expected = [
        np.concatenate([reference.gru(clip, weights_of(half)) for half in layer.halves], axis=-1) for clip in x.numpy()
    ]
    np.testing.assert_allclose(layer(x).detach(), np.array(expected), rtol=0, atol=1e-6)


@DIRECTIONS
def test_values_between_layers_are_left_out_in_training_alone(direction, monkeypatch):
    encoder = Encoder(1, 5, hidden_size=4, layers=3, direction=direction, dropout=0.25)
    x, seen, layer = torch.ones(64, 9, 8), [], encoder.layers[1]
    layer.halves[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    monkeypatch.setattr(gru, "applies_to", lambda _: False)
    layer.train()(x)
    assert seen[0].unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (seen[0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    layer.eval()(x)
    assert torch.equal(seen[-1], x)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_dropout_that_is_no_share_is_refused(share):
    with pytest.raises(ConfigError, match="dropout from 0 to below 1 for kind gru"):
        Encoder(1, 5, hidden_size=4, dropout=share)


def test_a_bidirectional_layer_runs_one_half_backward():
    layer = DualGRULayer(5, 4, backward=True).double()
    x, (half,) = random(3, 9, 5), layer.halves
    expected = [
        np.concatenate(
            [reference.gru(clip, weights_of(half)), reference.gru(clip, weights_of(half, "_reverse"), backward=True)],
            axis=-1,
        )
        for clip in x.numpy()
    ]
    np.testing.assert_allclose(layer(x).detach(), np.array(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_causal_encoder_is_a_bidirectional_gru_fed_one_frame_at_a_time(layers):
    encoder = settled(layers=layers)
    gru = nn.GRU(encoder.inputs, encoder.hidden_size, layers, batch_first=True, bidirectional=True).double()
    with torch.no_grad():
        for number, layer in enumerate(encoder.layers):
            for half, suffix in zip(layer.halves, ("", "_reverse"), strict=True):
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(gru, f"{name}_l{number}{suffix}").copy_(getattr(half, f"{name}_l0"))
    clips = random(2, 12, 2, 25, 3)
    inputs = encoder.norm(flatten(clips).flatten(0, 1)).view(2, 12, -1)
    past, features = None, []
    for frame in range(12):
        feature, past = gru(inputs[:, frame : frame + 1], past)
        features.append(feature)
    torch.testing.assert_close(encoder.frames(clips), torch.cat(features, dim=1), rtol=0, atol=1e-6)
    whole = gru(inputs)[0]
    assert (whole - encoder.frames(clips)).abs().max() > 0.01, "over the whole sequence it would not be the same"


@DIRECTIONS
def test_the_encoder_is_that_of_the_slow_reference(direction):
    encoder = toy_encoder(direction=direction).double()
    clips = random(3, 7, 2, 25, 3)
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    numbers = reference.Numbers(state, encoder.hidden_size, direction, 2, 25)
    features = numbers.encode("encoder", reference.flat_inputs(clips.numpy()))
    np.testing.assert_allclose(encoder.frames(clips).detach(), features, rtol=0, atol=1e-6)
    np.testing.assert_allclose(encoder.embed(clips).detach(), numbers.pool(features), rtol=0, atol=1e-6)


def test_a_clip_feature_is_taken_where_each_half_has_seen_the_whole_clip():
    features = random(2, 5, 12)
    assert torch.equal(toy_encoder(direction="causal").pool(features), features[:, 4])
    both = toy_encoder(direction="bidirectional").pool(features)
    assert torch.equal(both, torch.cat([features[:, 4, :6], features[:, 0, 6:]], dim=1))


@DIRECTIONS
def test_the_mean_pools_over_frames(direction):
    features = random(2, 5, 12)
    pooled = toy_encoder(direction=direction, pooling="mean").pool(features)
    np.testing.assert_allclose(pooled, features.numpy().mean(axis=1), rtol=0, atol=1e-12)


def test_a_causal_feature_knows_no_later_frame_and_a_bidirectional_one_does():
    clips = random(2, 10, 2, 25, 3)
    changed = clips.clone()
    changed[:, 6:] += 1
    for direction, knows in (("causal", False), ("bidirectional", True)):
        encoder = settled(direction=direction)
        before, after = encoder.frames(clips)[:, :6], encoder.frames(changed)[:, :6]
        assert torch.equal(before, after) != knows


def test_a_bidirectional_clip_feature_depends_on_every_frame_in_both_halves():
    encoder = settled(direction="bidirectional")
    clips = random(1, 6, 2, 25, 3).requires_grad_()
    for half in (slice(0, 6), slice(6, 12)):
        (slope,) = torch.autograd.grad(encoder.embed(clips)[:, half].sum(), clips)
        assert (slope.flatten(2).abs().sum(dim=-1) > 0).all()


def see_that_views_are_encoded_apart(together, alone, width):
    """Three views in one pass of an encoder, and one by one by one that is equal to it."""
    views = [random(4, 8, width, seed=1), 5 * random(4, 8, width, seed=2) + 3, random(2, 8, width, seed=3)]
    shared = together.encode_views(*views)
    for view, features in zip(views, shared, strict=True):
        torch.testing.assert_close(features, alone.encode_views(view)[0], rtol=0, atol=1e-12)
    for ours, theirs in zip(together.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@DIRECTIONS
def test_views_that_share_a_pass_equal_views_encoded_one_by_one(direction):
    together, alone = toy_encoder(direction=direction).double(), toy_encoder(direction=direction).double()
    see_that_views_are_encoded_apart(together, alone, 150)
    assert together.norm.num_batches_tracked == 3


def test_a_prompt_is_added_to_the_normalised_inputs_of_its_view():
    encoder, prompt = toy_encoder().double(), Prompt(150).double()
    views = [random(4, 8, 150, seed=1), random(4, 8, 150, seed=2)]
    plain, prompted = encoder.encode_views(*views, prompts=[None, prompt])
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    numbers = reference.Numbers(state, encoder.hidden_size, "causal", 2, 25)
    vector = prompt.vector.detach().numpy()
    np.testing.assert_allclose(plain.detach(), numbers.encode("encoder", views[0].numpy()), rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        prompted.detach(), numbers.encode("encoder", views[1].numpy(), after_norm=vector), rtol=0, atol=1e-6
    )


@DIRECTIONS
def test_a_batch_equals_its_clips_one_by_one_in_evaluation(direction):
    encoder = settled(direction=direction)
    clips = random(5, 9, 2, 25, 3)
    singles = torch.cat([encoder.embed(clip.unsqueeze(0)) for clip in clips])
    torch.testing.assert_close(encoder.embed(clips), singles, rtol=0, atol=1e-12)


def test_evaluation_changes_no_weight_and_no_buffer():
    encoder = settled()
    kept = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.embed(random(4, 8, 2, 25, 3))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in encoder.state_dict().items())


@DIRECTIONS
@pytest.mark.parametrize(("bodies", "joints"), [(1, 20), (2, 25), (2, 20)])
def test_features_are_two_halves_wide_for_any_skeleton(direction, bodies, joints):
    encoder = toy_encoder(bodies, joints, direction=direction)
    clips = random(3, 4, bodies, joints, 3).float()
    assert encoder.width == 12
    assert encoder.frames(clips).shape == (3, 4, 12)
    assert encoder.embed(clips).shape == (3, 12)


@DIRECTIONS
def test_gru_matrices_are_xavier_uniform(direction):
    encoder = Encoder(2, 25, hidden_size=48, layers=2, direction=direction)
    matrices = [parameter.detach() for parameter in encoder.layers.parameters() if parameter.dim() == 2]
    assert len(matrices) == 8
    for matrix in matrices:
        bound = math.sqrt(6 / sum(matrix.shape))
        assert 0.98 * bound < matrix.abs().max() <= bound
        assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    biases = [parameter.detach() for parameter in encoder.layers.parameters() if parameter.dim() == 1]
    assert all(0 < bias.abs().max() <= 1 / math.sqrt(48) for bias in biases), "PyTorch's default"


# What the encoder makes of a clip


def fed(features, kind="gru", bodies=2, layout=KINECT2, **settings):
    """A small float64 encoder with these input features, which knows its layout's bones."""
    chosen = {"hidden_size": 6, "layers": 2, "direction": "bidirectional"} | settings
    with torch.random.fork_rng():
        torch.manual_seed(0)
        joints = len(layout.joints)
        made = Encoder(bodies, joints, kind=kind, input_features=features, parents=layout.parents, **chosen)
    return made.double()


def inputs_slowly(name, clips, masked, parents):
    """One joint of one frame at a time: clips (B, T, M, V, C), masked (B, T, M, V), both NumPy."""
    inputs = np.zeros_like(clips)
    for place in np.ndindex(clips.shape[:4]):
        clip, frame, body, joint = place
        after = (clip, min(frame + 1, clips.shape[1] - 1), body, joint)
        other = {"joint": place, "bone": (clip, frame, body, parents[joint]), "motion": after}[name]
        if not masked[place] and not masked[other]:
            sign = {"joint": 0, "bone": -1, "motion": 1}[name]
            inputs[place] = clips[place] if sign == 0 else sign * (clips[other] - clips[place])
    return inputs


INPUTS = [features for count in (1, 2, 3) for features in itertools.permutations(("joint", "bone", "motion"), count)]


@pytest.mark.parametrize("features", INPUTS, ids="+".join)
@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 2), st.sampled_from([KINECT1, KINECT2]))
def test_inputs_are_those_of_the_slow_reference_and_masked_joints_take_bones_and_motions_along(
    features, seed, share, bodies, layout
):
    encoder, clips = fed(features, bodies=bodies, layout=layout), random(1, 3, bodies, len(layout.joints), 3, seed=seed)
    masked = torch.rand(clips.shape[:-1], generator=torch.Generator().manual_seed(seed)) < share
    for away in (torch.zeros_like(masked), masked):
        parts = [reference.flat_inputs(inputs_slowly(name, clips.numpy(), away.numpy(), layout.parents))
                 for name in features]  # fmt: skip
        np.testing.assert_array_equal(encoder.build_inputs(clips, away), np.concatenate(parts, axis=-1))
    assert torch.equal(encoder.build_inputs(clips), encoder.build_inputs(clips, torch.zeros_like(masked)))


@pytest.mark.parametrize("features", INPUTS, ids="+".join)
def test_nothing_of_a_masked_joint_can_be_read_from_the_inputs(features):
    encoder, clips = fed(features), random(2, 6, 2, 25, 3)
    masked = torch.rand(clips.shape[:-1], generator=torch.Generator().manual_seed(1)) < 0.4
    elsewhere = clips.masked_fill(masked.unsqueeze(-1), 1e6)
    assert torch.equal(encoder.build_inputs(clips, masked), encoder.build_inputs(elsewhere, masked))


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_what_an_encoder_makes_of_joints_is_the_stream_of_that_name(name):
    clips = random(2, 6, 2, 25, 3)
    as_stream = stream(clips, name, KINECT2)
    assert torch.equal(fed([name]).build_inputs(clips), flatten(as_stream))


@pytest.mark.parametrize("kind", ["gru", "transformer", "graph"])
def test_an_encoder_that_makes_the_motion_itself_is_one_that_is_given_it(kind):
    clips = random(3, 6, 2, 25, 3)
    own, given = fed(["motion"], kind), fed(["joint"], kind)
    assert torch.equal(own.embed(clips), given.embed(motion(clips)))


def test_the_gradient_reaches_the_clip_through_everything_that_is_seen():
    clips = random(2, 6, 2, 25, 3)
    for name, expected in (("joint", 1.0), ("bone", 0.0), ("motion", 0.0)):
        leaf = clips.clone().requires_grad_()
        fed([name]).build_inputs(leaf).sum().backward()
        assert leaf.grad.abs().sum() > 0
        # Differences leave a clip's shift out of account.
        assert leaf.grad.sum().item() == pytest.approx(expected * clips.numel(), abs=1e-9)


# Kinds


@pytest.mark.parametrize("kind", ["transformer", "graph"])
def test_in_every_kind_views_that_are_encoded_together_equal_views_encoded_one_by_one(kind):
    together, alone = fed(["joint", "motion"], kind), fed(["joint", "motion"], kind)
    see_that_views_are_encoded_apart(together, alone, 300)


@pytest.mark.parametrize("kind", ["transformer", "graph"])
@pytest.mark.parametrize(("bodies", "layout"), [(1, KINECT2), (2, KINECT1)], ids=["one body", "20 joints"])
def test_in_every_kind_a_batch_equals_its_clips_one_by_one_in_evaluation(kind, bodies, layout):
    encoder = fed(["joint", "bone"], kind, bodies, layout, pooling="mean_max")
    encoder.embed(random(4, 9, bodies, len(layout.joints), 3, seed=5))  # moves the running statistics
    encoder.eval()
    clips = random(5, 9, bodies, len(layout.joints), 3)
    singles = torch.cat([encoder.embed(clip.unsqueeze(0)) for clip in clips])
    torch.testing.assert_close(encoder.embed(clips), singles, rtol=0, atol=1e-10)
    assert singles.shape == (5, encoder.width) == (5, 2 * encoder.frame_width)


def test_a_graph_sees_the_inputs_of_a_joint_at_that_joint():
    encoder, clips = fed(["joint", "bone", "motion"], "graph").eval(), random(2, 6, 2, 25, 3)
    given_to = []
    encoder.layers[0].layers.register_forward_pre_hook(lambda _, args: given_to.append(args[0]))
    encoder.frames(clips)
    expected = torch.cat([clips, stream(clips, "bone", KINECT2), motion(clips)], dim=-1).transpose(2, 3)
    # Fresh BatchNorm: divided by sqrt(1 + eps).
    torch.testing.assert_close(given_to[0], expected / math.sqrt(1 + 1e-5), rtol=1e-9, atol=1e-9)


def test_only_the_clip_feature_is_normalised():
    plain, normalised = fed(["joint"]), fed(["joint"], normalise_features=True)
    clips = random(7, 6, 2, 25, 3)
    normalised.readout.fit_normalisation(normalised.pool(normalised.frames(clips)))
    assert torch.equal(plain.frames(clips), normalised.frames(clips))
    assert torch.equal(plain.embed(clips), normalised.pool(normalised.frames(clips)))
    assert normalised.embed(clips).square().mean().item() == pytest.approx(1)
