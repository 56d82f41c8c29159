from itertools import permutations

import numpy as np
import pytest
import reference
import torch
from toy import BEGINNING, KINECT2, toy_batch, toy_ms2l

from pcm3.augment.crop import crop_resize
from pcm3.geometry import stream
from pcm3.methods.ms2l import OrderedView, end_hidden, reordered, to_their_mean
from pcm3.settings.optimiser import OptimiserSettings


def views_of(method, size=3):
    """In float64."""
    clips, order = method.views(*toy_batch(size))
    return OrderedView(clips.double(), order)


def slow_head(weights, name, features):
    """Linear, BatchNorm, ReLU, Linear."""
    inner = features @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"]
    normed = reference.batch_norm(inner, weights[f"{name}.1.weight"], weights[f"{name}.1.bias"], 0)
    return np.maximum(normed, 0) @ weights[f"{name}.3.weight"].T + weights[f"{name}.3.bias"]


def slow_contrast(embeddings, temperature):
    """Clip by clip: both ways between each embedding and the mean of the three."""
    mean, losses = np.mean(embeddings, axis=0), []
    for embedding in embeddings:
        both = reference.unit(np.concatenate([embedding, mean]))
        size = len(embedding)
        for number, one in enumerate(both):
            cosines = np.array([one @ other if k != number else -1 for k, other in enumerate(both)]) / temperature
            partner = number + size if number < size else number - size
            losses.append(np.log(np.exp(cosines).sum()) - cosines[partner])
    return np.mean(losses)


def slow_losses(weights, views, hidden_size, temperature=0.9):
    """One clip, one frame and one number after the other."""
    numbers = reference.Numbers({}, hidden_size, "bidirectional", 2, 25)
    numbers.of = weights
    clips, orders = views.clips.numpy(), list(permutations(range(3)))
    frames = clips.shape[1]
    masked, shuffled = clips.copy(), clips.copy()
    for clip in range(len(clips)):
        for frame in range(frames):
            if frame >= 0.7 * frames:
                masked[clip, frame] = 0
        long = frames // 3
        for place, segment in enumerate(orders[views.order[clip]]):
            for frame in range(long):
                shuffled[clip, place * long + frame] = clips[clip, segment * long + frame]
    seen = [numbers.encode("encoder", reference.flat_inputs(of)) for of in (clips, masked, shuffled)]
    poses = seen[1]
    for layer in (0, 1):
        poses = numbers._gru("predict.gru", layer, poses)
    poses = poses @ weights["predict.leave.weight"].T + weights["predict.leave.bias"]
    prediction = np.mean((poses - reference.flat_inputs(clips)) ** 2)
    features = [of.mean(axis=1) for of in seen]
    jigsaw = [
        np.log(np.exp(scores).sum()) - scores[own]
        for scores, own in zip(slow_head(weights, "find_order", features[2]), views.order.tolist(), strict=True)
    ]
    contrast = slow_contrast([slow_head(weights, "embed", feature) for feature in features], temperature)
    return {"prediction": prediction, "jigsaw": np.mean(jigsaw), "contrast": contrast}


def test_losses_and_gradients_are_those_of_the_slow_reference():
    method = toy_ms2l(frames=8, layers=1).double().train()
    views = views_of(method)
    weights = {name: tensor.numpy().copy() for name, tensor in method.state_dict().items()}
    output, expected = method(views, BEGINNING, torch.Generator()), slow_losses(weights, views, 6)
    assert {name: term.item() for name, term in output.terms.items()} == pytest.approx(expected, rel=1e-10)
    assert output.losses["all"].item() == pytest.approx(sum(expected.values()), rel=1e-10)
    output.losses["all"].backward()
    rng = np.random.default_rng(0)
    for name in ("encoder.norm.weight", "predict.leave.weight", "find_order.1.weight", "embed.0.weight"):
        way = rng.standard_normal(weights[name].shape)
        ahead, behind = (
            sum(slow_losses(weights | {name: weights[name] + h * way}, views, 6).values()) for h in (1e-6, -1e-6)
        )
        along = (method.get_parameter(name).grad.numpy() * way).sum()
        assert along == pytest.approx((ahead - behind) / 2e-6, rel=1e-5), name


def test_everything_learns_and_one_optimiser_moves_it():
    method = toy_ms2l().double().train()
    method(views_of(method), BEGINNING, torch.Generator()).losses["all"].backward()
    assert all(weight.grad is not None for weight in method.parameters())
    (optimiser,) = method.optimisers(OptimiserSettings()).values()
    held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert held == {id(weight) for weight in method.parameters()}


@pytest.mark.parametrize(("frames", "seen"), [(300, 210), (32, 23), (3, 3), (2, 2)])
def test_the_last_frames_are_hidden(frames, seen):
    hidden = end_hidden(torch.zeros(2, frames, 1, 4, 3), 0.3)
    assert hidden.shape == (2, frames, 1, 4)
    assert torch.equal(hidden[0, :, 0, 0], torch.arange(frames) >= seen)


def test_the_encoder_is_told_nothing_of_hidden_frames():
    method = toy_ms2l().train()
    views = method.views(*toy_batch())
    shown = []
    method.encoder.encode_views = lambda *given: shown.extend(given) or [torch.zeros(4, 16, 12)] * 3
    method(views, BEGINNING, torch.Generator())
    assert (shown[1][:, 12:] == 0).all()
    assert torch.equal(shown[1][:, :12], shown[0][:, :12])


def test_segments_change_places_and_what_is_left_over_stays():
    clips = torch.arange(11.0)[None, :, None, None, None].expand(2, -1, 1, 1, 3)
    moved = reordered(clips, torch.tensor([[2, 0, 1], [0, 1, 2]]))
    assert moved[0, :, 0, 0, 0].tolist() == [6, 7, 8, 0, 1, 2, 3, 4, 5, 9, 10]
    assert torch.equal(moved[1], clips[1])


def test_orders_are_drawn_alike_and_are_all_there():
    method = toy_ms2l()
    assert method.orders.tolist() == [list(order) for order in permutations(range(3))]
    order = method.views(*toy_batch(600)).order
    assert (torch.bincount(order, minlength=6) - 100).abs().max() < 40


def test_embeddings_that_are_alike_in_a_clip_and_opposite_in_two_cost_what_is_worked_out():
    way = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    near, far = np.exp(1 / 0.5), np.exp(-1 / 0.5)
    expected = np.log(near + 3 * far) - 1 / 0.5  # its partner; itself, counted as opposite, and the other's two
    assert to_their_mean([way, 2 * way, 3 * way], 0.5).item() == pytest.approx(expected)


def test_the_losses_are_in_float32_where_the_encoder_is_not():
    method = toy_ms2l().train()
    clips, order = method.views(*toy_batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = method(OrderedView(clips, order), BEGINNING, torch.Generator()).losses["all"]
    assert loss.dtype == torch.float32
    loss.backward()


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_a_view_is_the_whole_clip(name):
    batch, generator = toy_batch()
    views = toy_ms2l(name=name).views(batch, generator)
    whole = crop_resize(batch.frames, batch.start, batch.length, 16)
    assert torch.equal(views.clips, stream(whole, name, KINECT2))
