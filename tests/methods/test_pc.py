from dataclasses import replace

import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_pc

from pcm3.augment.crop import crop_resize
from pcm3.augment.spatial import spatial_view
from pcm3.geometry import stream
from pcm3.methods.views import OneView
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.settings.views import whole_clips

DECODERS = ["fixed_state", "fixed_weights"]


def views_of(method, size=3):
    """In float64."""
    return OneView(method.views(*toy_batch(size)).clips.double())


def slow_loss(weights, views, hidden_size, direction, decoder):
    """One clip, one frame and one number after the other: every pose is rebuilt from the clip's feature."""
    numbers = reference.Numbers({}, hidden_size, direction, 2, 25)
    numbers.of = weights
    clips = reference.flat_inputs(views.clips.numpy())
    module = "decoder.cell." if decoder == "fixed_state" else "decoder.gru."
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    cell = [weights[f"{module}{name}{'' if decoder == 'fixed_state' else '_l0'}"] for name in names]
    losses = []
    for clip, feature in zip(clips, numbers.pool(numbers.encode("encoder", clips)), strict=True):
        state, pose, errors = feature, clip[0], []
        for true in clip[1:] if decoder == "fixed_state" else clip:
            if decoder == "fixed_state":  # the state is the feature in every frame, the pose is what was made before
                out = reference.gru_step(pose, feature, *cell)
            else:  # the state goes on, and there is no pose
                out = state = reference.gru_step(np.zeros_like(pose), state, *cell)
            made = weights["decoder.leave.weight"] @ out + weights["decoder.leave.bias"]
            pose = pose + made if decoder == "fixed_state" else made
            errors.append(sum(abs(pose - true)))
        losses.append(np.mean(errors))
    return np.mean(losses)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_loss_and_gradients_are_those_of_the_slow_reference(decoder, direction):
    method = toy_pc(decoder, direction, frames=5, layers=1).double().train()
    views = views_of(method)
    weights = {name: tensor.double().numpy() for name, tensor in method.state_dict().items()}
    output = method(views, BEGINNING, torch.Generator())
    expected = slow_loss(weights, views, 6, direction, decoder)
    assert output.losses["all"].item() == pytest.approx(expected, rel=1e-12)
    assert output.terms["rebuilding"].item() == pytest.approx(expected, rel=1e-12)
    output.losses["all"].backward()
    rng = np.random.default_rng(0)
    for name, weight in method.named_parameters():
        if weight.grad is not None:
            way = rng.standard_normal(weight.shape)
            ahead, behind = (
                slow_loss(weights | {name: weights[name] + step * way}, views, 6, direction, decoder)
                for step in (1e-6, -1e-6)
            )
            along = (weight.grad.numpy() * way).sum()
            assert along == pytest.approx((ahead - behind) / 2e-6, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize(
    ("decoder", "learning"), [("fixed_state", {"encoder", "decoder"}), ("fixed_weights", {"encoder"})]
)
def test_all_of_the_encoder_learns_and_of_the_decoder_what_is_not_fixed(decoder, learning):
    method = toy_pc(decoder).double().train()
    method(views_of(method), BEGINNING, torch.Generator()).losses["all"].backward()
    reached = {name for name, weight in method.named_parameters() if weight.grad is not None}
    assert reached == {name for name, _ in method.named_parameters() if name.partition(".")[0] in learning}
    (optimiser,) = method.optimisers(OptimiserSettings()).values()
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert held == {id(weight) for name, weight in method.named_parameters() if name in reached}


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_decoder_is_told_nothing_of_the_poses_but_the_given_one(decoder):
    decode = toy_pc(decoder).decoder
    feature, poses = torch.randn(2, 12), torch.randn(2, 7, 150)
    other = torch.cat([poses[:, : decode.given], torch.randn(2, 7 - decode.given, 150)], dim=1)
    assert torch.equal(decode(feature, poses), decode(feature, other))
    assert decode(feature, poses).shape == (2, 7 - decode.given, 150)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_decoder_and_the_loss_are_in_float32_where_the_encoder_is_not(decoder):
    method, views = toy_pc(decoder).train(), OneView(torch.randn(2, 16, 2, 25, 3).bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(views, BEGINNING, torch.Generator()).losses["all"]
    assert loss.dtype == torch.float32
    loss.backward()


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_a_view_is_the_whole_clip(name):
    batch, generator = toy_batch()
    views = toy_pc(name=name).views(batch, generator)
    whole = crop_resize(batch.frames, batch.start, batch.length, 16)
    assert torch.equal(views.clips, stream(whole, name, KINECT2))


def test_a_view_is_sheared_where_that_is_asked_for():
    (batch, ours), (_, theirs) = toy_batch(), toy_batch()
    maker = replace(toy_pc().maker, settings=replace(whole_clips(), shear=0.5))
    crops = maker.crops(batch, 1, theirs)
    assert torch.equal(maker.one_view(batch, ours), spatial_view(crops, "either", 0.5, 0.6, 0.0, theirs))
