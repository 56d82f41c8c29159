import numpy as np
import pytest
import reference
import torch
from in_processes import ALONE, clips_numbered
from toy import BEGINNING, KINECT2, toy_batch, toy_longt_gan

from pcm3.augment.crop import crop_resize
from pcm3.geometry import stream
from pcm3.methods.longt_gan import HiddenView
from pcm3.settings.optimiser import OptimiserSettings
from pcm3.train.loop import Learner, MicroBatch, train_step

PLAYERS = {"autoencoder": ("encoder", "decoder"), "discriminator": ("discriminator",)}


def views_of(method, size=3):
    """In float64."""
    clips, hidden = method.views(*toy_batch(size))
    return HiddenView(clips.double(), hidden)


def of_player(method, player):
    return {name: weight for name, weight in method.named_parameters() if name.partition(".")[0] in PLAYERS[player]}


def slow_judge(numbers, poses):
    """The discriminator, clip by clip."""
    both = [numbers._gru("discriminator.gru", 0, poses, suffix, bool(suffix)) for suffix in ("", "_reverse")]
    weight, bias = numbers.of["discriminator.judge.weight"], numbers.of["discriminator.judge.bias"]
    return [(weight @ clip.mean(axis=0) + bias).item() for clip in np.concatenate(both, axis=-1)]


def slow_terms(weights, views, direction):
    """One clip, one frame and one number after the other."""
    numbers = reference.Numbers({}, 6, direction, 2, 25)
    numbers.of = weights
    poses, seen = (reference.flat_inputs(views.clips.numpy()) for _ in range(2))
    for clip, hidden in enumerate(views.hidden.numpy()):
        for frame in np.flatnonzero(hidden):
            seen[clip, frame] = 0
    codes = numbers.pool(numbers.encode("encoder", seen))
    told = np.repeat(codes[:, None], poses.shape[1], axis=1)
    rebuilt = numbers._gru("decoder.gru", 0, told) @ weights["decoder.leave.weight"].T + weights["decoder.leave.bias"]
    errors = [
        sum((a - b) ** 2) for one, other in zip(rebuilt, poses, strict=True) for a, b in zip(one, other, strict=True)
    ]
    real, made = ([1 / (1 + np.exp(-odds)) for odds in slow_judge(numbers, of)] for of in (poses, rebuilt))
    return {
        "inpainting": np.mean(errors),
        "deception": np.mean([-np.log(share) for share in made]),
        "discrimination": np.mean([-np.log(share) for share in real]) + np.mean([-np.log(1 - share) for share in made]),
    }


def slow_losses(weights, views, direction, weight=0.3):
    terms = slow_terms(weights, views, direction)
    return {
        "autoencoder": terms["inpainting"] + weight * terms["deception"],
        "discriminator": terms["discrimination"],
    }


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_losses_and_the_step_of_both_optimisers_are_those_of_the_slow_reference(direction):
    method = toy_longt_gan(frames=6, layers=1, direction=direction, adversarial_weight=0.3).double().train()
    views = views_of(method)
    weights = {name: tensor.numpy().copy() for name, tensor in method.state_dict().items()}
    output = method(views, BEGINNING, torch.Generator())
    expected = slow_terms(weights, views, direction)
    assert {name: term.item() for name, term in output.terms.items()} == pytest.approx(expected, rel=1e-10)
    losses = slow_losses(weights, views, direction)
    assert {name: loss.item() for name, loss in output.losses.items()} == pytest.approx(losses, rel=1e-10)
    one_step(method, views)
    rng = np.random.default_rng(0)
    for player, name in [
        ("autoencoder", "encoder.norm.weight"),
        ("autoencoder", "decoder.leave.weight"),
        ("discriminator", "discriminator.judge.weight"),
        ("discriminator", "discriminator.gru.weight_ih_l0"),
    ]:
        way = rng.standard_normal(weights[name].shape)
        ahead, behind = (
            slow_losses(weights | {name: weights[name] + h * way}, views, direction)[player] for h in (1e-6, -1e-6)
        )
        along = (method.get_parameter(name).grad.numpy() * way).sum()
        assert along == pytest.approx((ahead - behind) / 2e-6, rel=1e-5), name


def one_step(method, views, parts=1, **settings):
    """As the loop makes it, from these views."""
    method.views = lambda batch, _: views
    optimisers = method.optimisers(OptimiserSettings(**{"lr": 0.0, "weight_decay": 0.0} | settings))
    given = [MicroBatch(clips_numbered(torch.arange(len(views.clips))), torch.Generator())] * parts
    return train_step(ALONE, Learner(method, method, optimisers), given, BEGINNING)


@pytest.mark.parametrize("parts", [1, 2])
def test_each_loss_moves_its_own_player_and_leaves_nothing_behind_in_the_other(parts):
    gradients = {}
    for weight in (0.0, 5.0):
        method = toy_longt_gan(adversarial_weight=weight).double().train()
        for _ in range(2):  # nothing of the first is in the second
            one_step(method, views_of(toy_longt_gan()), parts)
        gradients[weight] = {name: of.grad.clone() for name, of in method.named_parameters()}
    for name in of_player(method, "discriminator"):  # what the autoencoder is told through it does not move it
        assert torch.equal(gradients[0.0][name], gradients[5.0][name])
    for name in of_player(method, "autoencoder"):
        assert not torch.equal(gradients[0.0][name], gradients[5.0][name])


def test_the_discriminator_moves_no_autoencoder():
    method = toy_longt_gan(adversarial_weight=0.0).double().train()
    views = views_of(method)
    one_step(method, views)
    found = {name: weight.grad.clone() for name, weight in of_player(method, "autoencoder").items()}
    method.zero_grad()
    poses = reference.flat_inputs(views.clips.numpy())
    error = (method.decoder(method.encode(views), 16) - torch.from_numpy(poses)).square().sum(dim=-1).mean()
    error.backward()
    for name, weight in of_player(method, "autoencoder").items():
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-10, atol=1e-12)


def test_each_optimiser_holds_its_player_and_shortens_its_own_gradient():
    method = toy_longt_gan().double().train()
    optimisers = method.optimisers(OptimiserSettings())
    for player, optimiser in optimisers.items():
        held = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
        assert held == {id(weight) for weight in of_player(method, player).values()}
    one_step(method, views_of(method), max_grad_norm=1e-3)
    for player in PLAYERS:
        whole = torch.cat([weight.grad.flatten() for weight in of_player(method, player).values()])
        assert whole.norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_half_of_the_frames_of_every_clip_are_hidden_at_random():
    hidden = toy_longt_gan().views(*toy_batch(400)).hidden
    assert (hidden.sum(dim=1) == 8).all()
    assert ((hidden.float().mean(dim=0) - 0.5).abs() < 0.12).all()
    assert len(hidden.unique(dim=0)) > 300


def test_the_code_knows_nothing_of_hidden_frames():
    method = toy_longt_gan().eval()
    views = method.views(*toy_batch())
    other = torch.where(views.hidden[:, :, None, None, None], torch.randn_like(views.clips), views.clips)
    assert torch.equal(method.encode(views), method.encode(views._replace(clips=other)))
    assert not torch.equal(method.encode(views), method.encode(views._replace(hidden=~views.hidden)))


def test_a_sure_discriminator_leaves_finite_losses():
    method, views = toy_longt_gan().train(), toy_longt_gan().views(*toy_batch())
    torch.nn.init.constant_(method.discriminator.judge.bias, 1e4)
    output = method(views, BEGINNING, torch.Generator())
    assert output.terms["deception"] == 0
    assert output.losses["discriminator"].item() == pytest.approx(1e4, rel=1e-3)


def test_the_losses_are_in_float32_where_the_networks_are_not():
    method = toy_longt_gan().train()
    views = method.views(*toy_batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = method(views, BEGINNING, torch.Generator()).losses
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


@pytest.mark.parametrize("name", ["joint", "bone", "motion"])
def test_a_view_is_the_whole_clip(name):
    batch, generator = toy_batch()
    views = toy_longt_gan(name=name).views(batch, generator)
    whole = crop_resize(batch.frames, batch.start, batch.length, 16)
    assert torch.equal(views.clips, stream(whole, name, KINECT2))
